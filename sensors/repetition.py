"""Repetition: does the model's text end in a loop?

A greedy decoder may repeat the same piece of text until its token budget ends. CyberV (arXiv 2506.07971, authors' code)
looks for any substring of 15 to 29 characters that occurs at least five times, but long normal texts contain such
substrings, too. Our measure is the share of the text that is one piece repeated at its *end*. For each period p,
consider the longest ending that repeats every p characters:

    value = max over p of (length of that ending) / (length of the text),

over those p for which the ending contains at least ``times`` periods. The value is 0 for a text that merely uses a
phrase often. Cost: linear in the text (the Z function of the reversed text; Gusfield 1997, "Algorithms on Strings,
Trees and Sequences", section 1.4).

Limits: a loop that the model has left, even with one closing bracket, is not at the end and is not found
(``detail["count"]`` shows it). Neither is a loop whose pieces differ, such as an increasing counter.
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
    """Measures how much of the attempt's text is a loop at its end, and alarms above the threshold.

    ``value`` lies in [0, 1], or is a count with ``measure="count"``. ``detail`` holds both measures, ``looping`` and
    ``count`` (for texts of any length), and ``characters``, the text's length.
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
        """Creates the sensor.

        Args:
            threshold: The value above which it alarms. The default is **not calibrated**.
            measure: ``"looping"``, or ``"count"`` for CyberV's measure: how often the most frequent 15 consecutive
                characters occur (any longer substring that occurs n times begins with 15 that do).
            times: The least number of repeats that count as a loop.
            least: The least number of characters of a loop; with ``"count"``, of the text.
            name: The sensor's name.

        Raises:
            ConfigError: A setting is invalid.
        """
        if measure not in ("looping", "count"):
            raise ConfigError(f"measure={measure!r} is unknown; use 'looping' or 'count'")
        if times < 2 or least < 1:
            raise ConfigError(
                f"times={times!r}, least={least!r}: a loop has 2 repeats or more, and 1 character or more"
            )
        if threshold < 0:
            raise ConfigError(f"threshold={threshold!r} is below 0, so every text would alarm")
        self.name = name
        self.threshold = threshold
        self.measure = measure
        self.times = times
        self.least = least

    @classmethod
    def cyberv(cls) -> Repetition:
        """Builds CyberV's rule (arXiv 2506.07971, with the paper's constants).

        It alarms at five or more occurrences in a text of more than 30 characters.

        Returns:
            The sensor, named ``cyberv_repetition``.
        """
        return cls(4, measure="count", least=31, name="cyberv_repetition")

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """Reads the attempt's text."""
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
    """Finds the piece that the end of a text repeats.

    Args:
        text: The text.
        times: The least number of repeats.
        least: The least number of characters of all repeats together.

    Returns:
        The piece, and the share of the text that its repeats fill; "" and 0 if there is none.
    """
    length = len(text)
    best, period = 0, 0
    for p, same in enumerate(_z(text[::-1])):
        if p and p + same >= max(times * p, least) and p + same > best:
            best, period = p + same, p
    return (text[length - period :], best / length) if best else ("", 0.0)


def most_repeated(text: str, size: int = 15) -> int:
    """Counts the occurrences of the most frequent substring of a given length.

    Args:
        text: The text.
        size: The length of the substring.

    Returns:
        The number of occurrences, including overlapping ones; 0 for a shorter text.
    """
    return max(Counter(text[i : i + size] for i in range(len(text) - size + 1)).values(), default=0)


def _z(text: str) -> list[int]:
    """z[i] is the length of the longest common prefix of the text and its suffix that starts at i."""
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
