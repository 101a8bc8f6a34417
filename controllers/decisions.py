"""What a controller may want: one class for each kind of decision.

A controller returns a decision; the control loop carries it out.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from homeostat.actions import Action
from homeostat.controllers.plan import Plan
from homeostat.sensors.steering.actuators import Actuator

__all__ = [
    "Ask",
    "Choose",
    "Confirm",
    "Decision",
    "Dispatch",
    "HoldAttention",
    "MakePlan",
    "Perform",
    "Proceed",
    "Refuse",
    "Reminder",
    "Report",
    "Sample",
    "SteerAttention",
    "Stop",
]


class _Decision(BaseModel):
    """The fields of every decision.

    Attributes:
        cause: What the decision responds to, such as ``"attention_drift:goal"`` or ``"unparsable"``.
        by: The name of the controller that wanted it. A ``Cascade`` fills it in, and the loop copies it into the
            :class:`~homeostat.controllers.context.Record`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cause: str = ""
    by: str = ""


class Proceed(_Decision):
    """Carries out the attempt's action, because the controller wants nothing else."""

    kind: Literal["proceed"] = "proceed"


class Reminder(_Decision):
    """Asks the model again, with a reminder in the prompt.

    Attributes:
        text: The text of the prompt's ``reminder`` span.
        show: Labels of images that are shown once more in front of the text, such as ``"screen"`` or ``"frame-3"``.
            Labels that the prompt does not contain are left out.
        temperature: The sampling temperature of the next attempt; None keeps the loop's.
        actuators: How attention is steered beside the reminder, in this step only; empty leaves it as it is. A
            framework's model that can't be steered is only reminded.
    """

    kind: Literal["remind"] = "remind"
    text: str
    show: tuple[str, ...] = ()
    temperature: float | None = Field(default=None, ge=0.0)
    actuators: tuple[Actuator, ...] = ()


class MakePlan(_Decision):
    """Asks the planner to split the goal. The controllers see its plan in the phase ``planned``.

    Attributes:
        plan: None for the first plan. To replan: the present plan, which replaces the loop's; the planner is told what
            is done, failed and known, and its answer replaces the open subtasks only.
    """

    kind: Literal["plan"] = "plan"
    plan: Plan | None = None


class Dispatch(_Decision):
    """Starts a subtask. The attempt's action is not carried out.

    Attributes:
        instruction: The active subtask's instruction without placeholders. It becomes the executor's goal, in a fresh
            context without history and reminder.
        plan: The plan with that subtask active; it replaces the present plan.
    """

    kind: Literal["dispatch"] = "dispatch"
    instruction: str
    plan: Plan


class Report(_Decision):
    """Lets the planning model read the present screen; the controllers are asked again in the phase ``reported``.

    Attributes:
        facts: The names of the values to read.
        check: A description of what the screen has to show; empty for no check.
    """

    kind: Literal["report"] = "report"
    facts: tuple[str, ...] = ()
    check: str = ""


class Perform(_Decision):
    """Carries out another action instead of the attempt's.

    Attributes:
        action: The action.
        plan: A plan that replaces the present one; None keeps it.
    """

    kind: Literal["perform"] = "perform"
    action: Action
    plan: Plan | None = None


class Ask(_Decision):
    """Interrupts the episode with a question to the user. The episode can be resumed with the answer.

    Attributes:
        question: The question.
    """

    kind: Literal["ask"] = "ask"
    question: str


class Confirm(_Decision):
    """Asks the user whether the action may be carried out. Any other answer than yes refuses it.

    The episode can be resumed with the answer, and the action is then carried out without asking the model again.

    Attributes:
        question: The question, which a yes or a no answers.
    """

    kind: Literal["confirm"] = "confirm"
    question: str


class SteerAttention(_Decision):
    """Asks the model again with its attention steered, in this step only.

    Attributes:
        actuators: How attention is steered.
    """

    kind: Literal["steer"] = "steer"
    actuators: tuple[Actuator, ...]


class HoldAttention(_Decision):
    """Steers every attempt from the next one on, until another ``HoldAttention`` replaces it.

    The decision costs no attempt: the controllers are asked again at once, with this decision among the records. A
    controller that holds a second time at the same attempt is ignored.

    Attributes:
        actuators: How attention is steered; empty ends the steering.
        memory: A number for the controller's own use, which it finds again in its
            :class:`~homeostat.controllers.context.Record`.
    """

    kind: Literal["hold"] = "hold"
    actuators: tuple[Actuator, ...] = ()
    memory: float = 0.0


class Sample(_Decision):
    """Draws further answers to the same prompt; the controllers are asked again in the phase ``candidates``.

    Attributes:
        n: How many further answers. The prompt is prefilled once for all of them.
        temperature: The sampling temperature; 0 is greedy.
        reminder: A reminder in the prompt of these answers; "" for the attempt's own prompt.
    """

    kind: Literal["sample"] = "sample"
    n: int = Field(ge=1)
    temperature: float = Field(default=0.7, ge=0.0)
    reminder: str = ""


class Choose(_Decision):
    """Carries out the action of one of the sampled candidates.

    Attributes:
        index: The candidate's index, from 0; candidate 0 is the attempt itself.
    """

    kind: Literal["choose"] = "choose"
    index: int = Field(ge=0)


class Refuse(_Decision):
    """Forbids the action. The step counts, and the next step's prompt has the reason as its reminder.

    Attributes:
        reason: Why the action is refused, in words for the model.
        candidate: The index of the candidate whose action is refused; None where it is the attempt's.
    """

    kind: Literal["refuse"] = "refuse"
    reason: str
    candidate: int | None = Field(default=None, ge=0)


class Stop(_Decision):
    """Ends the episode.

    Attributes:
        reason: Why it ends.
    """

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
    | Confirm
    | SteerAttention
    | HoldAttention
    | Sample
    | Choose
    | Refuse
    | Stop,
    Field(discriminator="kind"),
]
"""Any of the decisions; ``kind`` tells them apart in JSON."""
