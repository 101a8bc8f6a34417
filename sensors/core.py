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

from homeostat.actions import Action, Click, LongPress
from homeostat.errors import ConfigError
from homeostat.observation import Observation
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.spans import Spans
from homeostat.sensors.truth import Truth

__all__ = [
    "Attempt",
    "Capability",
    "ExtendedReadout",
    "ForcedReading",
    "HiddenStates",
    "Need",
    "Reading",
    "Readout",
    "ReminderStyle",
    "Scoring",
    "Sensor",
    "SensorContext",
    "SpanMass",
    "SpanReading",
    "Statistic",
    "Styled",
    "SubtaskSensor",
    "WhiteBox",
]

Need = Literal["attention", "logprobs", "text", "model"]
"""What a sensor may need of a model call: span masses, log-probabilities, the text, or the model itself."""

Capability = Literal["attention", "logprobs", "text", "model", "steering", "schema"]
"""What a model may offer: the sensors' needs, attention steering, and answers held to a JSON schema."""

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


class SpanReading(BaseModel):
    """What a sensor measured of one span of the prompt; None where it did not measure it.

    Attributes:
        mass: The span's attention mass, in [0, 1], averaged over the attempt's tokens and the chosen heads.
        intensity: The mass per key, relative to an even distribution over all visible keys: 1 means that the span gets
            as much attention as any other text of its length.
        copied: The share of the attempt's tokens that were copied from the span, in [0, 1].
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mass: float | None = None
    intensity: float | None = None
    copied: float | None = None


class Reading(BaseModel):
    """What a sensor says of one attempt.

    Attributes:
        sensor: The sensor's name.
        value: The measured value; each sensor documents its unit.
        baseline: What the value is compared with; None on a first reading.
        threshold: The value at which the sensor alarms; None where it has none.
        alarm: Whether the value passes the threshold.
        judged: Whether the value was compared with the threshold at all. A first reading that has nothing to be
            compared with is not judged, and calibration leaves it out.
        reason: One line for people.
        span: The label of the span that the reading is about; None where it is about none.
        by_span: What was measured of every span, by label.
        by_element: Shares of attention by the text of a user-interface element, in [0, 1].
        by_layer: The value of every probed layer, by layer index.
        sinks: How strong every attention sink is, by its slot in the prompt. For an image's sensor: the sinks among the
            image's tokens.
        other_sinks: The sinks elsewhere in the prompt, where the sensor tells the two apart.
        broken_rules: The numbers of the rules that the attempt breaks, counted from 1 in the task's order.
        subtasks: For every subtask, whether it is done.
        detail: Further named numbers, for people and plots; nothing in the runtime depends on them.
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
    by_span: dict[str, SpanReading] = {}
    by_element: dict[str, float] = {}
    by_layer: dict[int, float] = {}
    sinks: dict[int, float] = {}
    other_sinks: dict[int, float] = {}
    broken_rules: tuple[int, ...] = ()
    subtasks: tuple[bool, ...] = ()
    detail: dict[str, float] = {}


@dataclass(frozen=True)
class SensorContext:
    """What a sensor may know besides the attempt.

    ``history`` holds this sensor's own earlier readings in the episode (of the attempts that were acted on, in the
    present subtask), oldest first: a sensor keeps no state of its own, so an episode can resume anywhere.
    ``model`` is set only for sensors that declare the need ``"model"`` (a :class:`WhiteBox`, where the loop's model is
    one). ``prompt`` is what the attempt answered and ``observation`` what the prompt showed; either may be None.

    Attributes:
        goal: What the executor is working on: the whole goal, or the present subtask's.
        rules: The task's rules.
        step: The number of the environment step, from 0.
        attempt: The number of the model call within the step, from 0.
        history: This sensor's earlier readings in the present subtask.
        model: The model itself, for sensors that need it.
        prompt: What the attempt answered.
        observation: What the prompt showed.
        task_goal: The goal of the whole task, also while a subtask is worked on.
        action: What the attempt's text was parsed to; None where it holds no action.
        subtasks: For every subtask, whether it is done before the action; None where the environment does not say.
        subtask_apps: For every subtask, the app that it is done in; "" where it has none.
        optimal_steps: How many steps the built-in solution takes; 0 where nobody knows.
        candidates: All answers that were sampled to the same prompt, this attempt among them.
        weights: One weight for each candidate; None counts all alike.
        truth: What really happened, where the environment knows.
    """

    goal: str
    rules: tuple[str, ...] = ()
    step: int = 0
    attempt: int = 0
    history: tuple[Reading, ...] = ()
    model: Any = None
    prompt: Prompt | None = None
    observation: Observation | None = None
    task_goal: str = ""
    action: Action | None = None
    subtasks: tuple[bool, ...] | None = None
    subtask_apps: tuple[str, ...] = ()
    optimal_steps: int = 0
    candidates: tuple[Attempt, ...] = ()
    weights: tuple[float, ...] | None = None
    truth: Truth | None = None

    @property
    def point(self) -> tuple[float, float] | None:
        """Where the attempt's action taps, as normalised (x, y); None where it taps nowhere."""
        return self.action.point if isinstance(self.action, Click | LongPress) else None


@runtime_checkable
class Scoring(Protocol):
    """A model that scores a given answer (teacher forcing)."""

    def score(self, prompt: Prompt, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Scores a given answer.

        What the prompt shares with the last one from its start is not computed again where the cache allows it.

        Args:
            prompt: The prompt.
            tokens: The T tokens of the answer.

        Returns:
            (T, V) natural-log probabilities over the vocabulary at each token.
        """
        ...


@runtime_checkable
class ForcedReading(Protocol):
    """A model whose attention can be read while it is given an answer (teacher forcing)."""

    def read(self, prompt: Prompt, tokens: Sequence[int], readout: Readout) -> SpanMass:
        """Reads the attention of a given answer.

        Args:
            prompt: The prompt.
            tokens: The T tokens of the answer.
            readout: What the probe records besides span masses.

        Returns:
            The span masses of the T tokens.
        """
        ...


@runtime_checkable
class HiddenStates(Protocol):
    """A model that tells its hidden states."""

    def hidden(self, prompt: Prompt) -> NDArray[np.float32]:
        """Computes the residual stream of a prompt.

        Args:
            prompt: The prompt, of P tokens.

        Returns:
            (L + 1, P, D): the residual stream at each token, entering each of the L layers and after the last.
        """
        ...


@runtime_checkable
class WhiteBox(Scoring, ForcedReading, HiddenStates, Protocol):
    """Everything that a sensor with the need ``"model"`` may ask of a model."""

    def generate(self, prompt: Prompt, *, max_new_tokens: int = 256, watch: bool | Readout = True) -> list[Attempt]:
        """Answers a prompt greedily.

        Args:
            prompt: The prompt.
            max_new_tokens: The most tokens that the answer may have.
            watch: Whether attention is read, or what the probe records.

        Returns:
            One attempt.
        """
        ...


class ReminderStyle(Protocol):
    """How a model's prompts word a reminder."""

    @property
    def reminder(self) -> str:
        """The wording, with ``{reminder}`` where the text goes."""
        ...


@runtime_checkable
class Styled(Protocol):
    """A model that has a prompt style of its own."""

    @property
    def style(self) -> ReminderStyle:
        """The style."""
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


@runtime_checkable
class ExtendedReadout(Protocol):
    """What a sensor has besides where it needs more of the probe than span masses."""

    @property
    def reads(self) -> Readout:
        """What the probe has to record for this sensor. A plain attribute will do."""
        ...


@runtime_checkable
class SubtaskSensor(Protocol):
    """What a sensor has besides where it compares the action with the task's subtasks."""

    @property
    def checks_subtasks(self) -> bool:
        """Whether the loop has to evaluate the subtasks' checks at every attempt. A plain attribute will do."""
        ...
