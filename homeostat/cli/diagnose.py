"""``homeostat diagnose``: how well a model follows the hierarchy of its instructions."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer
from pydantic import Field, model_validator

from homeostat.cli.loading import loading_shown
from homeostat.cli.settings import command_of
from homeostat.settings import Settings, save_settings

if TYPE_CHECKING:
    from rich.console import Console

    from homeostat.agent.agent import Agent
    from homeostat.agent.models.protocol import Model
    from homeostat.alignment.conflicts.core import Case
    from homeostat.sensors.rubric import Judge

__all__ = ["DiagnoseSettings", "command"]


class DiagnoseSettings(Settings):
    """The settings of ``homeostat diagnose``; every field is a flag."""

    suite: Literal["phone", "chat", "team", "iheval", "s-ifeval", "tensortrust", "realguardrails"] = Field(
        "phone",
        description="Set of cases: phone, chat or team (generated), or the public iheval, s-ifeval, tensortrust, or "
        "realguardrails (needs a judge).",
    )
    path: Path | None = Field(None, description="File or folder of a public set, as its authors published it.")
    split: Literal["train", "dev", "test"] = Field("test", description="Data split of a generated suite.")
    kinds: list[str] = Field([], description="Kinds of conflict, or tasks of a public set. Default: all kinds.")
    setting: list[Literal["conflict", "aligned", "reference"]] = Field(
        [], description="Settings of a public set: conflict, aligned or reference. Default: all settings."
    )
    count: int = Field(
        270,
        ge=1,
        description="Number of conflicts, each with an aligned twin. Of a public set: the size of a sample that is "
        "drawn evenly over kinds and settings.",
    )
    controllers: str = Field(
        "none",
        min_length=1,
        description="The agent's controllers, in order: names with commas. The agent's loop then answers the cases, "
        "with the sensors that they need. Default: the bare model.",
    )
    probe: Path | None = Field(
        None,
        description="A learned reading of conflicts, as 'homeostat fit-probe' writes it: a file, its folder, "
        "or a hub name.",
    )
    heads: Path | None = Field(
        None,
        description="Attention heads to steer, as 'homeostat profile' writes them: a file, its folder, or a hub name.",
    )
    traces: Path | None = Field(
        None,
        description="With controllers: folder for a trace of each answer, of which 'homeostat mine' makes preference "
        "pairs. Default: none.",
    )
    judge: str | None = Field(
        None,
        description="Model that also scores the answers: a name, a folder, openai:NAME, or a server's address. "
        "Default: none.",
    )
    rubric: Literal["generic", "written"] = Field(
        "generic", description="Rubric of the judge. written: the judge writes one for each case."
    )
    max_new_tokens: int = Field(64, ge=1, description="Longest answer, in tokens.")
    batch: int = Field(16, ge=1, description="Number of prompts answered in one batch.")
    out: Path = Field(Path("runs/diagnose"), description="Output folder for report.json, report.png and the config.")

    @model_validator(mode="after")
    def _complete(self) -> DiagnoseSettings:
        if (self.path is None) != (self.suite in ("phone", "chat", "team")):
            raise ValueError(f"suite {self.suite!r} {'does not take a' if self.path else 'needs a'} path")
        if self.setting and self.path is None:
            raise ValueError(f"suite {self.suite!r} has no settings; leave setting out")
        if self.suite == "realguardrails" and self.judge is None:
            raise ValueError("suite 'realguardrails' has rules that no program can check; name a judge model")
        if self.controllers == "none" and (self.probe is not None or self.heads is not None):
            raise ValueError("a probe and heads are of use to controllers; name some with controllers")
        if self.controllers == "none" and self.traces is not None:
            raise ValueError("traces hold what an agent's loop did; name its controllers")
        if self.controllers != "none" and self.suite == "phone":
            raise ValueError("suite 'phone' shows screens, and an agent's chat has none; leave controllers out")
        return self


def _public_cases(settings: DiagnoseSettings, console: Console) -> list[Case]:
    from homeostat.alignment.conflicts.public import draw_cases, load_public, select_cases

    assert settings.path is not None
    loaded, left_out = load_public(settings.suite, settings.path)
    cases = draw_cases(select_cases(loaded, settings.kinds, settings.setting), settings.count, settings.seed)
    without = f"; {left_out} more rows left out, because no program can check them" if left_out else ""
    console.print(f"{len(cases)} of {len(loaded)} cases of {settings.suite}{without}")
    return cases


def _generated_cases(settings: DiagnoseSettings, model: Model) -> list[Case]:
    from homeostat.alignment.diagnosis.run import generated

    assert settings.suite in ("phone", "chat", "team")
    return generated(model, settings.suite, settings.split, settings.seed, settings.count, settings.kinds)


def _agent(settings: DiagnoseSettings, model: Model) -> Agent | None:
    """The agent that answers; None for the bare model."""
    from homeostat.agent.agent import Agent
    from homeostat.agent.loop.limits import LoopLimits
    from homeostat.agent.registry import controllers_of, needed_probe, sensors_for
    from homeostat.controllers.registry import preset_sensors

    if settings.controllers == "none":
        return None
    needed = preset_sensors(settings.controllers)
    probe = needed_probe(settings.controllers, (), settings.model, settings.probe)
    cascade = controllers_of(settings.controllers, settings.model, settings.heads, probe)
    sensors = sensors_for(needed, model.capabilities, probe=probe)
    return Agent(model, sensors, cascade, limits=LoopLimits(max_new_tokens=settings.max_new_tokens))


def _judge(settings: DiagnoseSettings) -> Judge | None:
    """The judge; None without one."""
    from homeostat.agent.models.any_model import load_model
    from homeostat.agent.models.server_names import is_served
    from homeostat.alignment.sail.adapters import load_adapted

    if settings.judge is None:
        return None
    if is_served(settings.judge):
        return load_model(settings.judge)
    return load_adapted(settings.judge, **settings.other_load_options())


def _run(settings: DiagnoseSettings, dry_run: bool) -> None:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 150)
    public = _public_cases(settings, console) if settings.path is not None else None  # bad data end it before the model
    with loading_shown(settings.model):
        from homeostat.alignment.diagnosis.report import plot, show
        from homeostat.alignment.diagnosis.run import diagnose
        from homeostat.alignment.diagnosis.summary import summarise
        from homeostat.alignment.sail.adapters import load_adapted
        from homeostat.sensors.rubric import DIMENSIONS

        model = load_adapted(settings.model, **settings.load_options())
    cases = public or _generated_cases(settings, model)
    if dry_run:
        counted = Counter(f"{c.kind} {c.setting}" if settings.path else c.kind for c in cases)
        typer.echo(f"{len(cases)} cases: {', '.join(f'{n} {kind}' for kind, n in counted.items())}")
        return
    judge = _judge(settings)
    save_settings(settings, settings.out)
    with Progress(transient=True) as progress:
        task = progress.add_task("asking the model", total=len(cases))
        answers, unparsable = diagnose(
            model,
            cases,
            agent=_agent(settings, model),
            judge=judge,
            rubric=settings.rubric,
            max_new_tokens=settings.max_new_tokens,
            batch=settings.batch,
            on_progress=lambda done: progress.update(task, completed=done),
            traces=settings.traces,
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
    plot(found).save(settings.out / "report.png")
    show(found, console)
    legend = "; ".join(f"{name}: {text.partition(':')[0]}" for name, text in DIMENSIONS.items())
    console.print(f"{legend}; CRAS: all four in one number. Scores go from 1 to 5, and more is better.", soft_wrap=True)
    typer.echo(f"{settings.out}: report.json, report.png")


command = command_of(
    DiagnoseSettings,
    _run,
    """Measure how well a model follows the hierarchy of its instructions.

    The model answers conflicts, in which two instructions contradict each other, and their aligned twins, in which the
    same instructions agree. The report has, for each kind and level, the share of
    conflicts in which the higher instruction was followed, the share of twins that were done, and the four CRAS
    scores by the ground truth and, with --judge, by a judge. With --controllers, the agent's loop answers. Public sets
    are read from your own copy; the report then has the metrics of their authors too. Their checks need the extra
    homeostat[public].

    \b
    Examples:
      homeostat diagnose --suite chat --model Qwen/Qwen2.5-Coder-0.5B-Instruct
      homeostat diagnose --suite iheval --path iheval/ --count 200
    """,
)
