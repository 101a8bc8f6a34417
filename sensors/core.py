"""The words that sensors share: an attempt, its span masses, a reading, and the ``Sensor`` contract.

Nothing here needs torch: an :class:`Attempt` holds numpy arrays, so that readings can be taken, stored and
tested away from the model that made it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

__all__ = ["Attempt", "Need", "Reading", "Sensor", "SensorContext", "SpanMass"]

Need = Literal["attention", "logprobs", "text", "model"]


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
    """

    labels: tuple[str, ...]
    layers: tuple[int, ...]
    mass: NDArray[np.float32]
    prompt_mass: NDArray[np.float32]
    lengths: NDArray[np.int64]
    visible: NDArray[np.int64]
    sink: NDArray[np.float32] | None = None
    sink_in_span: NDArray[np.float32] | None = None

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
    attention was not read. ``finish`` is ``"length"`` where the token budget ended it.
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
    ``model`` is set only for sensors that declare the need ``"model"``.
    """

    goal: str
    rules: tuple[str, ...] = ()
    step: int = 0
    attempt: int = 0
    history: tuple[Reading, ...] = ()
    model: Any = None
    extra: dict[str, Any] = field(default_factory=dict)


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
