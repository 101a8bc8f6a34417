"""The options that describe an agent, shared by the commands that build one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from homeostat.cli.completion import completes, completes_several

if TYPE_CHECKING:
    from homeostat.agent.spec import AgentSpec

__all__ = [
    "Agent",
    "Attempts",
    "BaseUrl",
    "Calibration",
    "CallSeconds",
    "ChatModel",
    "Controllers",
    "Engine",
    "EngineOptions",
    "EnvSeconds",
    "EpisodeSeconds",
    "EpisodeTokens",
    "Heads",
    "KeepCheckpoints",
    "MaxNewTokens",
    "Memory",
    "Model",
    "Planner",
    "Probe",
    "RecordAttention",
    "Sensors",
    "agent_from",
    "limits_from",
]

Agent = Annotated[
    Path | None,
    typer.Option(
        "--agent", help="A YAML file that describes the agent (fields of AgentSpec). Options here win over it."
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        autocompletion=completes("models"),
        help="The model: a name on the Hugging Face hub, a folder or a GGUF file; on a server: openai:NAME, or the "
        "server's address. Default: homeostat/nano.",
    ),
]
ChatModel = Annotated[
    str | None,
    typer.Option(
        help="The model, which must be named here or in --agent: a name on the Hugging Face hub, a folder or a GGUF "
        "file; on a server: openai:NAME, or the server's address. The included models operate phones and can't chat."
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        help="With openai:NAME: the address of the OpenAI-compatible server. The key is $OPENAI_API_KEY. "
        "Default: $OPENAI_BASE_URL, else OpenAI."
    ),
]
Engine = Annotated[
    str | None,
    typer.Option(
        autocompletion=completes("", "transformers", "vllm"),
        help="What runs the model's weights: transformers, or vllm (docs/how-to/vllm.md). Default: transformers.",
    ),
]
EngineOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--engine-option",
        metavar="<name>=<value>",
        help="With --engine vllm: an argument of vLLM's engine, such as max_model_len=4096. May be given several "
        "times.",
    ),
]
Controllers = Annotated[
    str | None,
    typer.Option(
        autocompletion=completes_several("controllers"),
        help="The controllers, in order: names with commas, 'default', or 'none' for the bare model ('homeostat list "
        "controllers').",
    ),
]
Planner = Annotated[
    str | None,
    typer.Option(
        autocompletion=completes("models"),
        help="Another model that splits the goal and reads screens: a name or a folder. Default: the one that the "
        "model's prompt style names, else the model itself.",
    ),
]
Heads = Annotated[
    Path | None,
    typer.Option(
        help="Attention heads to steer, as 'homeostat profile' writes them: a file, its folder, or a hub name. "
        "Default: the model's own file."
    ),
]
Calibration = Annotated[
    Path | None,
    typer.Option(
        help="Alarm thresholds, as 'homeostat calibrate' writes them: a file, its folder, or a hub name. Default: the "
        "model's own file."
    ),
]
Probe = Annotated[
    Path | None,
    typer.Option(
        help="A learned reading of conflicts, as 'homeostat fit-probe' writes it: a file, its folder, or a hub name. "
        "Default: the model's own, where a controller needs it."
    ),
]
Memory = Annotated[
    float | None,
    typer.Option(
        help="Thin the model's key-value cache after every call to this share of the tokens (or, above 1, to so many). "
        "Default: keep everything."
    ),
]
CallSeconds = Annotated[
    float | None,
    typer.Option(help="The deadline of one model call, in seconds: it then returns what it has. Default: none."),
]
EnvSeconds = Annotated[
    float | None,
    typer.Option(help="The deadline of one call of a real device or browser, in seconds. Default: 120."),
]
Sensors = Annotated[
    str | None,
    typer.Option(
        autocompletion=completes_several("sensors"),
        help="Sensors to read besides those that the controllers need: names with commas ('homeostat list sensors'). "
        "Default: attention_drift,confidence.",
    ),
]
Attempts = Annotated[int | None, typer.Option(help="The most model calls of one step. Default: 4.")]
MaxNewTokens = Annotated[int | None, typer.Option(help="The most tokens of an answer. Default: 128.")]
EpisodeSeconds = Annotated[
    float | None, typer.Option(help="The most seconds of an episode, which then ends as 'budget'. Default: no bound.")
]
RecordAttention = Annotated[
    bool,
    typer.Option(
        "--record-attention",
        help="Keep the attention of every model call on every token of its prompt, for 'homeostat report' and 'view'.",
    ),
]
KeepCheckpoints = Annotated[
    bool,
    typer.Option(
        "--keep-checkpoints", help="Keep the state at the start of every step, so that 'homeostat fork' can go back."
    ),
]
EpisodeTokens = Annotated[
    int | None,
    typer.Option(help="The most tokens that an episode may generate; it then ends as 'budget'. Default: no bound."),
]
_LIMITS = {
    "seconds": "call-seconds",
    "env_seconds": "env-seconds",
    "attempts": "attempts",
    "max_new_tokens": "max-new-tokens",
    "episode_seconds": "episode-seconds",
    "tokens": "episode-tokens",
}
"""The option of every field of ``LoopLimits`` that the command line gives."""


def limits_from(
    call_seconds: float | None,
    env_seconds: float | None,
    attempts: int | None,
    max_new_tokens: int | None,
    episode_seconds: float | None,
    episode_tokens: int | None,
) -> dict[str, Any] | None:
    """Collects the limits that the command line gives.

    Args:
        call_seconds: The deadline of one model call, in seconds.
        env_seconds: The deadline of one call of the environment, in seconds.
        attempts: The most model calls of one step.
        max_new_tokens: The most tokens of an answer.
        episode_seconds: The most seconds of an episode.
        episode_tokens: The most generated tokens of an episode.

    Returns:
        Fields of ``LoopLimits``; None if no option is given.
    """
    values = (call_seconds, env_seconds, attempts, max_new_tokens, episode_seconds, episode_tokens)
    return {name: value for name, value in zip(_LIMITS, values, strict=True) if value is not None} or None


def agent_from(file: Path | None, defaults: dict[str, Any] | None = None, **options: Any) -> AgentSpec:
    """Builds a specification from a file and options.

    Args:
        file: A YAML file; None begins with the defaults.
        defaults: Fields that differ from the defaults of ``AgentSpec`` where neither file nor option gives them.
        options: Fields that the command line gives; None leaves a field as it is. Of ``limits``, only the limits that
            are given replace those of the file. ``engine_options`` are texts such as ``"max_model_len=4096"``.

    Returns:
        The specification.

    Raises:
        ConfigError: The file or an option can't be.
    """
    from pydantic import ValidationError

    from homeostat.agent.spec import AgentSpec
    from homeostat.errors import ConfigError

    given = {name: value for name, value in options.items() if value is not None}
    if texts := given.pop("engine_options", None):
        from homeostat.agent.vllm.engine_options import read_options

        given["engine_options"] = read_options(texts)
    base: dict[str, Any] = dict(defaults or {})
    if file is not None:
        loaded = AgentSpec.load(file)
        base |= {name: getattr(loaded, name) for name in loaded.model_fields_set}
    if "limits" in given and "limits" in base:
        given["limits"] = base["limits"].model_dump() | given["limits"]
    try:
        return AgentSpec.model_validate(base | given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "agent"
        if name == "limits":
            name = _LIMITS.get(str(first["loc"][-1]), name)
        raise ConfigError(f"--{name.replace('_', '-')} {first['input']!r}: {first['msg']}") from None
