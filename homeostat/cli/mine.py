"""``homeostat mine``: preference pairs out of traces."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import typer
from pydantic import Field

from homeostat.cli.settings import command_of
from homeostat.settings import Settings, save_settings

__all__ = ["MineSettings", "command"]


class MineSettings(Settings):
    """Fields are the command's flags."""

    traces: list[Path] = Field(min_length=1, description="Run folders, or folders that hold some; may be repeated.")
    sources: list[Literal["corrected", "drift", "loop"]] = Field(
        ["corrected", "drift", "loop"], description="Which pairs: corrected, drift, loop."
    )
    held_out: float = Field(0.0, ge=0, lt=1, description="Share of the tasks that go to OUT/held_out instead.")
    merge_with: list[Path] = Field([], description="Pairs of earlier rounds, kept beside the new ones.")
    push_to: str | None = Field(None, description="A hub name that the pairs are pushed to besides.")
    out: Path = Field(Path("runs/pairs"), description="The datasets folder: OUT/pairs, and OUT/held_out.")


def _run(settings: MineSettings, dry_run: bool) -> None:
    from collections import Counter

    from homeostat.alignment.preference.mining import corrected, drift, from_loop, read_traces
    from homeostat.alignment.preference.pairs import read_pairs, split_by_task, to_dataset, unique, write_pairs
    from homeostat.alignment.sail.adapters import load_adapted
    from homeostat.errors import ConfigError

    traces = read_traces(settings.traces)
    if dry_run:
        reached = sum(bool(t.finish and t.finish.success) for t in traces)
        typer.echo(f"{len(traces)} traces, {reached} of them reached their goal")
        return
    model = load_adapted(settings.model, settings.device, settings.dtype)
    found = [pair for path in settings.merge_with for pair in read_pairs(path)]
    if "corrected" in settings.sources:
        found += [pair for trace in traces for pair in corrected(trace, model.style)]
    if "drift" in settings.sources:
        found += [pair for trace in traces for pair in drift(trace, model.style, model, settings.seed)]
    if "loop" in settings.sources:
        found += from_loop(traces, model.style, model)
    pairs = unique(found)
    if not pairs:
        raise ConfigError(
            f"{len(traces)} traces hold no pair of the sources {', '.join(settings.sources)}; record more"
        )
    save_settings(settings, settings.out)
    train, held = split_by_task(pairs, settings.held_out, settings.seed)
    for name, side in (("pairs", train), ("held_out", held)):
        if side:
            write_pairs(side, settings.out / name)
    if settings.push_to:
        to_dataset(train).push_to_hub(settings.push_to, private=True)
    told = ", ".join(f"{n} {kind}" for kind, n in sorted(Counter(p.kind for p in pairs).items()))
    typer.echo(
        f"{settings.out / 'pairs'}: {len(train)} pairs ({told}), {len(held)} held out; "
        f"{len(found) - len(pairs)} doubles"
    )


command = command_of(
    MineSettings,
    _run,
    """Make preference pairs of recorded runs: what alarmed or failed against what passed.

    Pairs are in TRL's preference format with images, once each, and split by task so that nothing leaks.
    """,
    needs=("datasets",),
)
