"""Actuators: rules that state which span gets more or less attention, in which heads, and how much.

``sensors/steering/reweighting.py`` applies them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from homeostat.errors import ConfigError

__all__ = ["Actuator", "Centric", "Slots"]

Slots = str | tuple[tuple[int, int], ...]
"""A span's label, or ranges [start, stop) of slots."""
_FORMS = ("gain", "target", "floor", "scale", "stretch", "output")


@dataclass(frozen=True)
class Centric:
    """Selects the rows of a head that attend to a span (VAR, arXiv 2503.03321, section 4, with its defaults).

    Attributes:
        span: The span that the row has to attend to.
        least: At least this share of the row's mass lies on ``span``.
        most: Of that mass, at most this share lies on the actuator's own span.
    """

    span: Slots
    least: float = 0.2
    most: float = 0.5

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            ConfigError: A share is outside [0, 1].
        """
        if not 0 <= self.least <= 1 or not 0 <= self.most <= 1:
            raise ConfigError(f"least={self.least!r}, most={self.most!r}: pass shares from 0 to 1")
        object.__setattr__(self, "span", _slots(self.span))


@dataclass(frozen=True)
class Actuator:
    """A rule for the attention on a span.

    A rule has exactly one of six forms: ``gain``, ``target``, ``floor``, ``scale``, ``stretch`` or ``output``. The
    rules of one head are applied in the given order, but gains and stretches come first.

    Attributes:
        span: A label, which covers its parts, too, as ``tool`` covers ``tool.search``; or ranges of slots such as
            ``((0, 1),)``, the same for all prompts of a batch. None with ``output`` and with ``sinks``.
        gain: γ > 0 multiplies the span's unnormalised attention; 1 changes nothing.
        target: In (0, 1): the span's mass is set to it, and all other weights change in proportion. A row that cannot
            see the span, or sees nothing else, is unchanged.
        heads: (layer, head) pairs; None means all probed heads.
        rows: ``"all"`` rows, or only those that produce a token: ``"output"``, the prompt's last row and all after it.
        raise_only: With ``target``: rows whose mass exceeds the target already are unchanged.
        scale: s ≥ 0 multiplies the span's mass, up to the whole mass of the row. The difference goes to ``to``.
        to: With ``scale``: the span that takes the difference, in proportion to its weights; None means all other keys.
        stretch: α ≥ −1: α |s| is added to each of the span's logits s.
        output: g ≥ 0 multiplies the heads' whole output; 0 ablates them.
        where: With ``target`` and ``scale``: only rows that attend to some span.
        from_layer: The first layer that is steered.
        floor: In (0, 1): if the span's mass, averaged over the steered heads and all rows that a layer computes in one
            forward, is below it, the span's unnormalised attention is multiplied by ``floor`` / mass in all of these
            heads and rows. Otherwise nothing changes. The average is one number per layer and prompt. It is taken
            before any mass is moved.
        reach: Which keys the rule is about: those of the ``"span"``; its ``"prefix"``, which is everything from the
            first slot to the span's last one; or what is ``"outside"`` of it in the prompt. Generated tokens belong to
            none of them.
        sinks: With ``scale``, in place of a span: the rule is about the attention sinks of each head. A sink is a key
            of the prompt whose mean weight over the prompt's rows that see it exceeds this number. The first sink of a
            head is spared. Sinks are found in the forward that holds the whole prompt.
        after: Only rows behind the last key of this span are steered.
        layers: The layers that are steered; None means all of them.
        to_layer: The layer at which steering ends; it is not steered itself. As in a slice, -1 is the last layer.
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
    floor: float | None = None
    reach: Literal["span", "prefix", "outside"] = "span"
    sinks: float | None = None
    after: Slots | None = None
    layers: frozenset[int] | None = None
    to_layer: int | None = None

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            ConfigError: There is not exactly one form, or a value is out of its range or does not go with the form.
        """
        given = {form: value for form in _FORMS if (value := getattr(self, form)) is not None}
        if len(given) != 1:
            told = ", ".join(f"{k}={v!r}" for k, v in given.items()) or "none of them"
            raise ConfigError(f"{told}: a rule has exactly one of {', '.join(_FORMS)}")
        ((form, value),) = given.items()
        if self.gain is not None and not 0 < self.gain < float("inf"):
            raise ConfigError(f"gain={self.gain!r} has no logarithm; pass a number above 0 (1 changes nothing)")
        for name in ("target", "floor", "sinks"):
            mass = getattr(self, name)
            if mass is not None and not 0 < mass < 1:
                raise ConfigError(f"{name}={mass!r} is not a mass; pass a number between 0 and 1")
        if not (0 if form != "stretch" else -1) <= value < float("inf"):
            raise ConfigError(f"{form}={value!r}: pass {'-1' if form == 'stretch' else '0'} or more")
        if self.rows not in ("all", "output"):
            raise ConfigError(f"rows={self.rows!r} is unknown; use 'all' or 'output'")
        if self.reach not in ("span", "prefix", "outside"):
            raise ConfigError(f"reach={self.reach!r} is unknown; use 'span', 'prefix' or 'outside'")
        self._check_span(form, value)
        if self.to is not None and self.scale is None:
            raise ConfigError(f"to={self.to!r} goes with scale; leave it out with {form}={value!r}")
        if self.where is not None and self.scale is None and self.target is None:
            raise ConfigError(f"where={self.where!r} goes with scale or target; leave it out with {form}={value!r}")
        if self.heads is not None:
            object.__setattr__(self, "heads", frozenset((int(layer), int(head)) for layer, head in self.heads))
        if self.layers is not None:
            object.__setattr__(self, "layers", frozenset(map(int, self.layers)))
        for name in ("span", "to", "after"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _slots(getattr(self, name)))
        if self.heads is not None and not self.heads:
            raise ConfigError("heads=() steers nothing; pass (layer, head) pairs, or None for all")
        if self.layers is not None and not self.layers:
            raise ConfigError("layers=() steers nothing; pass the indices of layers, or None for all")

    def _check_span(self, form: str, value: float) -> None:
        """Refuses a rule without a span that needs one, and a span that does not go with the form."""
        if self.sinks is not None and self.scale is None:
            raise ConfigError(f"sinks={self.sinks!r} goes with scale; leave it out with {form}={value!r}")
        if self.sinks is not None and self.to is not None:
            raise ConfigError(f"sinks={self.sinks!r} gives to all other keys; leave out to={self.to!r}")
        if (self.span is None) != (self.output is not None or self.sinks is not None):
            raise ConfigError(
                f"span={self.span!r} with {form}={value!r}: a rule has a span, unless its form is output or sinks are "
                "given"
            )
        if self.span is None and self.reach != "span":
            raise ConfigError(f"reach={self.reach!r} says where a span's keys end; pass a span, or leave it out")
        if self.span is not None and not self.span:
            raise ConfigError(f"span={self.span!r} steers nothing; pass a label or ranges of slots")

    @property
    def labels(self) -> frozenset[str]:
        """The labels that the rule names; a prompt must have these spans."""
        named = (self.span, self.to, self.after, self.where.span if self.where is not None else None)
        return frozenset(one for one in named if isinstance(one, str))

    def __str__(self) -> str:
        """A short form such as ``goal x 3`` or ``rules to 0.2``, with the number of heads if they are chosen."""
        where = _spell(self.span) if self.span is not None else "outputs" if self.sinks is None else "sinks"
        where = {"span": "", "prefix": "all up to ", "outside": "all but "}[self.reach] + where
        what = {
            "gain": f"x {self.gain}",
            "target": f"to {self.target}",
            "floor": f"raised to {self.floor}",
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
