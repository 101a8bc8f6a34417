"""RetrievalHeads: does the model copy its answer from the prompt, and from which span?

Wu et al. (arXiv 2404.15574, section 2, and their code) let a model answer from a needle in its prompt. A head
*retrieves* a token if its most attended key lies in the needle and holds the same token as the one that is generated.
The head's score is the number of these hits divided by the number of the needle's tokens. A prompt counts only if the
model found the needle: the ROUGE-1 recall of the needle in its answer exceeds 0.5. 3 to 6 % of a model's heads have a
mean score above 0.1, whatever the text.

In operation there is no needle. A *hit* of any of those heads shows from which span the token was copied. A token
without a hit was invented, or comes from the model's weights. For a quoted value this is a warning; for a fixed word of
the answer's format it is not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ConfigError
from homeostat.sensors.attempts import Attempt, Readout, SpanMass
from homeostat.sensors.context import SensorContext
from homeostat.sensors.contracts import Need
from homeostat.sensors.heads import Heads, chosen_heads
from homeostat.sensors.readings import Reading, SpanReading, not_judged

__all__ = ["RetrievalHeads", "copy_hits", "retrieval_heads", "retrieval_scores", "rouge1_recall"]

RECALL = 0.5
"""The ROUGE-1 recall that a prompt's answer has to exceed."""


class RetrievalHeads:
    """Measures the share of generated tokens that some chosen head copied from a span; alarms below the threshold.

    ``value`` lies in [0, 1]. The sensor needs ``Attempt.prompt_ids``. ``by_span`` holds the share copied from every
    span; ``detail`` holds ``copied`` (from any span) and ``tokens`` (their number).
    """

    needs: frozenset[Need] = frozenset({"attention"})
    side: Literal["below"] = "below"
    reads = Readout(statistics=frozenset({"top"}))

    def __init__(
        self,
        span: str | None = None,
        *,
        threshold: float = 0.0,
        heads: Heads | None = None,
        name: str = "retrieval_heads",
    ) -> None:
        """Creates the sensor.

        Args:
            span: The span's label; None means any labelled span.
            threshold: The share below which it alarms. The default 0 never alarms: **calibrate it**.
            heads: (layer, head) pairs, as :func:`retrieval_heads` finds them. None means all probed heads, in which
                hits by chance are frequent.
            name: The sensor's name.

        Raises:
            ConfigError: The threshold is outside [0, 1], or ``heads`` is empty.
        """
        if not 0 <= threshold <= 1:
            raise ConfigError(f"threshold={threshold!r} is not a share; pass a number from 0 to 1")
        if heads is not None and not heads:
            raise ConfigError("heads=() reads nothing; pass (layer, head) pairs, or None for all")
        self.name = name
        self.span = span
        self.threshold = threshold
        self.heads = None if heads is None else frozenset(heads)

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """Reads an attempt; it is not judged without top keys, tokens, or the prompt's tokens."""
        spans = attempt.spans
        if spans is None or spans.top is None or spans.spans is None:
            return self._nothing("top keys were not recorded: Readout(statistics={'top'})")
        if not attempt.prompt_ids:
            return self._nothing("the model does not report its prompt's tokens")
        if not len(spans.mass) or len(attempt.tokens) <= int(spans.position[-1]):
            return self._nothing("no token was generated")
        if self.span is not None and self.span not in spans.spans:
            return self._nothing(f"no span {self.span!r} in this prompt")
        chosen = chosen_heads(spans, self.heads)
        if not chosen.any():
            return self._nothing("none of the chosen heads was probed")
        hits = copy_hits(spans, attempt.prompt_ids, attempt.tokens)[:, chosen]  # (T, heads)
        top = spans.top[:, chosen]
        by_span = {}
        anywhere = np.zeros(len(hits), bool)
        for label in spans.spans:
            inside = np.zeros(top.shape, bool)
            for start, stop in spans.spans[label]:
                inside |= (top >= start) & (top < stop)
            copied = (hits & inside).any(1)
            by_span[label] = SpanReading(copied=float(copied.mean()))
            anywhere |= copied
        share = float(anywhere.mean())
        value = share if self.span is None else float(by_span[self.span].copied or 0.0)
        return Reading(
            sensor=self.name,
            value=value,
            threshold=self.threshold,
            alarm=value < self.threshold,
            reason=f"{value:.0%} of the tokens are copied from {self.span or 'the prompt'}",
            span=self.span,
            by_span=by_span,
            detail={"copied": share, "tokens": float(len(hits))},
        )

    def _nothing(self, reason: str) -> Reading:
        return not_judged(self.name, reason, threshold=self.threshold, span=self.span)


def copy_hits(spans: SpanMass, prompt_ids: Sequence[int], tokens: Sequence[int]) -> NDArray[np.bool_]:
    """Finds the tokens that heads copied.

    Args:
        spans: The span masses, with top keys.
        prompt_ids: The prompt's tokens.
        tokens: The generated tokens.

    Returns:
        (T, L, H): whether the head's top key lies in the prompt and holds the token that the row produced.

    Raises:
        ConfigError: Top keys were not recorded, or there are fewer tokens than rows.
    """
    if spans.top is None:
        raise ConfigError("top=None: record top keys with Readout(statistics={'top'})")
    if len(spans.mass) and len(tokens) <= int(spans.position[-1]):
        raise ConfigError(
            f"{len(tokens)} tokens for rows up to token {int(spans.position[-1])}; pass the attempt's own"
        )
    ids, written = np.asarray(prompt_ids, np.int64), np.asarray(tokens, np.int64)[spans.position]
    inside = spans.top < len(ids)
    held = ids[np.where(inside, spans.top, 0)]
    hits: NDArray[np.bool_] = inside & (held == written[:, None, None])
    return hits


def retrieval_scores(
    spans: SpanMass,
    prompt_ids: Sequence[int],
    tokens: Sequence[int],
    needle: tuple[int, int],
    *,
    distinct: bool = False,
) -> NDArray[np.float64]:
    """Scores heads by how much of a needle they copied.

    Args:
        spans: The span masses, with top keys.
        prompt_ids: The prompt's tokens.
        tokens: The generated tokens.
        needle: The needle's slots [start, stop).
        distinct: Whether each of the needle's slots counts once, as in the paper's formula. The authors' code counts
            every hit.

    Returns:
        (L, H) scores: each head's hits in the needle, divided by the number of its slots. A head that copies some slots
        more than once may exceed 1; with ``distinct`` the scores are in [0, 1].

    Raises:
        ConfigError: The needle is not in the prompt, or :func:`copy_hits` refuses the other arguments.
    """
    start, stop = needle
    if not 0 <= start < stop <= len(prompt_ids):
        raise ConfigError(f"needle={needle!r} is not a range of the prompt's {len(prompt_ids)} tokens")
    hits = copy_hits(spans, prompt_ids, tokens)
    assert spans.top is not None
    scores: NDArray[np.float64]
    if distinct:
        scores = np.stack([(hits & (spans.top == slot)).any(0) for slot in range(start, stop)]).mean(
            0, dtype=np.float64
        )
    else:
        scores = (hits & (spans.top >= start) & (spans.top < stop)).sum(0) / (stop - start)
    return scores


def rouge1_recall(wanted: str, answer: str) -> float:
    """Computes the ROUGE-1 recall: the share of the wanted words that an answer has (Lin 2004).

    Words are runs of letters and digits, in lower case. Repeated words count as often as the answer repeats them. The
    authors of retrieval heads also reduce words to their stems.

    Args:
        wanted: The wanted text.
        answer: The answer.

    Returns:
        The share in [0, 1]; 0 if there are no wanted words.
    """
    needed, given = (Counter(re.findall(r"[^\W_]+", text.lower())) for text in (wanted, answer))
    total = sum(needed.values())
    return sum((needed & given).values()) / total if total else 0.0


def retrieval_heads(
    scores: Sequence[NDArray[np.float64]],
    answers: Sequence[tuple[str, str]],
    layers: Sequence[int],
    threshold: float = 0.1,
) -> tuple[tuple[int, int], ...]:
    """Selects the retrieval heads.

    Args:
        scores: For each prompt, the (L, H) scores of :func:`retrieval_scores`.
        answers: For each prompt, the texts of the needle and of the model's answer. Prompts whose answer misses the
            needle do not count.
        layers: The indices of the L layers.
        threshold: The mean score above which a head is selected; the default is the paper's.

    Returns:
        (layer, head) pairs, those with the highest mean score first.

    Raises:
        ConfigError: There are no scores, the numbers of scores and answers differ, no answer has the needle, or no head
            exceeds the threshold.
    """
    if not scores or len(scores) != len(answers):
        raise ConfigError(f"{len(scores)} scores and {len(answers)} answers; pass one of each for one prompt at least")
    counted = [one for one, texts in zip(scores, answers, strict=True) if rouge1_recall(*texts) > RECALL]
    if not counted:
        raise ConfigError(
            f"none of the {len(answers)} answers has half of its needle's words; the model retrieves none"
        )
    mean = np.mean(counted, axis=0)
    found = sorted(np.argwhere(mean > threshold).tolist(), key=lambda at: -mean[tuple(at)])
    if not found:
        raise ConfigError(f"no head scores above {threshold!r} (the best: {mean.max():.3g}); lower it")
    return tuple((layers[row], head) for row, head in found)
