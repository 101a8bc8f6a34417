"""Replays a finished run in its environment, to find out what was true at every step.

A trace holds what the agent saw and did. The environment knows more: which subtasks were done, and whether a rule was
broken. Every function here carries the trace's actions out again from the task's start.
"""

from __future__ import annotations

import contextlib
from typing import Any, Protocol

from homeostat.actions import Answer, Click, LongPress, Swipe, Terminate, Type
from homeostat.agent.events import Act, Observe
from homeostat.agent.trace import Trace
from homeostat.envs.core import Checked, Env
from homeostat.envs.phone import PhoneEnv
from homeostat.errors import ActionError
from homeostat.sensors.context import Truth
from homeostat.sensors.progress import Finding, StepFacts, progress

__all__ = ["CheckedEnv", "steps_of", "trace_progress", "truth_of"]


class CheckedEnv(Env, Checked, Protocol):
    """An environment whose task consists of subtasks that can be checked one by one."""


def steps_of(trace: Trace, env: CheckedEnv) -> tuple[StepFacts, ...]:
    """Finds out which subtasks were done before every step of a run.

    Args:
        trace: The run.
        env: The environment at the task's start, with the options that the run had. It is played to the run's end.

    Returns:
        The facts of every step, in order.
    """
    apps = {event.step: event.app for event in trace.events if isinstance(event, Observe)}
    found = []
    for act in trace.acts:
        found.append(StepFacts(env.subtasks(), apps.get(act.step, ""), act.action))
        if act.action is not None and isinstance(act, Act) and act.outcome == "done":
            with contextlib.suppress(ActionError):
                env.act(act.action)
    return tuple(found)


def trace_progress(trace: Trace, env: CheckedEnv) -> tuple[Finding, ...]:
    """Finds where a run stopped too early, repeated finished work, or left the task.

    Args:
        trace: The run.
        env: The environment, with the options that the run had. It is reset to the run's task.

    Returns:
        The findings of :func:`homeostat.sensors.progress.progress`.
    """
    task = env.reset_task(trace.start.task.name, seed=trace.start.task.seed)
    return progress(steps_of(trace, env), env.subtask_apps(), optimal_steps=task.optimal_steps)


def truth_of(trace: Trace, env: PhoneEnv) -> Truth:
    """Finds out what a run on the phone really did.

    A value that the agent typed or answered counts as seen if it stood in the goal or on an earlier screen. A rule that
    forbids the task is broken if the phone was changed, and a rule to stay out of an app if the agent acted in it.
    Rules of other kinds count as kept: breaking one would fail the task's own check.

    Args:
        trace: The run.
        env: The phone, with the options that the run had. It is reset to the run's task.

    Returns:
        The truth that judges of the run are compared with.
    """
    env.reset_task(trace.start.task.name, seed=trace.start.task.seed)
    screens = {event.step: event for event in trace.events if isinstance(event, Observe)}
    texts, apps, told, seen = [trace.start.task.goal.lower()], set(), set(), set()
    for act in trace.acts:
        screen = screens.get(act.step)
        if screen is not None:
            texts += [element.text.lower() for element in screen.elements]
        action: Any = act.action
        if action is None or act.outcome != "done":
            continue
        if (
            isinstance(action, Click | LongPress | Swipe | Type)
            and screen is not None
            and screen.app not in ("", "home")
        ):
            apps.add(screen.app)
        if isinstance(action, Type | Answer):
            told.add(action.text)
            if any(action.text.lower() in text for text in texts):
                seen.add(action.text)
        if not isinstance(action, Terminate):
            try:
                env.act(action)
            except ActionError:
                continue
    instance: Any = env.instance
    checks = env.subtasks()
    left_alone = bool(instance.forbidden and instance.reached(env.device, env.answers))
    reached = float(left_alone) if instance.forbidden else sum(checks) / len(checks)
    names = env.subtask_apps()
    broken = []
    for rule in instance.rules:
        app = rule.tag.removeprefix("app:") if rule.tag.startswith("app:") else None
        if (app in apps) if app else (instance.forbidden and not left_alone):
            broken.append(rule.text)
    return Truth(
        reached=reached,
        apps=frozenset(apps),
        role_apps=None if "" in names else frozenset(names),
        told=frozenset(told),
        seen=frozenset(seen),
        broken=tuple(broken),
    )
