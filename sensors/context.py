"""What a sensor knows besides the attempt: the task, the episode so far, and the environment's ground truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homeostat.actions import Action, Click, LongPress
from homeostat.observation import Observation
from homeostat.sensors.attempts import Attempt
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.readings import Reading

__all__ = ["SensorContext", "Truth"]


@dataclass(frozen=True)
class Truth:
    """What really happened in an episode, as the environment knows it.

    Attributes:
        reached: The share of subtasks that are done. For a forbidden task: 1 if the agent left it alone.
        apps: The apps that the agent acted in.
        role_apps: The apps that its task is about; None if any app is.
        told: The values that the agent typed or answered.
        seen: Those of the told values that were in the goal or on an earlier screen.
        broken: The rules that the agent broke.
    """

    reached: float
    apps: frozenset[str] = frozenset()
    role_apps: frozenset[str] | None = None
    told: frozenset[str] = frozenset()
    seen: frozenset[str] = frozenset()
    broken: tuple[str, ...] = ()


@dataclass(frozen=True)
class SensorContext:
    """What a sensor may know besides the attempt.

    A sensor keeps no state of its own. ``history`` holds its earlier readings, so that an episode can resume anywhere.

    Attributes:
        goal: The goal that the model works on: that of the present subtask, or of the whole task without a plan.
        rules: The task's rules.
        step: The number of the environment step, from 0.
        attempt: The number of the model call within the step, from 0.
        history: This sensor's earlier readings in the present subtask, oldest first, of attempts that were acted on.
        model: The model itself. It is set only for sensors that declare the need ``"model"``; it is a
            :class:`~homeostat.sensors.contracts.WhiteBox` if the loop's model is one.
        prompt: The prompt that the attempt answered; None if unknown.
        observation: The observation that the prompt showed; None if unknown.
        task_goal: The goal of the whole task, also while a subtask is worked on.
        action: The action that the attempt's text was parsed to; None if it holds no action.
        subtasks: For every subtask, whether it is done before the action; None if the environment does not report it.
        subtask_apps: For every subtask, the app that it is done in; "" if it has none.
        optimal_steps: The number of steps of the built-in solution; 0 if unknown.
        candidates: All answers that were sampled for the same prompt, including this attempt.
        weights: One weight for each candidate; None weighs all equally.
        truth: What really happened, if the environment knows.
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
        """The point (x, y) that the attempt's action taps, each in [0, 1]; None if it taps none."""
        return self.action.point if isinstance(self.action, Click | LongPress) else None
