"""The screen as a numbered list of elements, for models that read text only.

Long lists and texts are cut, so that prompt and answer fit a context of 2,048 tokens on all but the fullest screens.
"""

from __future__ import annotations

from collections.abc import Sequence

from homeostat.foreign_text import clipped
from homeostat.observation import Element
from homeostat.sensors.chat.wording import Wording, join

__all__ = ["element_list"]

_ELEMENTS = 64
_CHARACTERS = 120  # of one element's text


def element_list(elements: Sequence[Element]) -> Wording:
    """Lists elements, one line each: number, role, text and state, such as ``3 field "title milk" (focused)``.

    Args:
        elements: The screen's elements.

    Returns:
        The lines. An element's number is its position. Of a long list the first 64 elements are listed, and the last
        line says how many are left out.
    """
    lines: list[str | Wording] = []
    for number, element in enumerate(elements[:_ELEMENTS]):
        text = clipped(" ".join(element.text.split()), _CHARACTERS)
        state = f" ({element.state})" if element.state else ""
        lines.append(join("", (Wording.own(f"{number} "), f'{element.role} "{text}"{state}')))
    if left_out := len(elements) - _ELEMENTS:
        lines += [Wording.own(f"({left_out} more elements)")] if left_out > 0 else []
    return join("\n", lines) if lines else Wording.own("(nothing)")
