"""Repetition: has the model fallen into a loop?

A greedy decoder that has lost its way writes the same piece over and over until its budget ends. CyberV (arXiv
2506.07971, authors' code) looks for any substring of 15 to 29 characters that occurs five times or more, which long
honest texts contain as well. Ours asks how much of the text is one piece repeated at its *end*: with period p, the
longest ending that repeats every p characters,

    value = max over p of (length of that ending) / (length of the text), where it holds p at least ``times`` times

It is 0 for a text that merely uses a phrase often. Cost: linear in the text (the Z function of the text reversed;
Gusfield 1997, "Algorithms on Strings, Trees and Sequences", section 1.4). A loop that the model got out of, be it with
one closing bracket, is not at the end and not seen (``detail["count"]`` shows it); nor is one whose pieces differ, such
as a counter that goes up.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

from homeostat.errors import ConfigError
from homeostat.sensors.attempts import Attempt
from homeostat.sensors.context import SensorContext
from homeostat.sensors.contracts import Need
from homeostat.sensors.readings import Reading

__all__ = ["Repetition", "looping_share", "most_repeated"]


class Repetition:
    """``value``: the looping share of the attempt's text, in [0, 1]. Alarm above ``threshold`` (**not calibrated**).

    ``times``: a piece counts from so many repeats on, ``least``: and from so many characters in all.
    ``measure="count"`` is CyberV's: the most often that any 15 characters in a row occur (a longer substring that
    occurs n times has a beginning that does), 0 for a text of fewer than ``least`` characters. ``detail``: ``looping``
    and ``count`` (whatever the text's length), both measures, and ``characters``.
    """

    needs: frozenset[Need] = frozenset({"text"})
    side: Literal["above"] = "above"

    def __init__(
        self,
        threshold: float = 0.5,
        *,
        measure: Literal["looping", "count"] = "looping",
        times: int = 3,
        least: int = 24,
        name: str = "repetition",
    ) -> None:
        """Raises :class:`ConfigError` for settings that can't be."""
        if measure not in ("looping", "count"):
            raise ConfigError(f"measure={measure!r} is unknown; use 'looping' or 'count'")
        if times < 2 or least < 1:
            raise ConfigError(f"times={times!r}, least={least!r}: a loop is 2 times or more, of 1 character or more")
        if threshold < 0:
            raise ConfigError(f"threshold={threshold!r} is below 0, where every text alarms")
        self.name = name
        self.threshold = threshold
        self.measure = measure
        self.times = times
        self.least = least

    @classmethod
    def cyberv(cls) -> Repetition:
        """CyberV's rule (arXiv 2506.07971; constants theirs): five occurrences or more, in more than 30 characters."""
        return cls(4, measure="count", least=31, name="cyberv_repetition")

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """The reading of this attempt's text."""
        text = attempt.text
        piece, looping = looping_share(text, self.times, self.least)
        count = most_repeated(text)
        value = looping if self.measure == "looping" else float(count if len(text) >= self.least else 0)
        reason = "the text does not loop"
        if looping:
            shown = " ".join(piece.split())[:30]
            reason = f"{looping:.0%} of the text is {shown!r} over and over"
        elif self.measure == "count":
            reason = f"no 15 characters occur more than {count} times"
        return Reading(
            sensor=self.name,
            value=value,
            threshold=self.threshold,
            alarm=value > self.threshold,
            reason=reason,
            detail={"looping": looping, "count": float(count), "characters": float(len(text))},
        )


def looping_share(text: str, times: int = 3, least: int = 24) -> tuple[str, float]:
    """The piece that the text's end repeats, and the share of the text that it fills; "" and 0 where there is none."""
    length = len(text)
    best, period = 0, 0
    for p, same in enumerate(_z(text[::-1])):
        if p and p + same >= max(times * p, least) and p + same > best:
            best, period = p + same, p
    return (text[length - period :], best / length) if best else ("", 0.0)


def most_repeated(text: str, size: int = 15) -> int:
    """How often the most frequent ``size`` characters in a row occur, overlaps counted; 0 for a shorter text."""
    return max(Counter(text[i : i + size] for i in range(len(text) - size + 1)).values(), default=0)


def _z(text: str) -> list[int]:
    """z[i]: the length of the longest common prefix of the text and its rest from i on."""
    z = [0] * len(text)
    left = right = 0
    for i in range(1, len(text)):
        if i < right:
            z[i] = min(right - i, z[i - left])
        while i + z[i] < len(text) and text[z[i]] == text[i + z[i]]:
            z[i] += 1
        if i + z[i] > right:
            left, right = i, i + z[i]
    return z
