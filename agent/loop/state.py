"""The checkpointed state of an episode.

The state holds small typed values only; it names images and snapshots of the environment by their hash. LangGraph does
not validate what a node returns, so :meth:`EpisodeState.changed` does: a wrong value or an unknown field is an error at
once, not only when the episode is resumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from homeostat.actions import Action
from homeostat.agent.events import Ending
from homeostat.controllers.context import Candidate, ControlContext, Phase, Record, Reported
from homeostat.controllers.decisions import Decision
from homeostat.controllers.model_rules import ModelRule
from homeostat.controllers.plan import Plan
from homeostat.envs.core import TaskInfo
from homeostat.observation import Observation
from homeostat.sensors.attempts import Attempt
from homeostat.sensors.readings import Reading
from homeostat.sensors.steering.actuators import Actuator

__all__ = ["Costs", "EpisodeState", "Proposal", "Reply", "StepState", "SubtaskState"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def with_(self, **changes: Any) -> Any:
        """A copy with some fields replaced."""
        return self.model_copy(update=changes)


class Proposal(_Frozen):
    """What the last attempt proposes to do.

    Attributes:
        text: The attempt's text.
        action: The action that the text holds; None where it holds none.
        unparsable: Why the text holds no action.
    """

    text: str
    action: Action | None = None
    unparsable: str | None = None


class Reply(_Frozen):
    """A user's answer to a controller's question.

    Attributes:
        answer: The answer.
    """

    answer: str


class Costs(_Frozen):
    """The costs of the episode so far.

    Attributes:
        calls: Model calls.
        tokens: Generated tokens.
        prompt_tokens: Prompt tokens that were computed; those read from the key-value cache are not counted.
        seconds: Wall-clock seconds, at the last step's end.
    """

    calls: int = 0
    tokens: int = 0
    prompt_tokens: int = 0
    seconds: float = 0.0

    def plus(self, attempts: Sequence[Attempt]) -> Costs:
        """Adds one model call.

        Args:
            attempts: The call's attempts, all drawn to one prompt; none where memory did not suffice for any.

        Returns:
            The new costs.
        """
        return Costs(
            calls=self.calls + 1,
            tokens=self.tokens + sum(one.cost for one in attempts),
            prompt_tokens=self.prompt_tokens + sum(one.prompt_tokens - one.cached_tokens for one in attempts[:1]),
            seconds=self.seconds,
        )


class SubtaskState(_Frozen):
    """The state of the present subtask. Every dispatch starts a new one.

    Attributes:
        steps: Environment steps taken.
        history: The actions so far, in words, for the prompt.
        answers: The answers that were given to the user.
        acted: The readings of all sensors for the attempts that were carried out, oldest first.
        tried: Every action with the fingerprint of the screen on which it was done.
        screens: The names of the earlier screenshots that the prompt shows.
        garbled: Answers in a row that held no action.
        failures: Steps in a row that had no effect: no action, or one that was refused.
    """

    steps: int = 0
    history: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    acted: tuple[Reading, ...] = ()
    tried: tuple[tuple[str, str], ...] = ()
    screens: tuple[str, ...] = ()
    garbled: int = 0
    failures: int = 0


class StepState(_Frozen):
    """The state of the present step. Every action and every dispatch starts a new one.

    Attributes:
        attempt: The number of the present or next model call, from 0.
        reminder: The reminder in the prompt.
        shown: Labels of images that the prompt shows once more in front of the reminder.
        temperature: The sampling temperature of the next attempt; None for the loop's.
        steering: The actuators of the present attempts.
        candidates: The answers that were sampled to the step's prompt.
        allowed: Whether the user has allowed the proposal's action, where a controller asked for that.
        given: In a forked run, the answer that stands in for the model's own at the step's first attempt; "" lets the
            model answer.
    """

    attempt: int = 0
    reminder: str = ""
    shown: tuple[str, ...] = ()
    temperature: float | None = None
    steering: tuple[Actuator, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    allowed: bool = False
    given: str = ""


class EpisodeState(BaseModel):
    """One episode between two nodes of the loop.

    Attributes:
        run: The run's id.
        task: The task.
        judged: Whether the environment has a success check for the task.
        seed: The seed of the task and of sampling.
        open_rules: The rules that the model has still to read.
        model_rules: What the model understood of rules.
        phase: The phase of the step in which the controllers are asked.
        instruction: What the executor is working on: the goal, or the present subtask's.
        step: The number of the present step, from 0.
        now: The state of the present step.
        subtask: The state of the present subtask.
        plan: The present plan; None without one.
        plan_error: Why the planner's last answer could not be used.
        holding: The actuators of every attempt, until a controller changes them.
        proposal: What the last attempt proposes.
        readings: The sensors' readings of the last attempt.
        decision: The last decision of the controllers.
        decisions: A record of every decision other than to proceed, oldest first.
        report: What the reporter found on the screen.
        rounds: The number of plans and dispatches so far.
        costs: What the episode has cost.
        told: The number of a conversation's turns that the trace holds.
        frame: A hash of what the trace holds of a conversation besides its turns; "" for nothing.
        emitted: The number of events in the trace.
        snapshot: The hash of the environment's state.
        ending: How the episode ended; None while it goes on.
        success: Whether the task's check holds; None where nothing judges it.
        reason: Why it ended.
    """

    model_config = ConfigDict(extra="forbid")

    run: str
    task: TaskInfo
    judged: bool
    seed: int
    open_rules: tuple[str, ...] = ()
    model_rules: tuple[ModelRule, ...] = ()
    phase: Phase = "start"
    instruction: str
    step: int = 0
    now: StepState = StepState()
    subtask: SubtaskState = SubtaskState()
    plan: Plan | None = None
    plan_error: str | None = None
    holding: tuple[Actuator, ...] = ()
    proposal: Proposal | None = None
    readings: tuple[Reading, ...] = ()
    decision: Decision | None = None
    decisions: tuple[Record, ...] = ()
    report: Reported | None = None
    rounds: int = 0
    costs: Costs = Costs()
    told: int = 0
    frame: str = ""
    emitted: int = 0
    snapshot: str = ""
    ending: Ending | None = None
    success: bool | None = None
    reason: str = ""

    def context(self, seen: Observation, seconds: float) -> ControlContext:
        """Builds the context that the controllers decide in.

        Args:
            seen: The present screen.
            seconds: The seconds that the episode has run.

        Returns:
            The context of one decision.
        """
        proposal = self.proposal if self.phase in ("attempt", "candidates", "reported") else None
        screen = seen.fingerprint
        return ControlContext(
            phase=self.phase,
            goal=self.task.goal,
            instruction=self.instruction,
            rules=self.task.rules,
            system=seen.conversation.instructions if seen.conversation is not None else "",
            model_rules=self.model_rules,
            step=self.step,
            attempt=self.now.attempt,
            max_steps=self.task.max_steps,
            subtask_steps=self.subtask.steps,
            action=proposal.action if proposal else None,
            unparsable=proposal.unparsable if proposal else None,
            answers=self.subtask.answers,
            plan=self.plan,
            plan_error=self.plan_error,
            decisions=self.decisions,
            app=seen.app,
            elements=seen.elements,
            conversing=seen.conversation is not None,
            tools=seen.conversation.tools if seen.conversation is not None else (),
            tried=tuple(action for where, action in self.subtask.tried if where == screen),
            tokens=self.costs.tokens,
            seconds=seconds,
            candidates=self.now.candidates,
            report=self.report if self.phase == "reported" else None,
            failures=self.subtask.failures,
        )

    def changed(self, updates: dict[str, Any]) -> EpisodeState:
        """Changes fields, and validates the new values.

        Args:
            updates: The fields that change.

        Returns:
            The new state.

        Raises:
            pydantic.ValidationError: A field is unknown or has a wrong value.
        """
        return EpisodeState.model_validate({**self.__dict__, **updates})
