"""``homeostat plot``: draws what other commands have stored, as PNG, SVG or PDF."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from homeostat.errors import ConfigError, UnknownName

if TYPE_CHECKING:
    from homeostat.plots import Chart

__all__ = ["plot"]

_KINDS = ("calibration", "drift", "heads", "rescue", "roc", "spans")


def plot(
    kind: Annotated[str, typer.Argument(help=f"What is drawn: {', '.join(_KINDS)}.", show_default=False)],
    files: Annotated[list[Path], typer.Argument(help="What it is drawn from (see above).", show_default=False)],
    out: Annotated[
        Path, typer.Option(help="The picture to write; its name ends in .png, .svg or .pdf.", show_default=False)
    ],
    by: Annotated[str, typer.Option(help="For spans: token, layer or head.")] = "token",
    title: Annotated[str, typer.Option(help="The title. Default: what the files say.")] = "",
) -> None:
    """Draw a figure from stored runs and measurements.

    drift: a run folder, or several, whose mean is drawn: attention on every span and all readings, step by step.

    roc: two calibrations, benign and attacked, with their .jsonl files; a JSON file {name: {"positive": [...],
    "negative": [...]}} of scores, larger ones more alarming; or the figures of benchmarks/evidence_detection.py.

    calibration: a file of homeostat calibrate with its .jsonl, for the stated and the measured rate of false alarms; or
    a JSON file {name: {"probabilities": [...], "outcomes": [...]}}.

    heads: a file or folder of homeostat localize, a file of homeostat profile, its .effects.json, or a file of
    homeostat fit-probe.

    rescue: two files of homeostat eval --json, before and after; files of homeostat eval --compare --json; or a table.

    spans: a file of SpanMass.save.
    """
    if kind not in _KINDS:
        raise UnknownName.of("plot", kind, _KINDS)
    if by != "token" and kind != "spans":
        raise ConfigError(f"--by {by!r} belongs to plot spans; leave it out of plot {kind}")
    from homeostat.cli import plot_heads, plot_scores, plot_tables
    from homeostat.plots.figures import FORMATS

    if out.suffix.lower() not in FORMATS:
        raise ConfigError(f"--out {str(out)!r} names no picture; end it in {', '.join(FORMATS)}")
    kinds: dict[str, Callable[[Sequence[Path], str], Chart]] = {
        "calibration": plot_scores.calibration,
        "drift": plot_tables.runs,
        "heads": plot_heads.heads,
        "rescue": plot_tables.rescued,
        "roc": plot_scores.curves,
        "spans": lambda given, title: plot_tables.spans(given, title, by),
    }
    kinds[kind](files, title).save(out)
    typer.echo(f"{out}: {kind}")
