"""``homeostat mine``: preference pairs from traces."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import typer
from pydantic import Field

from homeostat.cli.loading import say_loading
from homeostat.cli.settings import command_of
from homeostat.settings import Settings, save_settings

__all__ = ["MineSettings", "command"]


class MineSettings(Settings):
    """The settings of ``homeostat mine``; every field is a flag."""

    traces: list[Path] = Field(min_length=1, description="Run folders, or folders that contain run folders.")
    sources: list[Literal["corrected", "drift", "loop"]] = Field(
        ["corrected", "drift", "loop"],
        description="Sources of pairs. corrected: a failed attempt and the one acted on; drift: an answer that drew a "
        "complaint and a new sample (the DRIFT method); loop: the bare model's answer and what the loop did.",
    )
    filter: bool = Field(
        False,
        description="Leave out feedback that is probably noise: actions that were taken back at once, and attempts in "
        "a burst of rejected ones.",
    )
    held_out: float = Field(0.0, ge=0, lt=1, description="Share of the tasks whose pairs go to OUT/held_out instead.")
    merge_with: list[Path] = Field([], description="Pairs of an earlier round, to which the new ones are added.")
    push_to: str | None = Field(
        None,
        description="Name of a dataset on the Hugging Face hub, such as my-org/my-pairs, to push the pairs to. A new "
        "one is private.",
    )
    out: Path = Field(Path("runs/pairs"), description="Output folder for OUT/pairs, OUT/held_out and the config.")


def _run(settings: MineSettings, dry_run: bool) -> None:
    from collections import Counter

    if not dry_run:
        say_loading(settings.model)
    from homeostat.alignment.preference.steps import read_traces
    from homeostat.errors import ConfigError
    from homeostat.hub import check_repo

    if settings.push_to:
        check_repo(settings.push_to)

    traces = read_traces(settings.traces)
    if dry_run:
        reached = sum(bool(t.finish and t.finish.success) for t in traces)
        typer.echo(f"{len(traces)} traces, {reached} of them reached their goal")
        return
    from homeostat.alignment.preference.mining import complaint_pairs, corrected_pairs, loop_pairs
    from homeostat.alignment.preference.noise import NoiseFilter
    from homeostat.alignment.preference.pairs import read_pairs, split_by_task, unique, write_pairs
    from homeostat.alignment.preference.sharing import push_pairs
    from homeostat.alignment.sail.adapters import load_adapted

    model = load_adapted(settings.model, **settings.load_options())
    noise = NoiseFilter() if settings.filter else NoiseFilter(dwell=None, burst=None)
    found = [pair for path in settings.merge_with for pair in read_pairs(path)]
    if "corrected" in settings.sources:
        found += [pair for trace in traces for pair in corrected_pairs(trace, model.style, noise)]
    if "drift" in settings.sources:
        found += [pair for trace in traces for pair in complaint_pairs(trace, model.style, model, settings.seed, noise)]
    if "loop" in settings.sources:
        found += loop_pairs(traces, model.style, model, noise)
    pairs = unique(found)
    if not pairs:
        raise ConfigError(
            f"{len(traces)} traces give no pairs from the sources {', '.join(settings.sources)}; record more runs"
        )
    save_settings(settings, settings.out)
    train, held = split_by_task(pairs, settings.held_out, settings.seed)
    for name, side in (("pairs", train), ("held_out", held)):
        if side:
            write_pairs(side, settings.out / name)
    if settings.push_to:
        typer.echo(f"pushed to {push_pairs(train, settings.push_to, model=settings.model)}")
    kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(Counter(p.kind for p in pairs).items()))
    typer.echo(
        f"{settings.out / 'pairs'}: {len(train)} pairs ({kinds}), {len(held)} held out; "
        f"{len(found) - len(pairs)} duplicates dropped"
    )


command = command_of(
    MineSettings,
    _run,
    """Make preference pairs from recorded runs: rejected answers that failed, chosen answers that passed.

    The pairs have TRL's preference format, with images. Duplicates are dropped, and all pairs of a task stay on one
    side of the split.

    \b
    Examples:
      homeostat eval --controllers default --traces runs/traces
      homeostat mine --traces runs/traces --out runs/pairs
      homeostat diagnose --suite chat --split train \\
        --controllers pull-reminders --probe runs/probe --traces runs/chats
      homeostat mine --traces runs/chats --sources corrected --model NAME
    """,
    needs=("datasets",),
)
