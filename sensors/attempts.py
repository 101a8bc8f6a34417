"""What one model call returned: the attempt, the attention that the probe recorded, and what it was asked to record.

Nothing here needs torch. All arrays are numpy arrays, so readings can be taken, stored and tested without the model.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ConfigError
from homeostat.plots.figures import Chart
from homeostat.plots.spans import By
from homeostat.sensors.span_mass_files import read_fields, write_fields
from homeostat.sensors.span_mass_views import Quantity, mass_chart, mass_html, mass_table
from homeostat.sensors.spans import Spans

__all__ = ["Attempt", "Readout", "SpanMass", "Statistic"]

Statistic = Literal["entropy", "distance", "top", "received", "outputs", "prompt_keys"]
"""A quantity that the probe can record besides span masses; :class:`SpanMass` has a field of the same name for each."""


@dataclass(frozen=True)
class Readout:
    """What the probe records of each generated token's attention row besides the span masses.

    A sensor states what it needs in its attribute ``reads``. The union of two readouts is ``a | b``. Memory grows with
    T·L·H times the number of recorded keys, and for ``outputs`` with T·L·H times the head size. ``prompt_keys`` records
    all keys of the prompt: 100 tokens of a model with 30 layers of 9 heads on a prompt of 1,000 tokens take 54 MB.

    Attributes:
        keys: Labels of the spans for which the weight of every single key is recorded.
        window: How many of the nearest keys are recorded, counting back from the row's own key.
        statistics: Further quantities; the fields of :class:`SpanMass` with these names define them.
    """

    keys: frozenset[str] = frozenset()
    window: int = 0
    statistics: frozenset[Statistic] = frozenset()

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            ConfigError: A statistic is unknown, or the window is negative.
        """
        known = get_args(Statistic)
        if unknown := sorted(map(str, self.statistics - set(known))):
            raise ConfigError(f"statistic {unknown[0]!r} is unknown; known: {', '.join(known)}")
        if self.window < 0:
            raise ConfigError(f"window={self.window!r} counts keys; give 0 or more")

    @property
    def parts(self) -> frozenset[str]:
        """What is recorded besides span masses: the statistics, ``"keys"`` and ``"window"``."""
        more = {name for name, wanted in (("keys", self.keys), ("window", self.window)) if wanted}
        return frozenset((*self.statistics, *more))

    def __or__(self, other: Readout) -> Readout:
        """Returns a readout that records everything that either of the two records."""
        return Readout(self.keys | other.keys, max(self.window, other.window), self.statistics | other.statistics)


@dataclass(frozen=True)
class SpanMass:
    """The attention that each generated token's query gives to each labelled span.

    Shapes use T generated tokens, W prompt rows, L probed layers, H heads, S spans and D for the head size. Row t is
    the query whose logits produced token t; for t = 0 this is the prompt's last row. The last span is "output", the
    tokens generated so far: row t sees t of them, and the last row sees ``lengths[-1]`` = T − 1.

    If only every k-th token was recorded, T counts the recorded tokens. The fields from ``keys`` to ``outputs`` are
    None (or empty) unless a :class:`Readout` asked for them.

    Attributes:
        labels: The S labels of the spans, "output" last.
        layers: The indices of the L probed layers.
        mass: (T, L, H, S) float32 in [0, 1]: the sum of the row's softmax weights over the span's keys.
        prompt_mass: (W, L, H, S): the same for the last W rows of the prompt, in order.
        lengths: (S,): the number of keys in each span. A thinned cache holds fewer than the span has tokens; where its
            heads differ, this is their mean.
        visible: (T,): the number of keys that row t can see. If layers differ (sliding windows), this is the largest
            number over the probed layers.
        sink: (T, L, H): the mass on attention sinks; None if sinks were not measured.
        sink_in_span: (T, L, H, S): the part of each span's mass that lies on sinks; None if sinks were not measured.
        index: (T,): the position of each recorded token among the generated tokens; None if all were recorded
            (:attr:`position` gives it in both cases).
        keys: By label, (T, L, H, n): the weight on each of the span's n keys, in order.
        recent: (T, L, H, w): ``recent[..., d]`` is the weight on the key d slots before the row (0 is the row's own).
        entropy: (T, L, H): −Σ p log p of the row's weights, in nats.
        distance: (T, L, H): Σ p_s · (row − s), in slots.
        top: (T, L, H) int64: the slot with the row's largest weight.
        received: (L, H, n): for the first n ≤ 64 slots of the prompt, the mean weight that the slot receives from the
            recorded prompt rows that can see it (α in arXiv 2410.10781; the probe records all prompt rows only with
            ``rows="all"``). NaN if no recorded row can see the slot.
        outputs: (T, L, H, D): each head's output Σ p_s v_s, before the output projection.
        prompt_keys: (T, L, H, n) float16: the weight on each of the prompt's n slots, template tokens included.
        prompt: The number of prompt slots; generated token i lies in slot ``prompt + i``.
        spans: The spans that were read.
        evicted: By label, the estimated mass that the span's evicted keys would get from the prompt's last rows, were
            they still in the cache; None where the model has no memory that evicts keys.
    """

    labels: tuple[str, ...]
    layers: tuple[int, ...]
    mass: NDArray[np.float32]
    prompt_mass: NDArray[np.float32]
    lengths: NDArray[np.int64]
    visible: NDArray[np.int64]
    sink: NDArray[np.float32] | None = None
    sink_in_span: NDArray[np.float32] | None = None
    index: NDArray[np.int64] | None = None
    keys: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    recent: NDArray[np.float32] | None = None
    entropy: NDArray[np.float32] | None = None
    distance: NDArray[np.float32] | None = None
    top: NDArray[np.int64] | None = None
    received: NDArray[np.float32] | None = None
    outputs: NDArray[np.float32] | None = None
    prompt_keys: NDArray[np.float16] | None = None
    prompt: int = 0
    spans: Spans | None = None
    evicted: Mapping[str, float] | None = None

    @property
    def position(self) -> NDArray[np.int64]:
        """(T,): the generated token that each row produced, counted from 0."""
        return np.arange(len(self.mass), dtype=np.int64) if self.index is None else self.index

    def of(self, label: str) -> NDArray[np.float32]:
        """Returns the mass of one span.

        Args:
            label: The span's label.

        Returns:
            (T, L, H) masses.

        Raises:
            KeyError: The prompt has no span with this label.
        """
        if label not in self.labels:
            raise KeyError(f"no span {label!r} in this prompt; spans: {', '.join(self.labels)}")
        return self.mass[..., self.labels.index(label)]

    def plot(self, by: By = "token") -> Chart:
        """Draws the attention on each span.

        Args:
            by: What is shown along the axis: ``"token"``, ``"layer"``, or ``"head"``, a map of all heads.

        Returns:
            The chart, which notebooks show, and whose method ``save`` writes PNG or SVG.

        Raises:
            ConfigError: ``by`` is unknown, no token was read, or matplotlib (extra ``plot``) is not installed.
        """
        return mass_chart(self, by)

    def to_pandas(self, quantity: Quantity = "mass") -> Any:
        """Makes a table, such as for ``groupby("layer").mean()``.

        Args:
            quantity: ``"mass"``, ``"prompt_mass"`` or ``"sink_in_span"``, with one column for each span; or ``"sink"``,
                ``"entropy"``, ``"distance"`` or ``"top"``.

        Returns:
            A ``pandas.DataFrame``, indexed by token (for ``"prompt_mass"`` by slot), layer and head.

        Raises:
            ConfigError: The quantity is unknown or was not recorded, or pandas (extra ``plot``) is not installed.
        """
        return mass_table(self, quantity)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes all fields to a file.

        Args:
            path: The file, which usually ends in ``.npz``. Missing folders are created.

        Returns:
            The file.

        Raises:
            ConfigError: The file can't be written.
        """
        return write_fields(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SpanMass:
        """Reads what :meth:`save` wrote. The file is read without pickle: it can hold no code.

        Args:
            path: The file.

        Returns:
            The same span masses.

        Raises:
            ConfigError: The file can't be read, or holds something else.
        """
        try:
            return cls(**read_fields(path))
        except TypeError:  # a field of a newer version
            raise ConfigError(f"{str(path)!r} was written by another version of homeostat; write it again") from None

    def _repr_html_(self) -> str:
        """The table of spans that notebooks show."""
        return mass_html(self)


@dataclass(frozen=True)
class Attempt:
    """The answer of one model call.

    Attributes:
        text: The generated text.
        tokens: The T generated tokens.
        logprobs: The natural-log probability of each token; empty if the model does not report it.
        entropy: The entropy, in nats, of the distribution from which each token was drawn; empty if unknown.
        margin: For each token, the probability of the most probable token minus that of the second; empty if unknown.
        spans: The attention that the probe recorded; None if attention was not read.
        prompt_tokens: The number of prompt tokens.
        cached_tokens: How many of the prompt tokens came from the key-value cache.
        generated_tokens: The number of generated tokens, where a server counts more than it tells in ``tokens``; 0
            where it does not say.
        seconds: The duration of the call.
        finish: ``"length"`` if the token budget ended the answer, otherwise ``"stop"``.
        prompt_ids: The prompt's tokens; empty if the model does not report them.
        pieces: The text that each token adds; empty if the model does not report it.
        prompt_pieces: The text of each of the prompt's tokens; empty unless ``prompt_keys`` was asked for.
        batch: How many answers to the same prompt were decoded together with this one, itself included; 0 if the model
            does not report it. Fewer than were asked for mean that memory did not suffice for all at once.
    """

    text: str
    tokens: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    entropy: tuple[float, ...] = ()
    margin: tuple[float, ...] = ()
    spans: SpanMass | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    seconds: float = 0.0
    finish: Literal["stop", "length"] = "stop"
    prompt_ids: tuple[int, ...] = ()
    pieces: tuple[str, ...] = ()
    prompt_pieces: tuple[str, ...] = ()
    batch: int = 0
    generated_tokens: int = 0

    @property
    def cost(self) -> int:
        """The number of generated tokens that the answer cost, those that nobody sees included."""
        return max(len(self.tokens), self.generated_tokens)

    def __post_init__(self) -> None:
        """Refuses what no sensor could read and no run could store.

        Raises:
            ValueError: A number is not finite, or the text holds half of a surrogate pair. The loop turns it into an
                error that names the model.
        """
        given: dict[str, Any] = {"logprobs": self.logprobs, "entropy": self.entropy, "margin": self.margin}
        if self.spans is not None:
            given |= {"spans.mass": self.spans.mass, "spans.prompt_mass": self.spans.prompt_mass}
        for name, numbers in given.items():
            if not np.isfinite(numbers).all():
                raise ValueError(f"{name} holds a number that is not finite; check the model's weights and dtype")
        try:
            self.text.encode()
        except UnicodeEncodeError:
            raise ValueError("text holds half of a surrogate pair; decode the answer as UTF-8") from None
