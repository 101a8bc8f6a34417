"""Reads an attempt with every sensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from homeostat.actions import Action
from homeostat.agent.loop.env_calls import EnvCalls
from homeostat.agent.loop.state import EpisodeState
from homeostat.agent.models.protocol import Model
from homeostat.components import component
from homeostat.observation import Observation
from homeostat.sensors.attempts import Attempt, Readout
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.context import SensorContext
from homeostat.sensors.contracts import ExtendedReadout, Sensor, SubtaskSensor
from homeostat.sensors.readings import Reading

__all__ = ["Sensing", "readout_of"]


def readout_of(sensors: Sequence[Sensor]) -> bool | Readout:
    """What the probe has to record for some sensors.

    Args:
        sensors: The sensors.

    Returns:
        False if no sensor reads attention, else the union of what they need.
    """
    if not any("attention" in sensor.needs for sensor in sensors):
        return False
    return reduce(or_, (s.reads for s in sensors if isinstance(s, ExtendedReadout)), Readout())


@dataclass(frozen=True)
class Sensing:
    """The sensors of one episode.

    Attributes:
        sensors: The sensors.
        model: The model whose attempts they read.
        env: The environment, for sensors that compare an action with the task's subtasks.
    """

    sensors: Sequence[Sensor]
    model: Model
    env: EnvCalls

    def read(
        self,
        attempt: Attempt,
        state: EpisodeState,
        *,
        prompt: Prompt | None = None,
        observation: Observation | None = None,
        action: Action | None = None,
        candidates: Sequence[Attempt] = (),
    ) -> tuple[Reading, ...]:
        """Reads an attempt with every sensor.

        Args:
            attempt: The attempt.
            state: The episode's state.
            prompt: What the attempt answered.
            observation: What the prompt showed.
            action: What the attempt's text was parsed to.
            candidates: All answers to the same prompt, where several were sampled.

        Returns:
            One reading for each sensor, in order.

        Raises:
            ComponentError: A sensor raised an error. The message names it.
        """
        task = {**self._subtasks(), "optimal_steps": state.task.optimal_steps}
        readings = []
        for sensor in self.sensors:
            context = SensorContext(
                goal=state.instruction,
                rules=state.task.rules,
                step=state.step,
                attempt=state.now.attempt,
                history=tuple(r for r in state.subtask.acted if r.sensor == sensor.name),
                model=self.model if "model" in sensor.needs else None,
                prompt=prompt,
                observation=observation,
                task_goal=state.task.goal,
                action=action,
                candidates=tuple(candidates),
                **task,
            )
            with component("sensor", sensor.name):
                readings.append(sensor.read(attempt, context))
        return tuple(readings)

    def _subtasks(self) -> dict[str, Any]:
        """The subtasks' state, if a sensor needs it and the environment knows it."""
        wanted = any(isinstance(s, SubtaskSensor) and s.checks_subtasks for s in self.sensors)
        found = self.env.subtasks() if wanted else None
        return {} if found is None else {"subtasks": found[0], "subtask_apps": found[1]}
