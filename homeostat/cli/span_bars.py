"""Draws the attention on every span of a prompt as a bar against the span's own usual value.

The middle of a bar is what is usual for its span, one end a quarter of that, the other end four times as much. So a
span that always gets most of the attention has the same bar as one that always gets little: only changes stand out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from homeostat.cli.event_text import number
from homeostat.cli.span_levels import SpanLevel
from homeostat.foreign_text import shown

__all__ = ["level_style", "span_bars"]

_OCTAVES = 2.0  # doublings from the middle of a bar to its end
_WIDEST_BAR = 25
_NARROWEST_BAR = 7
_WIDEST_LABEL = 16


def span_bars(levels: Sequence[SpanLevel], width: int) -> list[Text]:
    """Draws one line for every span.

    Args:
        levels: The levels of the spans.
        width: How many cells a line may be wide.

    Returns:
        The lines: label, bar, present value, and its ratio to the usual one. Below 35 cells there are no bars. Only an
        alarm is red, and only a departure yellow; both are said in words too.
    """
    labels = [shown(level.label) for level in levels]
    label_width = min(max(map(cell_len, labels), default=0), _WIDEST_LABEL, max(width // 3, 6))
    values = [number(level.value) for level in levels]
    value_width = max(map(len, values), default=0)
    left = width - label_width - value_width - len("  ×0.00 ") - len(" ↓")
    bar_width = min(left - left % 2 - 1, _WIDEST_BAR)
    drawn = []
    for level, label, value in zip(levels, labels, values, strict=True):
        line = Text(set_cell_size(_clipped(label, label_width), label_width), no_wrap=True, overflow="crop")
        style = level_style(level)
        if bar_width >= _NARROWEST_BAR:
            line.append(" ").append_text(_bar(level.ratio, bar_width, style or "bold"))
        line.append(f" {value:>{value_width}}", style)
        if level.ratio is not None:
            line.append(f" ×{_ratio(level.ratio)}", style or "dim")
        if level.alarm:
            line.append(" !", style)
        elif level.direction:
            line.append(" ↑" if level.direction == "above" else " ↓", style)
        drawn.append(line)
    return drawn


def level_style(level: SpanLevel) -> str:
    """Returns the colour of a level.

    Args:
        level: The level.

    Returns:
        A style of rich: red for an alarm, yellow for a departure, "" for what is usual.
    """
    return "bold red" if level.alarm else "yellow" if level.departs else ""


def _bar(ratio: float | None, width: int, style: str) -> Text:
    """A line whose middle is a ratio of 1, filled from there to the ratio."""
    middle = width // 2
    place = middle
    if ratio is not None:
        share = max(-1.0, min(1.0, math.log2(ratio) / _OCTAVES))
        place = middle + round(share * middle)
    low, high = sorted((middle, place))
    bar = Text("─" * low, style="dim")
    bar.append("█" * (high - low) if place < middle else "", style)
    bar.append("│", style="dim" if ratio is None else "")
    bar.append("█" * (high - low) if place > middle else "", style)
    return bar.append("─" * (width - len(bar)), style="dim")


def _ratio(ratio: float) -> str:
    """Three or four characters."""
    if ratio >= 99.5:
        return ">99"
    return f"{ratio:.0f}" if ratio >= 9.95 else f"{ratio:.2f}"


def _clipped(text: str, width: int) -> str:
    return text if cell_len(text) <= width else set_cell_size(text, max(width - 1, 0)) + "…"
