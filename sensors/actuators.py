"""Actuators: whose attention is changed, in which heads, and how far; ``sensors/steering.py`` acts on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from homeostat.envs.errors import ConfigError

__all__ = ["Actuator"]


@dataclass(frozen=True)
class Actuator:
    """One rule: scale the attention on ``span`` by ``gain``, or move its mass to ``target``.

    ``span``: a label, or ranges of slots ``((0, 1),)``, the same for all prompts of a batch. ``gain`` γ > 0: 1 changes
    nothing. ``target`` in (0, 1); a row that can't see the span, or sees nothing else, stays as it is; with
    ``raise_only`` one that has more already does too. ``heads``: (layer, head) pairs; None for all that are probed.
    ``rows``: all rows, or only those that produce a token (the prompt's last one and every one after it). Rules of one
    head apply in the order given, gains first.
    """

    span: str | tuple[tuple[int, int], ...]
    gain: float | None = None
    target: float | None = None
    heads: frozenset[tuple[int, int]] | None = None
    rows: Literal["all", "output"] = "all"
    raise_only: bool = False

    def __post_init__(self) -> None:
        """Raises :class:`ConfigError` for a rule that can't be."""
        if (self.gain is None) == (self.target is None):
            raise ConfigError(f"gain={self.gain!r}, target={self.target!r}: a rule has one of them")
        if self.gain is not None and not 0 < self.gain < float("inf"):
            raise ConfigError(f"gain={self.gain!r} has no logarithm; give a number above 0 (1 changes nothing)")
        if self.target is not None and not 0 < self.target < 1:
            raise ConfigError(f"target={self.target!r} is no mass; give a number between 0 and 1")
        if self.rows not in ("all", "output"):
            raise ConfigError(f"rows={self.rows!r} is unknown; use 'all' or 'output'")
        if self.heads is not None:
            object.__setattr__(self, "heads", frozenset((int(layer), int(head)) for layer, head in self.heads))
        if not isinstance(self.span, str):
            object.__setattr__(self, "span", tuple((int(start), int(stop)) for start, stop in self.span))
        if self.heads is not None and not self.heads:
            raise ConfigError("heads=() steers nothing; give (layer, head) pairs, or None for all")
        if not self.span:
            raise ConfigError(f"span={self.span!r} steers nothing; give a label or ranges of slots")

    def __str__(self) -> str:
        """``goal x 3``, ``rules to 0.2``, with the number of heads where they are chosen."""
        where = self.span if isinstance(self.span, str) else " ".join(f"[{a}, {b})" for a, b in self.span)
        what = f"x {self.gain:.3g}" if self.gain is not None else f"to {self.target:.3g}"
        return f"{where} {what}" + ("" if self.heads is None else f" in {len(self.heads)} heads")
