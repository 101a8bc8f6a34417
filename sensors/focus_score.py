"""FocusScore: does the model attend to its instructions, or to data that contains injected instructions?

Attention Tracker (Hung et al., arXiv 2411.00348, sections 3.2 and 4) uses, for layer l and head h, the attention I of
the prompt's last token on the instruction and its attention U on the data:

    r_{l,h} = I / (I + U),    focus = mean of r over the chosen heads,    alarm: focus < threshold

U grows with the length of the data, whatever its content: with the paper's fixed threshold, nearly every long context
raises an alarm. The corrected score uses attention *per token*, without attention sinks: I / |I| instead of I, and
U / |U| instead of U. At any length, it is ½ if a data token gets as much attention as an instruction token.

Cost: a few sums over masses that the probe reads anyway. Limit: an attacker who optimises against attention can evade
the score. Use it as one layer of a defence, never as the only one.
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
from homeostat.sensors.spans import covered

__all__ = ["DATA", "INSTRUCTIONS", "FocusScore", "focus_ratios", "select_heads"]

INSTRUCTIONS = ("system", "rules", "goal", "reminder")
"""The default labels of instructions."""

DATA = ("screen", "elements", "tool")
"""The default labels of data. A label covers its parts, too: ``tool`` covers ``tool.search``."""

Tokens = Literal["first", "all", "lowest"]


class FocusScore:
    """Measures the share of attention that instructions get, compared with data, and alarms below the threshold.

    ``value`` lies in [0, 1]; the module's docstring defines it. ``detail`` holds the mean masses of ``instructions``
    and ``data``, and both scores, ``per_token`` and ``plain``.
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
        """Creates the sensor.

        Args:
            threshold: The share below which it alarms. The default is **not calibrated**; ``homeostat calibrate`` sets
                it.
            per_token: Whether ``value`` is our length-corrected score, or the paper's.
            tokens: ``"first"``: the row of the first generated token, which is the prompt's last token (as in the
                paper). ``"all"``: the mean over all tokens. ``"lowest"``: the smallest score of any token.
            instructions: The labels of instructions; labels that the prompt lacks are ignored.
            data: The labels of data; labels that the prompt lacks are ignored.
            heads: (layer, head) pairs, as :func:`select_heads` finds them; None means all probed heads.
            name: The sensor's name.

        Raises:
            ConfigError: A setting is invalid.
        """
        if not 0 <= threshold <= 1:
            raise ConfigError(f"threshold={threshold!r} is not a share; pass a number from 0 to 1")
        if tokens not in ("first", "all", "lowest"):
            raise ConfigError(f"tokens={tokens!r} is unknown; use 'first', 'all' or 'lowest'")
        if shared := set(instructions) & set(data):
            raise ConfigError(f"span {sorted(shared)[0]!r} is both in instructions and in data; keep it in one of them")
        if not instructions or not data:
            raise ConfigError(f"instructions={instructions!r}, data={data!r}: neither may be empty")
        if heads is not None and not heads:
            raise ConfigError("heads=() reads nothing; pass (layer, head) pairs, or None for all")
        self.name = name
        self.threshold = threshold
        self.per_token = per_token
        self.tokens: Tokens = tokens
        self.instructions, self.data = tuple(instructions), tuple(data)
        self.heads = None if heads is None else frozenset(heads)

    @classmethod
    def plain(cls, heads: Heads | None = None, *, data: Sequence[str] = DATA) -> FocusScore:
        """Builds the paper's score on the agent's own prompt, with the paper's threshold of 0.5 (arXiv 2411.00348).

        The paper itself reads a prompt of its own: :class:`~homeostat.sensors.AttentionTracker`.

        Args:
            heads: (layer, head) pairs, as :func:`select_heads` finds them; None means all probed heads.
            data: The labels of data.

        Returns:
            The sensor, named ``focus_plain``.
        """
        return cls(0.5, per_token=False, heads=heads, data=data, name="focus_plain")

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """Reads an attempt; it is not judged without attention, or without spans of both kinds."""
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
            reason=f"instructions get {value:.2f} of the attention{per}, data gets the rest",
            span=covered(self.instructions, spans.labels)[0],
            detail=detail,
        )

    def _nothing(self, reason: str) -> Reading:
        return not_judged(self.name, reason, threshold=self.threshold)


def focus_ratios(
    spans: SpanMass, instructions: Sequence[str], data: Sequence[str], *, per_token: bool
) -> NDArray[np.float64] | None:
    """Computes I / (I + U).

    Args:
        spans: The span masses.
        instructions: The labels of instructions.
        data: The labels of data.
        per_token: Whether attention is counted per token and without sinks.

    Returns:
        (T, L, H) ratios in [0, 1], ½ if neither gets any attention; None if the prompt has no instructions or no data.
    """
    sides = []
    for labels in (instructions, data):
        columns = [spans.labels.index(label) for label in covered(labels, spans.labels)]
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
    """Finds the heads whose ratio separates attacked prompts from benign ones (arXiv 2411.00348, section 3.3).

    A head is selected if

        (mean_benign − mean_attacked) − deviations · (std_benign + std_attacked) > 0,

    with means and standard deviations over prompts of the first token's ratio.

    Args:
        benign: The span masses of prompts without an injected instruction.
        attacked: The span masses of the same prompts with an injected instruction. (The paper uses 30 sentences of
            random words, and the same with *ignore previous instruction*.)
        deviations: The required number of standard deviations.
        instructions: The labels of instructions.
        data: The labels of data.
        per_token: Whether attention is counted per token and without sinks.

    Returns:
        The (layer, head) pairs.

    Raises:
        ConfigError: A side has fewer than two prompts, the prompts were read at different layers or lack instructions
            or data, or no head passes.
    """
    if min(len(benign), len(attacked)) < 2:
        raise ConfigError(f"{len(benign)} benign and {len(attacked)} attacked prompts are too few; pass two of each")
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
    columns = [spans.labels.index(label) for label in covered(labels, spans.labels)]
    return float(spans.mass[..., columns].sum(-1)[:, chosen].mean())
