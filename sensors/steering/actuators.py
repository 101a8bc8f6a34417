"""Actuators: whose attention is changed, in which heads, and how far; ``sensors/steering/reweighting.py`` acts on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from homeostat.errors import ConfigError

__all__ = ["Actuator", "Centric"]

Slots = str | tuple[tuple[int, int], ...]
_FORMS = ("gain", "target", "scale", "stretch", "output")


@dataclass(frozen=True)
class Centric:
    """Only the rows (of a head) that look at ``span``: at least ``least`` of their mass lies there, and of that at most
    ``most`` on the actuator's own span (VAR, arXiv 2503.03321, section 4; its defaults).
    """

    span: Slots
    least: float = 0.2
    most: float = 0.5

    def __post_init__(self) -> None:
        """Raises :class:`ConfigError` for shares that are none."""
        if not 0 <= self.least <= 1 or not 0 <= self.most <= 1:
            raise ConfigError(f"least={self.least!r}, most={self.most!r}: give shares from 0 to 1")
        object.__setattr__(self, "span", _slots(self.span))


@dataclass(frozen=True)
class Actuator:
    """One rule for the attention on ``span``, in one of five forms:

    - ``gain`` γ > 0: its unnormalised attention times γ (1 changes nothing);
    - ``target`` in (0, 1): its mass is moved there, the rest's shrinks or grows in proportion; a row that can't see the
      span, or sees nothing else, stays as it is; with ``raise_only`` one that has more already does too;
    - ``scale`` s ≥ 0: its mass times s (at most all there is), and what that frees goes to the span ``to`` in
      proportion (None: to everything else);
    - ``stretch`` α ≥ −1: α |s| is added to each of its logits s;
    - ``output`` g ≥ 0: the heads' whole output times g (0 cuts them off); ``span`` is None then.

    ``span``: a label, or ranges of slots ``((0, 1),)``, the same for all prompts of a batch. ``heads``: (layer,
    head) pairs; None for all that are probed, from ``from_layer`` on. ``rows``: all rows, or only those that
    produce a token (the prompt's last one and every one after it). ``where``: only rows that look at some span
    (``target`` and ``scale`` only). Rules of one head apply in the order given, gains and stretches first.
    """

    span: Slots | None
    gain: float | None = None
    target: float | None = None
    heads: frozenset[tuple[int, int]] | None = None
    rows: Literal["all", "output"] = "all"
    raise_only: bool = False
    scale: float | None = None
    to: Slots | None = None
    stretch: float | None = None
    output: float | None = None
    where: Centric | None = None
    from_layer: int = 0

    def __post_init__(self) -> None:
        """Raises :class:`ConfigError` for a rule that can't be."""
        given = {form: value for form in _FORMS if (value := getattr(self, form)) is not None}
        if len(given) != 1:
            told = ", ".join(f"{k}={v!r}" for k, v in given.items()) or "none of them"
            raise ConfigError(f"{told}: a rule has one of {', '.join(_FORMS)}")
        ((form, value),) = given.items()
        if self.gain is not None and not 0 < self.gain < float("inf"):
            raise ConfigError(f"gain={self.gain!r} has no logarithm; give a number above 0 (1 changes nothing)")
        if self.target is not None and not 0 < self.target < 1:
            raise ConfigError(f"target={self.target!r} is no mass; give a number between 0 and 1")
        if not (0 if form != "stretch" else -1) <= value < float("inf"):
            raise ConfigError(f"{form}={value!r}: give a number from {'-1' if form == 'stretch' else '0'} on")
        if self.rows not in ("all", "output"):
            raise ConfigError(f"rows={self.rows!r} is unknown; use 'all' or 'output'")
        if (self.span is None) != (self.output is not None):
            raise ConfigError(
                f"span={self.span!r} with {form}={value!r}: heads' outputs have no span, all else has one"
            )
        if self.to is not None and self.scale is None:
            raise ConfigError(f"to={self.to!r} goes with scale; leave it out with {form}={value!r}")
        if self.where is not None and self.scale is None and self.target is None:
            raise ConfigError(f"where={self.where!r} goes with scale or target; leave it out with {form}={value!r}")
        if self.heads is not None:
            object.__setattr__(self, "heads", frozenset((int(layer), int(head)) for layer, head in self.heads))
        for name in ("span", "to"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _slots(getattr(self, name)))
        if self.heads is not None and not self.heads:
            raise ConfigError("heads=() steers nothing; give (layer, head) pairs, or None for all")
        if self.span is not None and not self.span:
            raise ConfigError(f"span={self.span!r} steers nothing; give a label or ranges of slots")

    @property
    def labels(self) -> frozenset[str]:
        """The spans that it names, which a prompt has to have."""
        named = (self.span, self.to, self.where.span if self.where is not None else None)
        return frozenset(one for one in named if isinstance(one, str))

    def __str__(self) -> str:
        """``goal x 3``, ``rules to 0.2``, with the number of heads where they are chosen."""
        where = _spell(self.span) if self.span is not None else "outputs"
        what = {
            "gain": f"x {self.gain}",
            "target": f"to {self.target}",
            "scale": f"mass x {self.scale}",
            "stretch": f"logits + {self.stretch} |s|",
            "output": f"x {self.output}",
        }[next(form for form in _FORMS if getattr(self, form) is not None)]
        what = what.replace(str(self.gain), f"{self.gain:.3g}") if self.gain is not None else what
        given = "" if self.to is None else f", given to {_spell(self.to)}"
        return f"{where} {what}{given}" + ("" if self.heads is None else f" in {len(self.heads)} heads")


def _slots(span: Slots) -> Slots:
    return span if isinstance(span, str) else tuple((int(start), int(stop)) for start, stop in span)


def _spell(span: Slots) -> str:
    return span if isinstance(span, str) else " ".join(f"[{a}, {b})" for a, b in span)
