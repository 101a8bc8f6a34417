"""The checkpointed state of an episode: small typed values only; images and snapshots are named by their hash.

LangGraph validates no node's output, so :func:`checked` does: a node that returns a wrong value or an unknown field
fails where it stands, not when the episode is resumed.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from homeostat.actions import Action
from homeostat.agent.events import Ending
from homeostat.controllers.core import Candidate, ControlContext, Decision, Phase, Record, Reported
from homeostat.controllers.plan import Plan
from homeostat.envs.core import TaskInfo
from homeostat.observation import Element
from homeostat.sensors.core import Reading
from homeostat.sensors.steering.actuators import Actuator

__all__ = ["EpisodeState", "Proposal", "Reply", "checked"]


class Proposal(BaseModel):
    """What the last attempt came to: an action, or why its text holds none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    action: Action | None = None
    unparsable: str | None = None


class Reply(BaseModel):
    """A user's answer to a controller's question."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    answer: str


class EpisodeState(BaseModel):
    """One episode between two nodes.

    ``history``, ``answers``, ``acted``, ``tried`` and ``subtask_steps`` are those of the present subtask; ``acted``
    holds the readings of the attempts that were carried out, of all sensors, oldest first, ``tried`` every action with
    the fingerprint of the screen that it was done on, ``screens`` the names of the screenshots before the present one
    that the prompt holds. ``attempt`` numbers the present or
    next model call of the step. ``rounds`` counts plans and dispatches, ``garbled`` the unparsable answers in a row,
    ``failures`` the present subtask's steps in a row that came to nothing.
    ``reminder`` and ``shown`` (labels of images that stand in front of it once more) are this step's, ``steering`` too,
    ``holding`` until it is changed.
    ``emitted`` is how many events stand in the trace, ``snapshot`` the hash of the environment's state.
    """

    model_config = ConfigDict(extra="forbid")

    run: str
    task: TaskInfo
    judged: bool
    seed: int
    phase: Phase = "start"
    instruction: str
    step: int = 0
    attempt: int = 0
    subtask_steps: int = 0
    history: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    acted: tuple[Reading, ...] = ()
    tried: tuple[tuple[str, str], ...] = ()
    screens: tuple[str, ...] = ()
    agenda: Plan | None = None
    plan_error: str | None = None
    reminder: str = ""
    shown: tuple[str, ...] = ()
    steering: tuple[Actuator, ...] = ()
    holding: tuple[Actuator, ...] = ()
    proposal: Proposal | None = None
    readings: tuple[Reading, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    decision: Decision | None = None
    decisions: tuple[Record, ...] = ()
    garbled: int = 0
    failures: int = 0
    report: Reported | None = None
    rounds: int = 0
    calls: int = 0
    tokens: int = 0
    prompt_tokens: int = 0
    seconds: float = 0.0
    emitted: int = 0
    snapshot: str = ""
    ending: Ending | None = None
    success: bool | None = None
    reason: str = ""

    def context(
        self, *, app: str = "", elements: tuple[Element, ...] = (), screen: str = "", seconds: float = 0.0
    ) -> ControlContext:
        """What controllers may know of it, with what the screen shows, its fingerprint and the seconds spent."""
        proposal = self.proposal if self.phase in ("attempt", "candidates", "reported") else None
        return ControlContext(
            phase=self.phase,
            goal=self.task.goal,
            instruction=self.instruction,
            rules=self.task.rules,
            step=self.step,
            attempt=self.attempt,
            max_steps=self.task.max_steps,
            subtask_steps=self.subtask_steps,
            action=proposal.action if proposal else None,
            unparsable=proposal.unparsable if proposal else None,
            answers=self.answers,
            plan=self.agenda,
            plan_error=self.plan_error,
            decisions=self.decisions,
            app=app,
            elements=elements,
            tried=tuple(action for where, action in self.tried if where == screen),
            tokens=self.tokens,
            seconds=seconds,
            candidates=self.candidates,
            report=self.report if self.phase == "reported" else None,
            failures=self.failures,
        )


def checked(state: EpisodeState, updates: dict[str, Any]) -> dict[str, Any]:
    """``updates`` as fields of ``state``, validated. Raises pydantic's ``ValidationError``."""
    values = {name: getattr(state, name) for name in EpisodeState.model_fields} | updates
    new = EpisodeState.model_validate(values)
    return {name: getattr(new, name) for name in updates}
