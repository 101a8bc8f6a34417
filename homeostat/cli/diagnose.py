"""``homeostat diagnose``: how well a model follows the hierarchy of its instructions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import typer
from pydantic import Field, model_validator

from homeostat.cli.settings import command_of
from homeostat.settings import Settings, save_settings

__all__ = ["DiagnoseSettings", "command"]


class DiagnoseSettings(Settings):
    """The settings of ``homeostat diagnose``; every field is a flag."""

    suite: Literal["phone", "chat", "iheval", "s-ifeval", "tensortrust"] = Field(
        "phone", description="Set of cases: phone or chat (generated), or the public iheval, s-ifeval, tensortrust."
    )
    path: Path | None = Field(None, description="File or folder of a public set, in its own format.")
    split: Literal["train", "dev", "test"] = Field("test", description="Data split of a generated suite.")
    kinds: list[str] = Field([], description="Kinds of conflict in a generated suite. Default: all kinds.")
    count: int = Field(
        270, ge=1, description="Number of conflicts, each with an aligned twin; the most cases of a public set."
    )
    judge: str | None = Field(
        None, description="Name, folder or server URL of a model that also scores the answers. Default: none."
    )
    rubric: Literal["generic", "written"] = Field(
        "generic", description="Rubric of the judge. written: the judge writes one for each case."
    )
    max_new_tokens: int = Field(64, ge=1, description="Longest answer, in tokens.")
    batch: int = Field(16, ge=1, description="Number of prompts answered in one batch.")
    out: Path = Field(Path("runs/diagnose"), description="Output folder for report.json, report.png and the config.")

    @model_validator(mode="after")
    def _complete(self) -> DiagnoseSettings:
        if (self.path is None) != (self.suite in ("phone", "chat")):
            raise ValueError(f"suite {self.suite!r} {'does not take a' if self.path else 'needs a'} path")
        return self


def _run(settings: DiagnoseSettings, dry_run: bool) -> None:
    from rich.console import Console
    from rich.progress import Progress

    from homeostat.alignment.conflicts.public import load_public
    from homeostat.alignment.diagnosis.report import plot, show
    from homeostat.alignment.diagnosis.run import diagnose, generated, summarise
    from homeostat.alignment.sail.adapters import load_adapted

    model = load_adapted(settings.model, **settings.load_options())
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 150)
    if settings.path is not None:
        cases, left_out = load_public(settings.suite, settings.path)
        cases = cases[: settings.count]
        console.print(
            f"{len(cases)} cases of {settings.suite}; {left_out} rows left out, because no program can check them"
        )
    else:
        cases = generated(
            model,
            "chat" if settings.suite == "chat" else "phone",
            settings.split,
            settings.seed,
            settings.count,
            settings.kinds,
        )
    if dry_run:
        kinds = ", ".join(dict.fromkeys(c.kind for c in cases))
        typer.echo(f"{len(cases)} cases: {kinds}")
        return
    judge = load_adapted(settings.judge, **settings.other_load_options()) if settings.judge else None
    save_settings(settings, settings.out)
    with Progress(transient=True) as progress:
        task = progress.add_task("asking the model", total=len(cases))
        answers, unparsable = diagnose(
            model,
            cases,
            judge=judge,
            rubric=settings.rubric,
            max_new_tokens=settings.max_new_tokens,
            batch=settings.batch,
            on_progress=lambda done: progress.update(task, completed=done),
        )
    found = summarise(
        answers,
        model=settings.model,
        suite=settings.suite,
        split=settings.split if settings.path is None else "public",
        seed=settings.seed,
        unparsable=unparsable,
    )
    (settings.out / "report.json").write_text(found.model_dump_json(indent=1) + "\n", encoding="utf-8")
    plot(found, settings.out / "report.png")
    show(found, console)
    typer.echo(f"{settings.out}: report.json, report.png")


command = command_of(
    DiagnoseSettings,
    _run,
    """Measure how well a model follows the hierarchy of its instructions.

    The model answers conflicts and their aligned twins. The report has, for each kind and level, the share of
    conflicts in which the higher instruction was followed, the share of twins that were done, and the four CRAS
    scores by the ground truth and, with --judge, by a judge. Public sets are read from your own copy.
    """,
)
