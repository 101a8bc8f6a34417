"""Finds what a chat template writes about the tools, and who wrote it.

The chat is rendered without tools as well. Between two parts of the chat, whatever the rendering with tools has in
addition is about the tools: the schemas, and the template's own words around them. The schemas are foreign text: a tool
may come from anybody's server.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from itertools import pairwise

from homeostat.errors import ModelError
from homeostat.sensors.chat.messages import Part
from homeostat.sensors.chat.part_positions import LocatedText

__all__ = ["TOOLS", "tool_parts"]

TOOLS = "tools"
"""The label of what the template writes about the tools."""
_CHANCE = 16  # shorter text that both renderings have in the middle of a change may be there by chance


def tool_parts(
    located: LocatedText, schemas: Sequence[int], without: Callable[[], LocatedText]
) -> list[tuple[Part, int, int]]:
    """Finds what a template writes about the tools.

    Args:
        located: The chat, rendered with the tools.
        schemas: The characters that come from the schemas.
        without: Renders the chat without tools.

    Returns:
        The parts, each with its first character and the one after its last. The template's own words are trusted.

    Raises:
        ModelError: The template leaves the tools out.
    """
    if not schemas:
        raise ModelError("the chat template leaves out the tools; describe them in a message instead of tools=")
    try:
        bare: LocatedText | None = without()
    except ModelError:  # a template may refuse a chat without tools
        bare = None
    if bare is not None and [part for part, _, _ in bare.parts] != [part for part, _, _ in located.parts]:
        bare = None
    gaps = _gaps(located)
    old = ["".join(bare.text[a:b]) for a, b in _gaps(bare)] if bare is not None else [None] * len(gaps)
    found = []
    for (start, stop), before in zip(gaps, old, strict=True):
        mine = [k for k in schemas if start <= k < stop]
        ranges = [] if before is None else _added(before, located.text[start:stop])
        ranges = [(start + a, start + b) for a, b in ranges]
        for first, last in _around(ranges, mine):
            found.append((_part(located.text, first, last, mine), first, last))
    return found


def _gaps(located: LocatedText) -> list[tuple[int, int]]:
    """The ranges of the text before, between and after the parts."""
    ends = [0, *(k for _, start, stop in located.parts for k in (start, stop)), len(located.text)]
    return list(zip(ends[::2], ends[1::2], strict=True))


def _added(before: str, after: str) -> list[tuple[int, int]]:
    """The ranges of ``after`` that ``before`` does not have."""
    tail = _common(before[::-1], after[::-1])
    head = _common(before[: len(before) - tail], after[: len(after) - tail])
    old, new = before[head : len(before) - tail], after[head : len(after) - tail]
    if not old:
        at = _beginning(after, head, head + len(new))
        return [(at, at + len(new))] if new else []
    if not new:
        return []
    blocks = SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
    kept = [(0, 0), *((b.b, b.b + b.size) for b in blocks if b.size >= _CHANCE), (len(new), len(new))]
    return [(head + a, head + b) for (_, a), (b, _) in pairwise(kept) if a < b]


def _beginning(text: str, start: int, stop: int) -> int:
    """Where an insertion begins; if it could also begin later, at the start of a line or behind a token.

    An insertion that begins as the text behind it does can be read in several places: "b" + "cab" and "bca" + "b".
    """
    at = start
    while at and (text[at - 1] not in "\n>]" or text[at].isspace()):
        if stop >= len(text) or text[at] != text[stop]:
            return start
        at, stop = at + 1, stop + 1
    return at


def _common(one: str, other: str) -> int:
    """The length of the longest common beginning."""
    return next((k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _around(ranges: Sequence[tuple[int, int]], characters: Sequence[int]) -> list[tuple[int, int]]:
    """The ranges, and those characters that they miss, joined where they touch or overlap."""
    missed = [k for k in characters if not any(a <= k < b for a, b in ranges)]
    more = [(missed[0], missed[-1] + 1)] if missed else []
    out: list[tuple[int, int]] = []
    for start, stop in sorted([*ranges, *more]):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(stop, out[-1][1]))
        else:
            out.append((start, stop))
    return out


def _part(text: str, start: int, stop: int, foreign: Sequence[int]) -> Part:
    """The part [start, stop) of the text; all but its foreign characters are trusted."""
    inside = [k - start for k in foreign if start <= k < stop]
    ends = [-1, *inside, stop - start]
    return Part(TOOLS, text[start:stop], trusted=tuple((a + 1, b) for a, b in pairwise(ends) if a + 1 < b))
