"""``homeostat fit-probe``: learns to read from single heads whether instructions conflict."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import typer
from pydantic import Field

from homeostat.cli.loading import loading_shown
from homeostat.cli.settings import command_of
from homeostat.settings import Settings, save_settings

__all__ = ["FitProbeSettings", "command"]


class FitProbeSettings(Settings):
    """The settings of ``homeostat fit-probe``; every field is a flag."""

    heads: Path = Field(
        Path("runs/localize"),
        description="The model's localization (`homeostat localize`): a file, its folder, or a hub name.",
    )
    kinds: list[str] = Field([], description="Kinds of conflict. Default: all kinds.")
    train: int = Field(192, ge=2, description="Number of train conflicts, each with its aligned twin.")
    dev: int = Field(96, ge=2, description="Number of dev conflicts in other wordings; their twins set the threshold.")
    rate: float = Field(0.1, gt=0, lt=1, description="Share of aligned prompts that may raise a false alarm.")
    out: Path = Field(Path("runs/probe"), description="Output folder for probe.json and the config.")


def _run(settings: FitProbeSettings, dry_run: bool) -> None:
    from rich.progress import Progress

    from homeostat.alignment.conflicts.chat import HIERARCHY_KINDS, hierarchy_twins
    from homeostat.alignment.conflicts.core import cases_of
    from homeostat.alignment.sail.localization import Localization

    kinds = tuple(settings.kinds or HIERARCHY_KINDS)
    train = cases_of(islice(hierarchy_twins("train", settings.seed, kinds), settings.train))
    dev = cases_of(islice(hierarchy_twins("dev", settings.seed, kinds), settings.dev))
    heads = Localization.from_pretrained(settings.heads).heads
    if dry_run:
        typer.echo(f"{len(train)} train and {len(dev)} dev prompts, {len(heads)} heads")
        return
    with loading_shown(settings.model):
        from homeostat.alignment.probing.learn import learn_probe
        from homeostat.alignment.sail.adapters import load_adapted

        model = load_adapted(settings.model, **settings.load_options())
    save_settings(settings, settings.out)
    with Progress(transient=True) as progress:
        task = progress.add_task("reading prompts", total=len(train) + len(dev))
        probe = learn_probe(
            model,
            train,
            dev,
            heads,
            rate=settings.rate,
            on_progress=lambda done: progress.update(task, completed=done),
        )
    probe.save(settings.out / "probe.json")
    figures = probe.figures
    typer.echo(
        f"AUROC {figures['auroc_left_out']:.2f} on train wordings that were left out of the fit, "
        f"{figures['auroc_dev']:.2f} on dev wordings; alarm above {probe.threshold:+.3f} on "
        f"{figures['alarms_dev']:.0%} of dev conflicts and at most {settings.rate:.0%} of their twins"
    )
    typer.echo(f"{settings.out}: probe.json")


command = command_of(
    FitProbeSettings,
    _run,
    """Learn to read from single heads whether the user's instruction contradicts the system's.

    A linear probe on the attention masses of the heads that `homeostat localize` found, fitted on conflicts and their
    aligned twins. Its threshold is set on other wordings, at a chosen rate of false alarms. `--probe OUT` of run, eval,
    chat and serve makes it a part of the agent: the sensor `conflict_probe` reads with it, and the controllers `pull`
    and `system-reminders` act on its alarm. In Python, it is `ConflictProbe.load(OUT)`.

    \b
    Examples:
      homeostat localize --suite chat --model NAME
      homeostat fit-probe --model NAME --heads runs/localize
      homeostat chat --model NAME --probe runs/probe
    """,
)
