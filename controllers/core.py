"""The words that controllers share: decisions, the plan, the context, and the ``Controller`` contract.

Controllers know readings, never models: they return what they *want*, the loop carries it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from homeostat.actions import Action
from homeostat.controllers.plan import Plan
from homeostat.observation import Element
from homeostat.sensors.contracts import Capability
from homeostat.sensors.readings import Reading
from homeostat.sensors.steering.actuators import Actuator

__all__ = [
    "Ask",
    "Candidate",
    "Choose",
    "ControlContext",
    "Controller",
    "Decision",
    "Demanding",
    "Dispatch",
    "HoldAttention",
    "MakePlan",
    "Perform",
    "Proceed",
    "Record",
    "Refuse",
    "Refusing",
    "Reminder",
    "Report",
    "Reported",
    "Sample",
    "SteerAttention",
    "Stop",
]


Phase = Literal["start", "planned", "attempt", "candidates", "reported"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Decision(_Value):
    """``cause`` says what it answers (``"drift:goal"``, ``"unparsable"``); ``by`` is filled in by a ``Cascade`` with
    the name of the controller that wanted it, which the loop writes into the :class:`Record`.
    """

    cause: str = ""
    by: str = ""


class Proceed(_Decision):
    """Carry the attempt's action out."""

    kind: Literal["proceed"] = "proceed"


class Reminder(_Decision):
    """Ask again, with ``text`` in the prompt's ``reminder`` span, and the images that these labels ``show`` once more
    in front of it (``screen``, ``frame-3``; what the prompt lacks is left out).
    """

    kind: Literal["remind"] = "remind"
    text: str
    show: tuple[str, ...] = ()


class MakePlan(_Decision):
    """Ask the planner to split the goal; the controller sees the plan in the next context.

    With a ``plan``, which replaces the present one, the planner is told what is done, failed and known, and its answer
    replaces the open parts alone.
    """

    kind: Literal["plan"] = "plan"
    plan: Plan | None = None


class Dispatch(_Decision):
    """Go on with ``plan`` (which replaces the present one): its active part, resolved to ``instruction``, becomes
    the executor's goal, in a fresh context (no history, no reminder). The attempt's action is not carried out.
    """

    kind: Literal["dispatch"] = "dispatch"
    instruction: str
    plan: Plan


class Report(_Decision):
    """Have the present screen read: the values named in ``facts``, and whether ``check`` is to be seen there. The
    controllers are asked again in the phase ``reported``.
    """

    kind: Literal["report"] = "report"
    facts: tuple[str, ...] = ()
    check: str = ""


class Perform(_Decision):
    """Carry out ``action`` in place of what the model wanted; ``plan`` replaces the present one where it is given."""

    kind: Literal["perform"] = "perform"
    action: Action
    plan: Plan | None = None


class Ask(_Decision):
    """Interrupt the episode with a question to the user; resumable."""

    kind: Literal["ask"] = "ask"
    question: str


class SteerAttention(_Decision):
    """Ask again, with the model's attention steered by ``actuators`` in this attempt of this step alone."""

    kind: Literal["steer"] = "steer"
    actuators: tuple[Actuator, ...]


class HoldAttention(_Decision):
    """From the next attempt on, steer every one by ``actuators`` (none: stop that) until it is changed.

    It costs no attempt: the controllers are asked again at once, with this decision among the records, and one that
    holds a second time at the same attempt is not heard. ``memory`` is a number that the controller finds again in its
    :class:`Record`.
    """

    kind: Literal["hold"] = "hold"
    actuators: tuple[Actuator, ...] = ()
    memory: float = 0.0


class Sample(_Decision):
    """Ask for ``n`` more answers to the same prompt, from one prefill, at ``temperature``; then the controllers are
    asked again in the phase ``candidates``.
    """

    kind: Literal["sample"] = "sample"
    n: int = Field(ge=1)
    temperature: float = Field(default=0.7, gt=0.0)


class Choose(_Decision):
    """Go on with candidate ``index``, as if the model had answered that: its action is carried out."""

    kind: Literal["choose"] = "choose"
    index: int = Field(ge=0)


class Refuse(_Decision):
    """Don't carry the action out: the step is spent, and ``reason`` stands in the next one's prompt as its reminder.

    ``candidate``: the one whose action it is, where another than the attempt's was chosen.
    """

    kind: Literal["refuse"] = "refuse"
    reason: str
    candidate: int | None = Field(default=None, ge=0)


class Stop(_Decision):
    """End the episode."""

    kind: Literal["stop"] = "stop"
    reason: str


Decision = Annotated[
    Proceed
    | Reminder
    | MakePlan
    | Dispatch
    | Report
    | Perform
    | Ask
    | SteerAttention
    | HoldAttention
    | Sample
    | Choose
    | Refuse
    | Stop,
    Field(discriminator="kind"),
]


class Record(_Value):
    """A decision that was taken, for cool-downs and budgets; ``memory`` is that of a :class:`HoldAttention`."""

    step: int
    attempt: int
    controller: str
    kind: str
    cause: str = ""
    memory: float = 0.0
    phase: Phase = "attempt"


class Candidate(_Value):
    """One of several answers to the same prompt, with what it was parsed to and every sensor's reading of it."""

    text: str
    action: Action | None = None
    unparsable: str | None = None
    readings: tuple[Reading, ...] = ()


class Reported(_Value):
    """What a :class:`Report` brought: the ``facts`` that were found, and whether the check holds (None: not asked, or
    the reporter could not be read, with the reason in ``error``).
    """

    facts: dict[str, str] = {}
    check: bool | None = None
    error: str = ""


class ControlContext(_Value):
    """What a controller may know.

    ``phase`` is ``"start"`` once before the first attempt of an episode (no readings, no action), ``"planned"``
    right after a planner's answer was parsed into ``plan`` (or failed: ``plan_error``), ``"attempt"`` after each
    attempt, ``"candidates"`` after a :class:`Sample`: ``candidates`` holds the attempt itself first, then the
    others; and ``"reported"`` after a :class:`Report`, with ``report``. ``action`` is what the attempt's text
    parsed to, or None with the parser's message in ``unparsable``. ``goal`` is the whole goal, ``instruction`` what
    the executor is working on. ``answers`` are those given so far in the present subtask; ``decisions`` everything
    decided in the episode, oldest first. ``app`` and ``elements`` are what the screen shows; ``tried`` what was done
    on this very screen before, in the present subtask (actions as ``forest.same_action`` tells them apart); ``tokens``
    written and ``seconds`` spent so far. ``failures`` counts the present subtask's steps in a row that came to nothing
    (no action, or one that was refused).
    """

    phase: Phase
    goal: str
    instruction: str
    rules: tuple[str, ...] = ()
    step: int = 0
    attempt: int = 0
    max_steps: int = 0
    subtask_steps: int = 0
    action: Action | None = None
    unparsable: str | None = None
    answers: tuple[str, ...] = ()
    plan: Plan | None = None
    plan_error: str | None = None
    decisions: tuple[Record, ...] = ()
    app: str = ""
    elements: tuple[Element, ...] = ()
    tried: tuple[str, ...] = ()
    tokens: int = 0
    seconds: float = 0.0
    candidates: tuple[Candidate, ...] = ()
    report: Reported | None = None
    failures: int = 0

    def sampled_by(self, name: str) -> bool:
        """Whether the candidates are what the controller ``name`` asked for, or nobody knows who did."""
        asked = [r.controller for r in self.decisions if r.kind == "sample" and r.step == self.step]
        return not asked or asked[-1] == name


@runtime_checkable
class Controller(Protocol):
    """Turns readings into a decision. Stateless: what it did before stands in ``context.decisions``.

    ``sensors`` names the readings it acts on (empty: any). ``decide`` returns :class:`Proceed` where it wants nothing
    in every phase, and never raises on a valid context.
    """

    @property
    def name(self) -> str:
        """Unique within an agent; a plain attribute will do."""
        ...

    @property
    def sensors(self) -> frozenset[str]:
        """The names of the sensors it acts on; empty: any. A plain attribute will do."""
        ...

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Decision:
        """What this controller wants now."""
        ...


@runtime_checkable
class Demanding(Protocol):
    """What a controller has besides where its decisions need something of the model."""

    @property
    def needs(self) -> frozenset[Capability]:
        """The model's capabilities that it needs, such as ``"steering"``. A plain attribute will do."""
        ...


@runtime_checkable
class Refusing(Controller, Protocol):
    """A controller that may forbid an action.

    The loop asks every such controller immediately before an action is carried out, whoever proposed or chose it.
    """

    def refuse(self, action: Action, context: ControlContext) -> Refuse | Stop | None:
        """Judges an action that is about to be carried out.

        Args:
            action: The action.
            context: The present screen, the rules and what happened so far.

        Returns:
            A refusal, the end of the episode, or None where the action is allowed.
        """
        ...
