"""``homeostat calibrate``: finds the sensors' alarm thresholds at a chosen false-alarm rate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from homeostat.cli.completion import completes, completes_several
from homeostat.cli.eval_job import Job, Playing, play, suite_arguments, suite_settings
from homeostat.cli.loading import say_loading
from homeostat.cli.model_flags import with_model_flags
from homeostat.errors import ConfigError
from homeostat.foreign_text import shown
from homeostat.model_options import ModelOptions

if TYPE_CHECKING:
    from homeostat.envs.harness import Result, Suite
    from homeostat.sensors.calibration import Calibration

__all__ = ["calibrate"]


@with_model_flags
def calibrate(
    model: Annotated[
        str,
        typer.Option(
            autocompletion=completes("models"), help="The model: a name on the Hugging Face hub, or a folder."
        ),
    ] = "homeostat/nano",
    sensors: Annotated[
        str,
        typer.Option(
            autocompletion=completes_several("sensors"),
            help="Sensor names, separated by commas ('homeostat list sensors'). Default: all that need no additional "
            "run of the model.",
        ),
    ] = "",
    suite: Annotated[
        str,
        typer.Option(
            autocompletion=completes("suites"),
            help="The suite of benign episodes: a name ('homeostat list suites'), or a YAML file.",
        ),
    ] = "atomic",
    split: Annotated[
        str | None,
        typer.Option(autocompletion=completes("", "train", "dev", "test"), help="The data split: train, dev or test."),
    ] = "dev",
    episodes: Annotated[int, typer.Option(min=1, help="The number of episodes that determine the thresholds.")] = 200,
    held_out: Annotated[
        int, typer.Option(min=0, help="The number of further episodes that the resulting rate is measured on.")
    ] = 200,
    rate: Annotated[
        float, typer.Option(help="The share of benign episodes that may raise a false alarm, above 0 and below 1.")
    ] = 0.05,
    seed: Annotated[int, typer.Option(help="The seed that selects the episodes.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="The number of processes. More than 1 run on Ray.")] = 1,
    loading: ModelOptions = ModelOptions(),  # noqa: B008
    out: Annotated[Path, typer.Option(help="The calibration file to write.")] = Path("calibration.json"),
) -> None:
    """Set the sensors' alarm thresholds for a chosen false-alarm rate.

    The method is split conformal prediction: at most the chosen share of benign episodes raises an alarm. The rate is
    also measured, on held-out episodes that the thresholds were not computed from.

    Each episode is written to OUT.jsonl when it ends. To resume an interrupted calibration, run the same command again.

    \b
    Examples:
      homeostat calibrate --rate 0.05 --out nano.json
      homeostat run --task random --calibration nano.json
    """
    from homeostat.agent.models.loading import resolve, template_hash, weights_hash
    from homeostat.envs.harness import load_suite
    from homeostat.sensors.calibration import Alarm, Calibration, calibrated_alarms, conformal_threshold

    conformal_threshold([0.0] * episodes, rate, "below")  # too few episodes are refused before any is played
    source = load_suite(suite, split=split, seed=seed, controllers="none", episodes=episodes + held_out)
    say_loading(model)
    names = _names(sensors, model)
    results = play(source, _job(source, model, names, workers, loading), out, Playing(workers))[0]
    lost = [r for r in results if r.ended == "error"]
    if lost:
        raise ConfigError(
            f"{len(lost)} episodes ended in an error, the first: {lost[0].reason}; no threshold was computed"
        )
    benign = [r.readings for r in results[:episodes]]
    alarms: list[Alarm] = []
    for sensor in _built(names, model):
        try:
            alarms += calibrated_alarms([sensor], benign, rate)
        except ConfigError as error:
            if sensors:
                raise
            typer.echo(f"left out: {shown(str(error))}")
    where = resolve(model, loading.revision)
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
    from homeostat.agent.registry import sensor_names
    from homeostat.sensors.contracts import SubtaskSensor

    given = tuple(name.strip() for name in sensors.split(",") if name.strip())
    if given:
        return given
    built = _built(sensor_names(), model, all_of_them=False)
    return tuple(s.name for s in built if "model" not in s.needs and not isinstance(s, SubtaskSensor))


def _built(names: Any, model: str, *, all_of_them: bool = True) -> tuple[Any, ...]:
    """Builds the sensors; with ``all_of_them=False`` only those that a Transformers model can feed by itself."""
    from homeostat.agent.models.transformers_model import TransformersModel
    from homeostat.agent.registry import sensors_for

    capabilities = TransformersModel.capabilities
    return sensors_for(names, capabilities) if all_of_them else sensors_for((), capabilities, wanted=names)


def _job(suite: Suite, model: str, names: tuple[str, ...], workers: int, loading: ModelOptions) -> Job:
    import os

    from homeostat.agent.models.loading import resolve, weights_hash
    from homeostat.agent.runner import runner_spec
    from homeostat.agent.spec import AgentSpec

    threads = None if workers == 1 else max(1, (os.cpu_count() or 1) // workers)
    agent = AgentSpec(model=model, controllers=("none",), sensors=names, **loading.load_options())
    spec = runner_spec(agent, keep_readings=True, threads=threads, **suite_settings(suite))
    arguments = suite_arguments(suite) | {
        "model": model,
        "weights": weights_hash(resolve(model, loading.revision)),
        "sensors": list(names),
        **loading.chosen_options(),
    }
    return Job(spec, arguments, f"calibration on {suite.name}/{suite.split}")


def _tell(made: Calibration, fresh: list[Result], out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from homeostat.envs.harness import wilson

    table = Table("sensor", "alarms", "threshold", f"false alarms on {len(fresh)} held-out episodes")
    for alarm in made.alarms:
        alarmed = sum(alarm.raised_in(r.readings) for r in fresh)
        measured = wilson(alarmed, len(fresh)).percent() if fresh else "not measured"
        table.add_row(alarm.sensor, alarm.side, f"{alarm.threshold:.4g}", measured)
    Console(highlight=False).print(table)
    typer.echo(f"{out}: {len(made.alarms)} sensors, nominal rate {made.rate:.1%} of benign episodes")
