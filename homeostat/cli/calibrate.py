"""``homeostat calibrate``: thresholds for the sensors at a stated false-alarm rate, on benign episodes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from homeostat.cli.eval import Plan, play, suite_arguments, suite_settings
from homeostat.errors import ConfigError

if TYPE_CHECKING:
    from homeostat.envs.harness import Result, Suite
    from homeostat.sensors.calibration import Calibration

__all__ = ["calibrate"]


def calibrate(
    model: Annotated[str, typer.Option(help="A model's name or folder.")] = "homeostat/nano",
    sensors: Annotated[
        str, typer.Option(help="Names with commas. Default: all whose reading takes no further run of the model.")
    ] = "",
    suite: Annotated[str, typer.Option(help="Where benign episodes come from: a suite, or a YAML file.")] = "atomic",
    split: Annotated[str | None, typer.Option(help="Which words and states. Default: dev.")] = "dev",
    episodes: Annotated[int, typer.Option(min=1, help="How many episodes the thresholds come from.")] = 200,
    held_out: Annotated[int, typer.Option(min=0, help="How many others the rate is measured on.")] = 200,
    rate: Annotated[float, typer.Option(help="False alarms: the share of benign episodes that may alarm.")] = 0.05,
    seed: Annotated[int, typer.Option(help="Which episodes.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="How many processes play (above 1: on Ray).")] = 1,
    out: Annotated[Path, typer.Option(help="The calibration file.")] = Path("calibration.json"),
) -> None:
    """Set every alarm's threshold so that a stated share of benign episodes alarms (split conformal prediction).

    Episodes go to OUT.jsonl as they end: killed, the same command goes on. The measured rate comes from episodes that
    the thresholds don't.
    """
    from homeostat.agent.models.loading import resolve, template_hash, weights_hash
    from homeostat.envs.harness import load_suite
    from homeostat.sensors.calibration import Alarm, Calibration, calibrated_alarms, conformal_threshold

    conformal_threshold([0.0] * episodes, rate, "below")  # too few is said before anything is played
    source = load_suite(suite, split=split, seed=seed, controllers="none", episodes=episodes + held_out)
    names = _names(sensors, model)
    results = play(source, _plan(source, model, names, workers), out, workers, None)[0]
    lost = [r for r in results if r.ended == "error"]
    if lost:
        raise ConfigError(f"{len(lost)} episodes ended in an error, the first: {lost[0].reason}; nothing is calibrated")
    benign = [r.readings for r in results[:episodes]]
    alarms: list[Alarm] = []
    for sensor in _built(names, model):
        try:
            alarms += calibrated_alarms([sensor], benign, rate)
        except ConfigError as error:
            if sensors:
                raise
            typer.echo(f"left out: {error}")
    where = resolve(model)
    made = Calibration(
        model=model,
        weights=weights_hash(where),
        template=template_hash(where),
        suite=source.name,
        split=source.split,
        seed=seed,
        rate=rate,
        alarms=tuple(alarms),
    )
    made.save(out)
    _tell(made, results[episodes:], out)


def _names(sensors: str, model: str) -> tuple[str, ...]:
    from homeostat.agent.registry import SENSORS

    given = tuple(name.strip() for name in sensors.split(",") if name.strip())
    if given:
        return given
    built = _built(SENSORS, model, all_of_them=False)
    return tuple(s.name for s in built if "model" not in s.needs and not getattr(s, "checks", False))


def _built(names: Any, model: str, *, all_of_them: bool = True) -> tuple[Any, ...]:
    """The sensors; with ``all_of_them=False`` those that any white-box model can feed by itself."""
    from homeostat.agent.models.transformers_model import TransformersModel
    from homeostat.agent.registry import sensors_for

    provides = TransformersModel.provides
    return sensors_for(names, provides) if all_of_them else sensors_for((), provides, wanted=names)


def _plan(suite: Suite, model: str, names: tuple[str, ...], workers: int) -> Plan:
    import os

    from homeostat.agent.models.loading import resolve, weights_hash
    from homeostat.agent.runner import agent_spec

    threads = None if workers == 1 else max(1, (os.cpu_count() or 1) // workers)
    spec = agent_spec(model, sensors=list(names), threads=threads, **suite_settings(suite))
    arguments = suite_arguments(suite) | {
        "model": model,
        "weights": weights_hash(resolve(model)),
        "sensors": list(names),
    }
    return Plan(spec, arguments, f"calibration on {suite.name}/{suite.split}")


def _tell(made: Calibration, fresh: list[Result], out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from homeostat.envs.harness import wilson

    table = Table("sensor", "alarms", "threshold", f"false alarms on {len(fresh)} other episodes")
    for alarm in made.alarms:
        alarmed = sum(alarm.raised_in(r.readings) for r in fresh)
        measured = wilson(alarmed, len(fresh)).percent() if fresh else "not measured"
        table.add_row(alarm.sensor, alarm.side, f"{alarm.threshold:.4g}", measured)
    Console(highlight=False).print(table)
    typer.echo(f"{out}: {len(made.alarms)} sensors, nominal rate {made.rate:.1%} of benign episodes")
