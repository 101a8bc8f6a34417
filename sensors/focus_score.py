"""FocusScore: does the model attend to its instructions, or to data that pretends to be one?

Attention Tracker (Hung et al., arXiv 2411.00348, sections 3.2 and 4): for layer l and head h, with I the attention of
the prompt's last token on the instruction and U that on the data,

    r_{l,h} = I / (I + U),    focus = mean of r over the chosen heads,    alarm: focus < threshold

U grows with the data's length, whatever the data say: with the paper's fixed threshold nearly every long context is
flagged. The corrected score takes attention *per token*, attention sinks left out: I / |I| in place of I, U / |U| in
place of U. It is ½ where a token of data gets as much as a token of the instructions, at any length.

Cost: a few sums over masses that the probe has read anyway. An attacker who optimises against attention can evade it:
it is one layer of a defence, never the only one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ConfigError
from homeostat.sensors.attempts import Attempt, SpanMass
from homeostat.sensors.attention_drift import FLOOR
from homeostat.sensors.context import SensorContext
from homeostat.sensors.contracts import Need
from homeostat.sensors.heads import Heads, chosen_heads
from homeostat.sensors.readings import Reading, not_judged

__all__ = ["DATA", "INSTRUCTIONS", "FocusScore", "focus_ratios", "select_heads"]

INSTRUCTIONS = ("system", "rules", "goal", "reminder")
DATA = ("screen", "elements", "tool")

Tokens = Literal["first", "all", "lowest"]


class FocusScore:
    """The share of attention that instructions get, against data; see the module's text.

    ``value`` in [0, 1]. ``per_token``: our length-corrected score (True) or the paper's (False). ``tokens``: of the
    attempt the first one's row, which is the prompt's last token (the paper's choice); the mean over ``"all"``; or the
    ``"lowest"``, for an attempt that is watched while it grows. ``instructions``, ``data``: the spans' labels; those
    that the prompt lacks don't count. ``heads``: (layer, head) pairs, as :func:`select_heads` finds them; None: all
    that were probed. The default threshold is **not calibrated** (``homeostat calibrate`` does that).

    ``detail``: ``instructions`` and ``data``, the mean masses; ``per_token`` and ``plain``, both scores.
    """

    needs: frozenset[Need] = frozenset({"attention"})
    side: Literal["below"] = "below"

    def __init__(
        self,
        threshold: float = 0.5,
        *,
        per_token: bool = True,
        tokens: Tokens = "first",
        instructions: Sequence[str] = INSTRUCTIONS,
        data: Sequence[str] = DATA,
        heads: Heads | None = None,
        name: str = "focus_score",
    ) -> None:
        """Raises :class:`ConfigError` for settings that can't be."""
        if not 0 <= threshold <= 1:
            raise ConfigError(f"threshold={threshold!r} is no share; give a number from 0 to 1")
        if tokens not in ("first", "all", "lowest"):
            raise ConfigError(f"tokens={tokens!r} is unknown; use 'first', 'all' or 'lowest'")
        if shared := set(instructions) & set(data):
            raise ConfigError(f"span {sorted(shared)[0]!r} is among instructions and data; leave it in one of them")
        if not instructions or not data:
            raise ConfigError(f"instructions={instructions!r}, data={data!r}: neither may be empty")
        if heads is not None and not heads:
            raise ConfigError("heads=() reads nothing; give (layer, head) pairs, or None for all")
        self.name = name
        self.threshold = threshold
        self.per_token = per_token
        self.tokens: Tokens = tokens
        self.instructions, self.data = tuple(instructions), tuple(data)
        self.heads = None if heads is None else frozenset(heads)

    @classmethod
    def attention_tracker(cls, heads: Heads | None = None, *, data: Sequence[str] = DATA) -> FocusScore:
        """The paper's score with its threshold of 0.5 (arXiv 2411.00348); its heads come from :func:`select_heads`."""
        return cls(0.5, per_token=False, heads=heads, data=data, name="attention_tracker")

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """The reading of this attempt; not judged where there is no attention, or no such span."""
        spans = attempt.spans
        if spans is None or not len(spans.mass):
            return self._nothing("no attention was read" if spans is None else "no token was generated")
        chosen = chosen_heads(spans, self.heads)
        if not chosen.any():
            return self._nothing(f"none of the chosen heads was probed; probed layers: {list(spans.layers)}")
        scores = {}
        for name, per_token in (("per_token", True), ("plain", False)):
            ratios = focus_ratios(spans, self.instructions, self.data, per_token=per_token)
            if ratios is None:
                return self._nothing("the prompt lacks instructions or data")
            each = ratios[:, chosen].mean(axis=1)  # (T,)
            scores[name] = float({"first": each[0], "all": each.mean(), "lowest": each.min()}[self.tokens])
        detail = {
            **scores,
            "instructions": _mass(spans, self.instructions, chosen),
            "data": _mass(spans, self.data, chosen),
        }
        per = " per token" if self.per_token else ""
        value = scores["per_token" if self.per_token else "plain"]
        return Reading(
            sensor=self.name,
            value=value,
            threshold=self.threshold,
            alarm=value < self.threshold,
            reason=f"instructions get {value:.2f} of the attention{per}, data the rest",
            span=next(label for label in self.instructions if label in spans.labels),
            detail=detail,
        )

    def _nothing(self, reason: str) -> Reading:
        return not_judged(self.name, reason, threshold=self.threshold)


def focus_ratios(
    spans: SpanMass, instructions: Sequence[str], data: Sequence[str], *, per_token: bool
) -> NDArray[np.float64] | None:
    """(T, L, H) of I / (I + U) in [0, 1], ½ where neither gets any attention; None where one side has no span here."""
    sides = []
    for labels in (instructions, data):
        columns = [spans.labels.index(label) for label in labels if label in spans.labels]
        keys = int(spans.lengths[columns].sum())
        if not keys:
            return None
        mass = spans.mass[..., columns].sum(-1, dtype=np.float64)
        if per_token:
            if spans.sink_in_span is not None:
                mass = np.maximum(mass - spans.sink_in_span[..., columns].sum(-1, dtype=np.float64), 0)
            mass = mass / keys
        sides.append(mass)
    own, foreign = sides
    total = own + foreign
    floor = FLOOR / spans.visible[:, None, None] if per_token else FLOOR
    return np.where(total > floor, own / np.maximum(total, 1e-300), 0.5)


def select_heads(
    benign: Sequence[SpanMass],
    attacked: Sequence[SpanMass],
    *,
    deviations: float = 4.0,
    instructions: Sequence[str] = INSTRUCTIONS,
    data: Sequence[str] = DATA,
    per_token: bool = True,
) -> tuple[tuple[int, int], ...]:
    """The heads whose ratio tells attacked prompts from benign ones (arXiv 2411.00348, section 3.3).

    ``benign`` and ``attacked``: what was read of the same prompts without and with an injected instruction (the paper:
    30 sentences of random words, and the same with *ignore previous instruction*). A head stays if

        (mean_benign − mean_attacked) − deviations · (std_benign + std_attacked) > 0

    over prompts, of the first token's ratio. Raises :class:`ConfigError` for fewer than two prompts on a side, readings
    of different layers, or where no head passes.
    """
    if min(len(benign), len(attacked)) < 2:
        raise ConfigError(f"{len(benign)} benign and {len(attacked)} attacked prompts are too few; give two of each")
    layers = {mass.layers for mass in (*benign, *attacked)}
    if len(layers) != 1:
        raise ConfigError(f"the prompts were read at different layers, {sorted(layers)}; probe the same ones")
    both = []
    for masses in (benign, attacked):
        ratios = [focus_ratios(one, instructions, data, per_token=per_token) for one in masses]
        if any(r is None for r in ratios):
            raise ConfigError("a prompt lacks instructions or data; label both in every prompt")
        both.append(np.stack([r[0] for r in ratios if r is not None]))  # (prompts, L, H)
    calm, misled = both
    margin = calm.mean(0) - misled.mean(0) - deviations * (calm.std(0) + misled.std(0))
    found = [(benign[0].layers[row], int(head)) for row, head in np.argwhere(margin > 0)]
    if not found:
        raise ConfigError(f"no head passes deviations={deviations!r} (the best: {margin.max():.3g}); lower it")
    return tuple(found)


def _mass(spans: SpanMass, labels: Sequence[str], chosen: NDArray[np.bool_]) -> float:
    columns = [spans.labels.index(label) for label in labels if label in spans.labels]
    return float(spans.mass[..., columns].sum(-1)[:, chosen].mean())
