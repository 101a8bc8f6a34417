"""``homeostat serve``: an OpenAI-compatible endpoint over a local model, with the agent's loop in each request."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from homeostat.cli import agent_options as of
from homeostat.cli.loading import loading_shown
from homeostat.cli.model_flags import with_model_flags
from homeostat.errors import ConfigError
from homeostat.model_options import ModelOptions

__all__ = ["serve"]

_TOKENS = 1024
_SECONDS = 600.0
_SHORTEST_KEY = 8


@with_model_flags
def serve(
    model: of.ChatModel = None,
    agent: of.Agent = None,
    controllers: of.Controllers = None,
    sensors: of.Sensors = None,
    heads: of.Heads = None,
    calibration: of.Calibration = None,
    probe: of.Probe = None,
    loading: ModelOptions = ModelOptions(),  # noqa: B008
    engine: of.Engine = None,
    engine_option: of.EngineOptions = None,
    rules: Annotated[
        Path | None, typer.Option(help="A YAML file of rules for every request: a list of texts, or the key 'rules'.")
    ] = None,
    rule: Annotated[
        list[str] | None, typer.Option(metavar="<text>", help="One more rule. May be given several times.")
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen on. Other machines can't reach 127.0.0.1.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0 takes any free one.")] = 8000,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="HOMEOSTAT_API_KEY",
            help="The key that clients have to give. Required if other machines can reach --host.",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The name that clients ask for. Default: the model's.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="The most requests that the model answers together.")] = 8,
    queue: Annotated[int, typer.Option(min=1, help="The most answers at a time; more get the status 503.")] = 64,
    attempts: Annotated[
        int | None, typer.Option(help="A request's budget: the most model calls of one step. Default: 4.")
    ] = None,
    retries: Annotated[
        int, typer.Option(min=0, help="How often an answer that was refused or can't be read is asked for again.")
    ] = 1,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(help="The most tokens of an answer where the request says nothing. Default: 1024."),
    ] = None,
    request_tokens: Annotated[
        int | None, typer.Option(help="A request's budget: the most tokens of all its answers. Default: no bound.")
    ] = None,
    request_seconds: Annotated[
        float | None, typer.Option(help="A request's budget: the most seconds, waiting included. Default: 600.")
    ] = None,
    grace: Annotated[float, typer.Option(min=0, help="Seconds that requests may go on after Ctrl-C or SIGTERM.")] = 5.0,
) -> None:
    """Serve a local model to any client of OpenAI's API, with sensors and controllers in each request.

    \b
    Examples:
      homeostat serve --model HuggingFaceTB/SmolLM2-135M-Instruct
      homeostat serve --model Qwen/Qwen2.5-Coder-0.5B-Instruct --port 8001

    Clients use http://127.0.0.1:8000/v1 as their base URL.
    """
    from homeostat.envs.adb.access import is_loopback

    for module in ("fastapi", "uvicorn", "prometheus_client"):
        if find_spec(module) is None:
            raise ConfigError(f"this command needs {module}; pip install 'homeostat[serve]'")
    _check_access(host, api_key, loopback=is_loopback(host))
    from homeostat.agent.loop.limits import LoopLimits
    from homeostat.agent.registry import load_rules

    spec = of.agent_from(
        agent,
        {"limits": LoopLimits(max_new_tokens=_TOKENS, episode_seconds=_SECONDS)},
        model=model,
        controllers=controllers,
        sensors=sensors,
        heads=heads,
        calibration=calibration,
        probe=probe,
        limits=of.limits_from(None, None, attempts, max_new_tokens, request_seconds, request_tokens),
        engine=engine,
        engine_options=engine_option,
        **loading.chosen_options(),
    )
    if "model" not in spec.model_fields_set:
        raise ConfigError("no model is named; give --model (homeostat/nano knows phones only, and holds no chats)")
    told = (*(load_rules(rules) if rules is not None else ()), *(rule or ()))
    spec.check()
    with loading_shown(spec.model):
        from homeostat.agent import serving

        built = serving.Service(spec.build(), name=name, rows=batch, most=queue, rules=told, retries=retries)
    for sensor, reason in built.degraded.items():
        typer.echo(f"homeostat: sensor {sensor!r} is left out: it {reason}", err=True)
    for planner in built.left_out:
        typer.echo(f"homeostat: controller {planner!r} is left out: an answer is one step, so it has no plan", err=True)
    if not is_loopback(host):
        typer.echo(f"warning: other machines can reach {host}; keys and chats are sent unencrypted", err=True)

    def ready(address: str) -> None:
        typer.echo(f"serving {built.name} at {address}/v1; Ctrl-C ends it")

    serving.serve(built, host=host, port=port, api_key=api_key, grace=grace, on_ready=ready)


def _check_access(host: str, api_key: str | None, *, loopback: bool) -> None:
    if api_key is None and not loopback:
        raise ConfigError(f"other machines can reach host {host!r}; give a key (--api-key), or listen on 127.0.0.1")
    if api_key is not None and (len(api_key) < _SHORTEST_KEY or not api_key.isascii() or not api_key.isprintable()):
        raise ConfigError(
            f"the API key has {len(api_key)} characters; give at least {_SHORTEST_KEY} printable ASCII ones"
        )
