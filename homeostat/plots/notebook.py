"""Tables that a notebook shows, and tables for pandas.

The HTML has no script and no colours of its own but those of its bars, which are translucent. It is therefore readable
in light and in dark notebooks. All text is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from homeostat.errors import ConfigError
from homeostat.foreign_text import clipped, visible
from homeostat.plots.figures import PALETTE

__all__ = ["Bar", "data_frame", "pandas", "table_html"]

_CELL = "padding:.15em .8em .15em 0;text-align:left;vertical-align:top"


@dataclass(frozen=True)
class Bar:
    """A cell that is drawn as a bar.

    Attributes:
        share: The length, in [0, 1].
        text: The text beside it.
    """

    share: float
    text: str = ""


def table_html(columns: Sequence[str], rows: Sequence[Sequence[object]], caption: str = "", note: str = "") -> str:
    """Writes a table as HTML.

    Args:
        columns: The columns' names.
        rows: The cells: texts, numbers, or :class:`Bar`.
        caption: A line above it.
        note: A line below it.

    Returns:
        A fragment of HTML.
    """
    head = "".join(f'<th style="{_CELL}">{_text(name)}</th>' for name in columns)
    body = "".join(f"<tr>{''.join(_cell(value) for value in row)}</tr>" for row in rows)
    above = f'<caption style="caption-side:top;text-align:left"><b>{_text(caption)}</b></caption>' if caption else ""
    below = f'<p style="margin:.2em 0;font-size:.9em">{_text(note)}</p>' if note else ""
    named = f"<thead><tr>{head}</tr></thead>" if any(columns) else ""
    return f"<table>{above}{named}<tbody>{body}</tbody></table>{below}"


def _cell(value: object) -> str:
    if not isinstance(value, Bar):
        return f'<td style="{_CELL}">{_text(value)}</td>'
    width = 8 * min(max(value.share, 0.0), 1.0)
    colour = ",".join(str(int(PALETTE[0][k : k + 2], 16)) for k in (1, 3, 5))
    bar = f"display:inline-block;height:.8em;width:{width:.2f}em;background:rgba({colour},.7);margin-right:.4em"
    return f'<td style="{_CELL};white-space:nowrap"><span style="{bar}"></span>{_text(value.text)}</td>'


def _text(value: object) -> str:
    return escape(clipped(visible(str(value)), 300))


def data_frame(columns: Mapping[str, Sequence[Any]], index: Any = None) -> Any:
    """Makes a pandas table.

    Args:
        columns: The values by column.
        index: pandas' index; None counts the rows.

    Returns:
        The ``pandas.DataFrame``.

    Raises:
        ConfigError: pandas is not installed.
    """
    table = {
        _encodable(name): [_encodable(v) for v in values] if _texts(values) else values
        for name, values in columns.items()
    }
    return pandas().DataFrame(table, index=index)


def _texts(values: Sequence[Any]) -> bool:
    return isinstance(values, list | tuple) and any(isinstance(value, str) for value in values)


def _encodable(value: Any) -> Any:
    """A text without halves of surrogate pairs, which pandas can't store; anything else as it is."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def pandas() -> Any:
    """Imports pandas.

    Returns:
        The module.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import pandas as module
    except ImportError:
        raise ConfigError("tables need pandas; pip install 'homeostat[plot]'") from None
    return module
