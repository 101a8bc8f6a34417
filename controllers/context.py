"""What a controller may know when it decides."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from homeostat.actions import Action
from homeostat.controllers.model_rules import ModelRule
from homeostat.controllers.plan import Plan
from homeostat.conversation import ToolSpec
from homeostat.observation import Element
from homeostat.sensors.readings import Reading

__all__ = ["Candidate", "ControlContext", "Phase", "Record", "Reported"]

Phase = Literal["start", "planned", "attempt", "candidates", "reported"]
"""When the controllers are asked: before an episode's first attempt, after a planner's answer, after each attempt,
after a ``Sample`` or after a ``Report``.
"""


class Record(BaseModel, frozen=True, extra="forbid"):
    """A decision that was taken, for cool-downs and budgets.

    Attributes:
        step: The step in which it was taken, from 0.
        attempt: The attempt of that step, from 0.
        controller: The name of the controller that took it.
        kind: The kind of the decision, such as ``"remind"``.
        cause: The decision's cause.
        memory: The memory of a :class:`~homeostat.controllers.decisions.HoldAttention`; 0 for other decisions.
        phase: The phase in which it was taken.
    """

    step: int
    attempt: int
    controller: str
    kind: str
    cause: str = ""
    memory: float = 0.0
    phase: Phase = "attempt"


class Candidate(BaseModel, frozen=True, extra="forbid"):
    """One of several answers to the same prompt.

    Attributes:
        text: The answer's text.
        action: The action that the text contains; None if it contains none.
        unparsable: The parser's message if the text contains no action.
        readings: Every sensor's reading of the answer.
    """

    text: str
    action: Action | None = None
    unparsable: str | None = None
    readings: tuple[Reading, ...] = ()


class Reported(BaseModel, frozen=True, extra="forbid"):
    """The answer to a :class:`~homeostat.controllers.decisions.Report`.

    Attributes:
        facts: The values that were found, by name.
        check: Whether the check holds. None if there was no check or the answer could not be read.
        error: Why the answer could not be read; empty if it could.
    """

    facts: dict[str, str] = {}
    check: bool | None = None
    error: str = ""


class ControlContext(BaseModel, frozen=True, extra="forbid"):
    """Everything that a controller may know besides the readings.

    Attributes:
        phase: ``"start"`` once before the first attempt of an episode, without readings and without an action;
            ``"planned"`` after a planner's answer; ``"attempt"`` after each attempt; ``"candidates"`` after a
            ``Sample``; ``"reported"`` after a ``Report``.
        goal: The whole goal.
        instruction: What the executor works on: the goal, or the active subtask's instruction.
        rules: The rules of the episode.
        system: What a conversation's system message says; "" outside of conversations, and where the agent words it.
        model_rules: What a model understood of rules, for controllers that ask for it.
        step: The present step, from 0.
        attempt: The present step's attempt, from 0.
        max_steps: The episode's step limit; 0 if unknown.
        subtask_steps: The steps that were taken in the present subtask.
        action: The action that the attempt's text contains; None if it contains none.
        unparsable: The parser's message if the text contains no action.
        answers: The answers that were given to the user in the present subtask, oldest first.
        plan: The present plan; None without one.
        plan_error: Why the planner's last answer could not be used; None if it could.
        decisions: Every decision of the episode other than ``Proceed``, oldest first.
        app: The app that the screen shows.
        elements: The elements that the screen shows.
        conversing: Whether the agent takes part in a conversation; otherwise it acts on a screen.
        tools: The tools that a conversation offers.
        tried: The actions that were taken before on this very screen in the present subtask, as
            :func:`homeostat.controllers.forest.same_action` writes them.
        tokens: The tokens that were generated so far in the episode.
        seconds: The seconds that the episode has run.
        candidates: After a ``Sample``: the attempt itself, then the further answers.
        report: After a ``Report``: what was read from the screen.
        failures: The present subtask's latest steps without effect, counted in a row. A step has no effect if the
            answer contained no action, or if the action was refused.
    """

    phase: Phase
    goal: str
    instruction: str
    rules: tuple[str, ...] = ()
    system: str = ""
    model_rules: tuple[ModelRule, ...] = ()
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
    conversing: bool = False
    tools: tuple[ToolSpec, ...] = ()
    tried: tuple[str, ...] = ()
    tokens: int = 0
    seconds: float = 0.0
    candidates: tuple[Candidate, ...] = ()
    report: Reported | None = None
    failures: int = 0

    def sampled_by(self, name: str) -> bool:
        """Tells whether a controller asked for the present candidates.

        Args:
            name: The controller's name.

        Returns:
            True if that controller's ``Sample`` was the step's last, or if the records hold no ``Sample`` of the step.
        """
        asked = [r.controller for r in self.decisions if r.kind == "sample" and r.step == self.step]
        return not asked or asked[-1] == name
