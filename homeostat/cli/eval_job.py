"""Who plays a suite, and how it is played: the part of ``homeostat eval`` that other commands use too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from homeostat.errors import ConfigError, UnknownName

if TYPE_CHECKING:
    from homeostat.agent.spec import AgentSpec
    from homeostat.envs.harness import Journal, Result, RunnerSpec, Suite

__all__ = ["Job", "Playing", "agent_job", "play", "policy_job", "suite_arguments", "suite_settings"]


@dataclass(frozen=True)
class Job:
    """Who plays a suite.

    Attributes:
        spec: How a worker builds the player.
        arguments: What the journal begins with: it must be the same when the evaluation is resumed.
        title: The title of the last line.
    """

    spec: RunnerSpec
    arguments: dict[str, Any]
    title: str


@dataclass(frozen=True)
class Playing:
    """How a suite is played. It does not change the results.

    Attributes:
        workers: How many processes play.
        address: A Ray cluster's address; None starts Ray on this machine if it is needed.
        batch: How many episodes each process plays at once.
    """

    workers: int = 1
    address: str | None = None
    batch: int = 1


def agent_job(
    suite: Suite, agent: AgentSpec, workers: int, traces: Path | None = None, *, record_attention: bool = False
) -> Job:
    """Lets an agent play a suite.

    Args:
        suite: The suite.
        agent: The agent's specification.
        workers: How many processes play.
        traces: A folder in which every episode leaves its run.
        record_attention: Whether these runs keep the attention on every token of their prompts.

    Returns:
        The job.

    Raises:
        ConfigError: The specification can't be, or a file belongs to another model.
        ModelError: A model can't be found.
    """
    from homeostat.agent.loop.limits import LoopLimits
    from homeostat.agent.models.loading import load_style, resolve
    from homeostat.agent.models.server_names import is_served
    from homeostat.agent.registry import calibration_of, controllers_of, needed_probe
    from homeostat.agent.runner import runner_spec
    from homeostat.controllers import preset_sensors

    needed = preset_sensors(agent.controllers)
    probe = needed_probe(agent.controllers, agent.sensors, agent.model, agent.probe)
    cascade = controllers_of(agent.controllers, agent.model, agent.heads, probe)
    names = ",".join(agent.controllers)
    source = None if is_served(agent.model) else resolve(agent.model, agent.revision)
    arguments = suite_arguments(suite) | {"controllers": names, "model": agent.model, "weights": _weights(source)}
    if agent.base_url is not None:
        arguments["base_url"] = agent.base_url
    if agent.heads is not None:
        arguments["heads"] = str(agent.heads)
    own = load_style(source, "").planner if source is not None else ""
    planner = (agent.planner or own) if cascade.plans else None
    if planner:
        arguments |= {
            "planner": planner,
            "planner_weights": _weights(None if is_served(planner) else resolve(planner)),
        }
    if probe is not None:
        arguments["probe"] = sha256(probe.probe.model_dump_json().encode()).hexdigest()[:12]
    thresholds = calibration_of(agent.model, agent.calibration)
    if thresholds is not None and (agent.calibration is not None or needed):
        used = [a for a in thresholds.alarms if agent.calibration is not None or a.sensor in needed]
        arguments |= {"calibration": [a.model_dump() for a in used]} if used else {}
    arguments |= agent.chosen_options()
    if agent.engine != "transformers":
        arguments |= {"engine": agent.engine, "engine_options": dict(agent.engine_options)}
    if agent.limits != LoopLimits():
        arguments["agent_limits"] = agent.limits.model_dump(exclude_defaults=True)
    threads = None if workers == 1 else max(1, (os.cpu_count() or 1) // workers)
    where = str(traces.absolute()) if traces is not None else None
    more = {"record_attention": True} if record_attention else {}
    spec = runner_spec(agent, threads=threads, traces=where, **more, **suite_settings(suite))
    return Job(spec, arguments, f"{suite.name}/{suite.split}, {names}, {agent.model}")


def _weights(source: str | None) -> str | None:
    """The hash of a model's weights; None for a model on a server."""
    from homeostat.agent.models.loading import weights_hash

    return None if source is None else weights_hash(source)


def policy_job(suite: Suite, policy: str, controllers: str | None, model: str | None) -> Job:
    """Lets a policy without a model play a suite.

    Args:
        suite: The suite.
        policy: The policy's name, such as ``"oracle"``.
        controllers: What the command line gives as controllers; a policy has none.
        model: What the command line gives as a model; a policy has none.

    Returns:
        The job.

    Raises:
        ConfigError: Controllers or a model are given.
        UnknownName: The policy is unknown.
    """
    from homeostat.envs.harness import POLICIES, policy_spec

    if policy not in POLICIES:
        raise UnknownName.of("policy", policy, POLICIES)
    for option, given in (("--model", model), ("--controllers", controllers)):
        if given not in (None, "none"):
            raise ConfigError(f"{option} {given!r} has no place beside --policy {policy!r}; leave one of them out")
    return Job(
        policy_spec(policy, **suite_settings(suite)),
        suite_arguments(suite) | {"policy": policy},
        f"{suite.name}/{suite.split}, policy {policy}",
    )


def suite_arguments(suite: Suite) -> dict[str, Any]:
    """What must be the same for a journal to go on; the number of episodes may grow."""
    more = {"options": dict(suite.options), "limits": suite.limits.model_dump(exclude_none=True)}
    known = {"suite": suite.name, "split": suite.split, "seed": suite.seed, "env": suite.env}
    return known | {name: value for name, value in more.items() if value}


def suite_settings(suite: Suite) -> dict[str, Any]:
    """What a runner is told of the suite."""
    return {"env": suite.env, "split": suite.split, "options": dict(suite.options), **suite.limits.model_dump()}


def play(suite: Suite, job: Job, out: Path | None, how: Playing) -> tuple[list[Result], datetime]:
    """The results in order, and when the run began (before an interruption, if there was one)."""
    from homeostat.cli.ending import ends_in_time, terminate_like_ctrl_c
    from homeostat.cli.eval_view import progress
    from homeostat.envs.harness import evaluate as run_cases

    cases = suite.cases()
    results: list[Result] = []
    with _journal(out, job.arguments) as journal, ends_in_time() as ending, terminate_like_ctrl_c():
        try:
            with (
                progress(len(cases)) as tell,
                closing(run_cases(job.spec, cases, journal, **asdict(how))) as played,
            ):
                for result in played:
                    results.append(result)
                    tell(results)
        except KeyboardInterrupt:
            kept = f"kept in {str(journal.path)!r}; the same command goes on" if journal else "lost without --json"
            typer.echo(f"interrupted after {len(results)} of {len(cases)} episodes, {kept}", err=True)
            raise typer.Exit(ending.interrupted) from None
        begun = journal.begun if journal is not None else datetime.now(UTC)
    return sorted(results, key=lambda r: r.index), begun


@contextmanager
def _journal(out: Path | None, arguments: dict[str, Any]) -> Iterator[Journal | None]:
    from homeostat.envs.harness.export import is_stream

    if out is None or is_stream(out):  # a device such as /dev/stdout takes the result only
        yield None
        return
    from homeostat.envs.harness import Journal

    journal = Journal(out.with_name(out.name + "l") if out.suffix == ".json" else Path(f"{out}.jsonl"), arguments)
    try:
        yield journal
    finally:
        journal.close()
