"""The events of an episode. A run yields them while they happen, and the trace on disk holds one on each line."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.json_schema import SkipJsonSchema

from homeostat.actions import Action
from homeostat.controllers.context import Phase, Reported
from homeostat.controllers.decisions import Decision
from homeostat.controllers.model_rules import ModelRule
from homeostat.controllers.plan import Plan
from homeostat.conversation import Conversation, Turn
from homeostat.envs.core import TaskInfo
from homeostat.observation import Element
from homeostat.sensors.readings import Reading

__all__ = [
    "Act",
    "Asked",
    "Decide",
    "Ending",
    "Event",
    "Failed",
    "Finish",
    "Observe",
    "Planned",
    "RuleRead",
    "Sampled",
    "ScreenRead",
    "Sense",
    "Started",
    "event_from_json",
]

Ending = Literal[
    "success", "premature", "budget", "impossible", "collapse", "stopped", "finished", "uncertain", "asked", "paused"
]
"""How an episode ended. The names extend those of UI-NEXUS.

- ``success``: the agent called the task done, and the task's check holds.
- ``premature``: the agent called the task done, but the check fails.
- ``budget``: all steps were used.
- ``impossible``: the agent called the task impossible or forbidden.
- ``collapse``: several answers in a row held no action.
- ``stopped``: a controller ended the episode.
- ``finished``: the agent called the task done, and nothing checks it, because it is a goal in free words.
- ``uncertain``: a resumed run can't tell whether its last action reached the environment, and nobody is there to ask.
- ``asked``: not an end: the episode waits for the user's answer and can be resumed.
- ``paused``: not an end: a signal stopped the loop and the episode can be resumed.
"""


Dropped = Literal["screens", "history", "results", "turns"]
"""What may be left out of a prompt that is longer than the model's context."""


class _Event(BaseModel):
    """What all events have.

    Attributes:
        step: The number of the environment step, from 0.
        attempt: The number of the model call within the step, from 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    step: int = 0
    attempt: int = 0


class Started(_Event):
    """The episode begins.

    Attributes:
        run: The run's id.
        task: The task.
        judged: Whether the environment has a success check for the task.
        seed: The seed of the task and of sampling.
        model: The name of the model that acts.
        planner: The name of the model that plans; "" where the acting model plans itself.
        sensors: The names of the sensors, in order.
        controllers: The names of the controllers, in the order in which they are asked.
        unread: The rules that no controller understands as a whole. Obeying them is left to the model.
        left_out: The sensors that were left out because the model can't feed them, with the reason.
        forked_from: The id of the run from which this one was forked; "" for a run of its own. The events before the
            fork are that run's.
        forked_at: The step from which the two runs differ; None for a run of its own.
    """

    kind: Literal["start"] = "start"
    run: str
    task: TaskInfo
    judged: bool
    seed: int
    model: str
    planner: str = ""
    sensors: tuple[str, ...]
    controllers: tuple[str, ...]
    unread: tuple[str, ...] = ()
    left_out: dict[str, str] = {}
    forked_from: str = ""
    forked_at: int | None = None


class Observe(_Event):
    """The screen before a step.

    Attributes:
        app: The name of the app in front.
        screen: The name of the screenshot's PNG file, the sha256 of its pixels; "" without a run folder.
        elements: The elements of the user interface.
        frames: The names of a recording's frames, where the task is to watch one.
        screenshot: (height, width, 3) uint8. Only live events hold it; the trace has ``screen`` in its place.
        turns: The turns of a conversation since the step before.
        conversation: What a conversation consists of besides its turns: the system message, the tools, and messages
            that were given. None where it is as at the step before, on a screen, and where a message holds more than
            text.
        problem: What the environment could not read, and why; "" where it read everything.
    """

    kind: Literal["observe"] = "observe"
    app: str
    screen: str = ""
    elements: tuple[Element, ...] = ()
    frames: tuple[str, ...] = ()
    screenshot: SkipJsonSchema[Any] = Field(default=None, exclude=True, repr=False)
    problem: str = ""
    turns: tuple[Turn, ...] = ()
    conversation: Conversation | None = None


class Sense(_Event):
    """One attempt of the model and the sensors' readings of it.

    Attributes:
        instruction: What the model was asked to do: the goal, or the present subtask's.
        reminder: The reminder in the prompt; "" without one.
        text: The model's answer.
        action: What the answer was parsed to; None where it holds no action.
        unparsable: Why the answer holds no action; None where it holds one.
        readings: One reading for each sensor.
        mass: The attention mass of every span, in [0, 1], averaged over the attempt's tokens, layers and heads. Empty
            where no attention was read.
        tokens: The answer's tokens.
        logprobs: The natural-log probability of every token; empty for a model that does not report them.
        prompt_tokens: The number of the prompt's tokens.
        cached_tokens: How many of these were read from the key-value cache.
        generated_tokens: The generated tokens, where a server counts more than it tells in ``tokens``; else 0.
        seconds: How long the model call took.
        finish: Whether the model ended the answer (``"stop"``) or a limit did (``"length"``).
        candidate: The number of a further answer that was sampled to the same prompt, from 1; None for the attempt
            itself.
        dropped: What was left out of the prompt because it was longer than the model's context: how many of the oldest
            earlier screenshots (``"screens"``) and of the oldest actions (``"history"``), or of a conversation's oldest
            tool results (``"results"``) and turns (``"turns"``). Empty for a whole prompt.
        attention: The name of the file, under the run's ``attention`` folder, with the weight on every token of the
            prompt (:class:`~homeostat.agent.attention_record.AttentionRecord`); "" where it was not kept.
    """

    kind: Literal["sense"] = "sense"
    instruction: str
    reminder: str = ""
    text: str
    action: Action | None = None
    unparsable: str | None = None
    readings: tuple[Reading, ...] = ()
    mass: dict[str, float] = {}
    tokens: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    seconds: float = 0.0
    finish: Literal["stop", "length"] = "stop"
    candidate: int | None = None
    dropped: dict[Dropped, int] = {}
    attention: str = ""

    @property
    def cost(self) -> int:
        """The number of generated tokens that the answer cost."""
        return max(len(self.tokens), self.generated_tokens)


class Sampled(_Event):
    """Memory or time did not suffice to draw all answers that a controller asked for at once.

    Attributes:
        asked: How many answers were to be drawn.
        drawn: How many were drawn.
        batch: How many of them were decoded together at most; 0 if none was drawn or the model does not report it.
    """

    kind: Literal["sampled"] = "sampled"
    asked: int
    drawn: int
    batch: int = 0


class Decide(_Event):
    """A decision of the controllers.

    Attributes:
        phase: The phase of the step in which they were asked.
        controller: The name of the controller that took the decision; "" where all want to proceed, ``"loop"`` where
            the loop's own limits took it.
        decision: The decision.
    """

    kind: Literal["decide"] = "decide"
    phase: Phase
    controller: str = ""
    decision: Decision


class Planned(_Event):
    """The planner's answer.

    Attributes:
        text: The answer.
        plan: The plan that the loop goes on with: where the answer can't be read, the plan from before, if any.
        error: Why the answer can't be read; None where it can.
        prompt_tokens: The number of the prompt's tokens.
        cached_tokens: How many of these were read from the key-value cache.
        tokens: The number of the answer's tokens.
        seconds: How long the model call took.
    """

    kind: Literal["plan"] = "plan"
    text: str
    plan: Plan | None = None
    error: str | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    tokens: int = 0
    seconds: float = 0.0


class ScreenRead(_Event):
    """The reporter's answer: what a model read off the screen.

    Attributes:
        text: The answer.
        report: The facts and the check that were read from it.
        prompt_tokens: The number of the prompt's tokens.
        cached_tokens: How many of these were read from the key-value cache.
        tokens: The number of the answer's tokens.
        seconds: How long the model call took.
    """

    kind: Literal["report"] = "report"
    text: str
    report: Reported
    prompt_tokens: int = 0
    cached_tokens: int = 0
    tokens: int = 0
    seconds: float = 0.0


class RuleRead(_Event):
    """The model read a rule at the episode's start, for a controller that asked for it.

    Attributes:
        text: The answer.
        read: What was understood of the rule.
        prompt_tokens: The number of the prompt's tokens.
        cached_tokens: How many of these were read from the key-value cache.
        tokens: The number of the answer's tokens.
        seconds: How long the model call took.
    """

    kind: Literal["rule"] = "rule"
    text: str
    read: ModelRule
    prompt_tokens: int = 0
    cached_tokens: int = 0
    tokens: int = 0
    seconds: float = 0.0


class Act(_Event):
    """The end of a step: an action was carried out, or was not.

    Attributes:
        action: The action; None where the answer held none.
        outcome: ``"done"`` where it was carried out, ``"refused"`` where the environment or a controller refused it,
            ``"unparsable"`` where the answer held no action.
        error: Why nothing was carried out; "" where the action was.
        said: The answer that held the action; "" for an action that a controller performs by itself.
        snapshot: The sha256 of the environment's state after the step; "" without a run folder.
        settled: How a resumed run knows that its predecessor had carried the action out: ``"recorded"``, ``"changed"``
            (the screen has changed) or ``"asked"`` (the user said so); "" where this process carried it out.
    """

    kind: Literal["act"] = "act"
    action: Action | None = None
    outcome: Literal["done", "refused", "unparsable"] = "done"
    error: str = ""
    said: str = ""
    snapshot: str = ""
    settled: Literal["", "recorded", "changed", "asked"] = ""


class Asked(_Event):
    """A controller asked the user, and the user answered.

    Attributes:
        question: The question.
        answer: The user's answer; None while there is none.
    """

    kind: Literal["ask"] = "ask"
    question: str
    answer: str | None = None


class Failed(_Event):
    """A component or the runtime raised an error, which ends the run.

    The episode itself has not ended: with a run folder it can be resumed once the cause is mended.

    Attributes:
        component: What failed: ``"sensor"``, ``"controller"``, ``"environment"``, ``"model"``, or "" for the runtime.
        name: The component's name.
        error: The error, on one line.
    """

    kind: Literal["error"] = "error"
    component: str = ""
    name: str = ""
    error: str


class Finish(_Event):
    """The episode's end, its pause, or its question to the user.

    Attributes:
        ended: How it ended.
        success: Whether the task's check holds; None where nothing judges it.
        reason: Why it ended.
        steps: The number of environment steps.
        optimal_steps: The number of steps that the environment's own solution takes; 0 if it is unknown.
        tokens: The number of tokens that the models generated.
        seconds: How long the episode took, in wall-clock seconds.
    """

    kind: Literal["finish"] = "finish"
    ended: Ending
    success: bool | None
    reason: str = ""
    steps: int
    optimal_steps: int
    tokens: int
    seconds: float


Event = Annotated[
    Started | Observe | Sense | Sampled | Decide | Planned | ScreenRead | RuleRead | Act | Asked | Failed | Finish,
    Field(discriminator="kind"),
]
"""Any of the events. ``kind`` tells them apart."""

_ADAPTER: TypeAdapter[Any] = TypeAdapter(Event)


def event_from_json(line: str | bytes) -> Event:
    """Parses one line of a trace.

    Args:
        line: The line.

    Returns:
        The event.

    Raises:
        pydantic.ValidationError: The line is no event.
    """
    event: Event = _ADAPTER.validate_json(line)
    return event
