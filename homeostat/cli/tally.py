"""Counts the tokens and the seconds of a run, for the step and so far."""

from __future__ import annotations

import time
from collections.abc import Callable

from homeostat.agent.events import Event, Observe, Planned, RuleRead, ScreenRead, Sense

__all__ = ["Tally", "attempt_cost", "seconds"]


class Tally:
    """What a run has cost.

    Attributes:
        tokens: The tokens that the models generated so far.
        step_tokens: Those of the present step.
        calls: The model calls so far. Several candidates of one prompt count as one each.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Starts the clock.

        Args:
            clock: Returns the time in seconds.
        """
        self._clock = clock
        self._begun = self._step_begun = clock()
        self.tokens = self.step_tokens = self.calls = 0

    @property
    def seconds(self) -> float:
        """Wall-clock seconds since the view began."""
        return self._clock() - self._begun

    @property
    def step_seconds(self) -> float:
        """Wall-clock seconds since the step began."""
        return self._clock() - self._step_begun

    def see(self, event: Event) -> None:
        """Takes an event in.

        Args:
            event: The event.
        """
        match event:
            case Observe():
                self._step_begun, self.step_tokens = self._clock(), 0
            case Sense():
                self._count(event.cost)
            case Planned() | ScreenRead() | RuleRead():
                self._count(event.tokens)

    def _count(self, tokens: int) -> None:
        self.tokens += tokens
        self.step_tokens += tokens
        self.calls += 1


def attempt_cost(event: Sense) -> str:
    """Says what a model call cost.

    Args:
        event: The attempt.

    Returns:
        One line, such as ``24 tokens in 0.81 s, from a prompt of 812 (600 cached)``; "" where nothing was counted.
    """
    if not event.cost and not event.prompt_tokens:
        return ""
    cached = f" ({event.cached_tokens:,} cached)" if event.cached_tokens else ""
    prompt = f", from a prompt of {event.prompt_tokens:,}{cached}" if event.prompt_tokens else ""
    return f"{_tokens(event.cost)} in {seconds(event.seconds)}{prompt}"


def seconds(value: float) -> str:
    """Writes a duration.

    Args:
        value: Seconds.

    Returns:
        Two digits after the point below ten seconds, minutes above a hundred.
    """
    if value < 9.995:
        return f"{value:.2f} s"
    return f"{value:.0f} s" if value < 99.5 else f"{int(value) // 60} min {int(value) % 60} s"


def _tokens(count: int) -> str:
    return f"{count:,} token" if count == 1 else f"{count:,} tokens"
