"""A finished run's progress: its actions carried out again, with the environment's own checks of every subtask."""

from __future__ import annotations

import contextlib
from typing import Protocol

from homeostat.agent.events import Act, Observe
from homeostat.agent.trace import Trace
from homeostat.envs.core import Env
from homeostat.envs.errors import ActionError
from homeostat.sensors.progress import Finding, StepFacts, progress

__all__ = ["Checked", "steps_of", "trace_progress"]


class Checked(Env, Protocol):
    """An environment that knows its task's parts."""

    def subtasks(self) -> tuple[bool, ...]:
        """For every part, whether it is done now."""
        ...

    def subtask_apps(self) -> tuple[str, ...]:
        """For every part, the app that it is done in, or ""."""
        ...


def steps_of(trace: Trace, env: Checked) -> tuple[StepFacts, ...]:
    """What was true at every step of a run. ``env`` stands at the task's start, with the options that the run had."""
    apps = {event.step: event.app for event in trace.events if isinstance(event, Observe)}
    found = []
    for act in trace.acts:
        found.append(StepFacts(env.subtasks(), apps.get(act.step, ""), act.action))
        if act.action is not None and isinstance(act, Act) and act.outcome == "done":
            with contextlib.suppress(ActionError):
                env.act(act.action)
    return tuple(found)


def trace_progress(trace: Trace, env: Checked) -> tuple[Finding, ...]:
    """Where a run stopped too early, did finished work again or wandered off. Resets ``env`` to the run's task."""
    task = env.reset_task(trace.start.task.name, seed=trace.start.task.seed)
    return progress(steps_of(trace, env), env.subtask_apps(), optimal_steps=task.optimal_steps)
