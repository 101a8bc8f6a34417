"""``homeostat diagnose``: how a model keeps the hierarchy of its instructions."""

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
    """Fields are the command's flags."""

    suite: Literal["phone", "chat", "iheval", "s-ifeval", "tensortrust"] = Field(
        "phone", description="phone or chat (generated), or a public set: iheval, s-ifeval, tensortrust."
    )
    path: Path | None = Field(None, description="A public set's file or folder, in its own format.")
    split: Literal["train", "dev", "test"] = Field("test", description="Whose wordings and words, in generated suites.")
    kinds: list[str] = Field([], description="Only these kinds. Default: all.")
    count: int = Field(270, ge=1, description="Conflicts, with as many twins (public sets: at most so many cases).")
    judge: str | None = Field(
        None, description="A model that scores the answers too: a name, a folder, or a server's URL."
    )
    rubric: Literal["generic", "written"] = Field("generic", description="The judge's rubric; written: for each case.")
    max_new_tokens: int = Field(64, ge=1, description="The longest answer.")
    batch: int = Field(16, ge=1, description="Prompts answered side by side.")
    out: Path = Field(Path("runs/diagnose"), description="Where report.json, report.png and the config go.")

    @model_validator(mode="after")
    def _fits(self) -> DiagnoseSettings:
        if (self.path is None) != (self.suite in ("phone", "chat")):
            raise ValueError(f"suite {self.suite!r} {'takes no' if self.path else 'needs a'} path")
        return self


def _run(settings: DiagnoseSettings, dry_run: bool) -> None:
    from rich.console import Console
    from rich.progress import Progress

    from homeostat.alignment.conflicts.public import load_public
    from homeostat.alignment.diagnosis.report import plot, show
    from homeostat.alignment.diagnosis.run import diagnose, generated, summarise
    from homeostat.alignment.sail.adapters import load_adapted

    model = load_adapted(settings.model, settings.device, settings.dtype)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 150)
    if settings.path is not None:
        cases, left_out = load_public(settings.suite, settings.path)
        cases = cases[: settings.count]
        console.print(f"{len(cases)} cases of {settings.suite}; {left_out} rows no program can check")
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
    judge = load_adapted(settings.judge, settings.device, settings.dtype) if settings.judge else None
    save_settings(settings, settings.out)
    with Progress(transient=True) as progress:
        task = progress.add_task("asking", total=len(cases))
        answers, unparsable = diagnose(
            model,
            cases,
            judge=judge,
            rubric=settings.rubric,
            max_new_tokens=settings.max_new_tokens,
            batch=settings.batch,
            told=lambda n: progress.update(task, completed=n),
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
    """Run a model over conflicting instructions and their aligned twins; score every answer with CRAS.

    Per kind and level: how often the higher instruction was kept and the twin done, and the four scores, from
    the facts (and a judge's, beside them). Public sets are read from your own copy.
    """,
)
