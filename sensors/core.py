"""The words that sensors share: an attempt, its span masses, a reading, and the ``Sensor`` contract.

Nothing here needs torch: an :class:`Attempt` holds numpy arrays, so that readings can be taken, stored and
tested away from the model that made it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from homeostat.errors import ConfigError
from homeostat.observation import Observation
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.spans import Spans

__all__ = ["Attempt", "Need", "Reading", "Readout", "Sensor", "SensorContext", "SpanMass", "Statistic", "WhiteBox"]

Need = Literal["attention", "logprobs", "text", "model"]
Statistic = Literal["entropy", "distance", "top", "received", "outputs"]


@dataclass(frozen=True)
class Readout:
    """What the probe reads of every generated token's row besides the span masses; ``a | b`` reads what either does.

    ``keys``: labels of spans whose every key's weight is kept; ``window``: so many of the row's nearest keys, itself
    the first; ``statistics``: see the fields of :class:`SpanMass` of those names. A sensor says what it needs as its
    attribute ``reads``. Memory grows with T·L·H times the keys kept (``outputs``: times the head's width).
    """

    keys: frozenset[str] = frozenset()
    window: int = 0
    statistics: frozenset[Statistic] = frozenset()

    def __post_init__(self) -> None:
        """Raises ``ConfigError`` for an unknown statistic or a negative window."""
        known = ("entropy", "distance", "top", "received", "outputs")
        if unknown := sorted(map(str, self.statistics - set(known))):
            raise ConfigError(f"statistic {unknown[0]!r} is unknown; known: {', '.join(known)}")
        if self.window < 0:
            raise ConfigError(f"window={self.window!r} counts keys; give 0 or more")

    def __or__(self, other: Readout) -> Readout:
        """What either reads."""
        return Readout(self.keys | other.keys, max(self.window, other.window), self.statistics | other.statistics)


@dataclass(frozen=True)
class SpanMass:
    """How much attention each generated token's query gives each labelled span.

    Shapes, with T generated tokens, W prompt rows, L probed layers, H heads, S spans:

    - ``mass`` (T, L, H, S) float32 in [0, 1]: Σ over the span's keys of the softmax weights of the query whose
      logits produced token t (for t = 0 that is the prompt's last row).
    - ``prompt_mass`` (W, L, H, S): the same for the last W rows of the prompt, in order.
    - ``sink`` (T, L, H): the part of the mass that lies on attention sinks, and ``sink_in_span`` (T, L, H, S) the
      part of each span's mass that does; both None where sinks were not measured.
    - ``lengths`` (S,): keys in each span; ``visible`` (T,): keys that row t can see.

    The last span is "output", the tokens generated so far: row t sees t of them, the last row ``lengths[-1]`` = T − 1.
    Where layers differ in what they see (sliding windows), ``visible`` is the most that any probed layer sees.

    Where only every k-th token was read, T counts those, and ``index`` (T,) holds their numbers among the generated
    tokens (``position`` has them in any case). What a :class:`Readout` asks for, each None or empty otherwise:

    - ``keys[label]`` (T, L, H, n): the weight on each of the span's n keys, in their order.
    - ``recent`` (T, L, H, w): ``recent[..., d]`` is the weight on the key d slots before the row (0: the row's own).
    - ``entropy`` (T, L, H): −Σ p log p of the row's weights, in nats; ``distance`` (T, L, H): Σ p_s · (row − s), in
      slots; ``top`` (T, L, H) int64: the slot of its largest weight.
    - ``received`` (L, H, n): of the prompt's first n ≤ 64 slots, the mean weight that each receives from those of the
      prompt's read rows that can see it (arXiv 2410.10781's α; all rows only with ``rows="all"``); NaN where none can.
    - ``outputs`` (T, L, H, D): each head's output Σ p_s v_s, before the output projection.

    ``prompt`` is the number of the prompt's slots, so generated token i lies in slot ``prompt + i``; ``spans`` are the
    spans that were read.
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
    prompt: int = 0
    spans: Spans | None = None

    @property
    def position(self) -> NDArray[np.int64]:
        """(T,) which generated token each row belongs to."""
        return np.arange(len(self.mass), dtype=np.int64) if self.index is None else self.index

    def of(self, label: str) -> NDArray[np.float32]:
        """(T, L, H) mass of one span. Raises ``KeyError`` for a label that the prompt lacks."""
        if label not in self.labels:
            raise KeyError(f"no span {label!r} in this prompt; spans: {', '.join(self.labels)}")
        return self.mass[..., self.labels.index(label)]


@dataclass(frozen=True)
class Attempt:
    """One model call, as it came back.

    ``logprobs[t]`` is the natural-log probability of ``tokens[t]`` and ``entropy[t]`` the entropy in nats of the
    distribution it was drawn from; both are empty for a model that does not tell. ``spans`` is None where
    attention was not read. ``finish`` is ``"length"`` where the token budget ended it. ``prompt_ids`` are the prompt's
    tokens and ``pieces[t]`` the text that token t adds, where the model tells them.
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


class Reading(BaseModel):
    """What a sensor says of one attempt.

    ``value`` against ``baseline`` (None on the first reading), ``alarm`` and the one-line ``reason``;
    ``detail`` holds further named numbers, such as the intensity of every span. ``judged`` says whether the value was
    held against the threshold: a first reading that has nothing to compare with was not, and calibration leaves it out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sensor: str
    value: float
    baseline: float | None = None
    threshold: float | None = None
    alarm: bool = False
    judged: bool = True
    reason: str = ""
    span: str | None = None
    detail: dict[str, float] = {}


@dataclass(frozen=True)
class SensorContext:
    """What a sensor may know besides the attempt.

    ``history`` holds this sensor's own earlier readings in the episode (of the attempts that were acted on, in the
    present subtask), oldest first: a sensor keeps no state of its own, so an episode can resume anywhere.
    ``model`` is set only for sensors that declare the need ``"model"`` (a :class:`WhiteBox`, where the loop's model is
    one). ``prompt`` is what the attempt answered and ``observation`` what the prompt showed; either may be None.
    """

    goal: str
    rules: tuple[str, ...] = ()
    step: int = 0
    attempt: int = 0
    history: tuple[Reading, ...] = ()
    model: Any = None
    prompt: Prompt | None = None
    observation: Observation | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@runtime_checkable
class WhiteBox(Protocol):
    """What sensors that need ``"model"`` may ask of one."""

    def generate(self, prompt: Prompt, *, max_new_tokens: int = 256, watch: bool | Readout = True) -> list[Attempt]:
        """Answers to the prompt (one, greedy, where nothing else is said)."""
        ...

    def score(self, prompt: Prompt, tokens: Sequence[int]) -> NDArray[np.float32]:
        """(T, V) natural-log probabilities over the vocabulary at each of ``tokens``, forced after the prompt.

        The keys of what this prompt shares with the last one from its start are reused where the cache allows it.
        """
        ...

    def read(self, prompt: Prompt, tokens: Sequence[int], readout: Readout) -> SpanMass:
        """What the probe reads of ``tokens``, forced after the prompt."""
        ...

    def hidden(self, prompt: Prompt) -> NDArray[np.float32]:
        """(L + 1, P, D): the residual stream at each of the prompt's tokens, entering each layer and after the last."""
        ...


@runtime_checkable
class Sensor(Protocol):
    """Reads one attempt. Stateless, deterministic, and quick beside the model call it reads.

    ``name`` is unique within an agent; ``needs`` says what the attempt must carry. ``read`` must not raise on an
    attempt that carries what ``needs`` declares, whatever its text or length (an empty one included).
    """

    name: str
    needs: frozenset[Need]

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """The reading of this attempt."""
        ...
