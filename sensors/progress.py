"""Progress: does the agent stop too early, redo finished work, or act in an unrelated app?

UI-NEXUS (arXiv 2506.08972) names these three failures; the detectors are ours. V_i(t) is the check of subtask i at step
t, evaluated on the state of the device:

- *under-execution*: the agent stops and reports success while some V_i = 0 (giving up is not under-execution);
- *over-execution*: V_i changed from 1 to 0; or the agent acts in an app whose subtasks are all done while others are
  open; or it has taken more than twice the optimal number of steps;
- *drift*: the agent acts in an app that no subtask is about. (This is the only meaning of "drift" in this module.)

Acting means to tap, press, swipe or type; an answer to the user belongs to no app. The detectors know only which app
the agent acts in. Therefore

- they judge no app at all if some subtask has none of its own;
- they do not detect repeated work in an app that still has an open subtask;
- closing a dialog in a finished app counts as acting there.

They do not check whether a value was carried over correctly.

The checks require an environment that knows the truth, such as the phone simulator (``PhoneEnv.subtasks``). They serve
evaluation and the calibration of other sensors; an agent on a real device does not have them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from homeostat.actions import Action, Click, LongPress, Swipe, Terminate, Type
from homeostat.errors import ConfigError
from homeostat.sensors.attempts import Attempt
from homeostat.sensors.context import SensorContext
from homeostat.sensors.contracts import Need
from homeostat.sensors.readings import Reading, not_judged

__all__ = ["Finding", "Progress", "StepFacts", "progress"]

Kind = Literal["under", "over", "drift"]
"""Under-execution, over-execution, or an action in an unrelated app."""


@dataclass(frozen=True)
class StepFacts:
    """What was true when an action was chosen.

    Attributes:
        done: V_i of every subtask before the action.
        app: The app in the foreground.
        action: The action; None if there was none.
    """

    done: tuple[bool, ...]
    app: str
    action: Action | None = None


@dataclass(frozen=True)
class Finding:
    """One failure.

    Attributes:
        kind: The kind of failure.
        step: The first step that shows it, from 0. For undone work this is the step after the action that undid it.
        subtask: The number of the subtask, from 0; None if it is about none.
        reason: The failure in a few words.
    """

    kind: Kind
    step: int
    subtask: int | None
    reason: str


def progress(
    steps: Sequence[StepFacts], apps: Sequence[str], *, optimal_steps: int = 0, first: int = 0
) -> tuple[Finding, ...]:
    """Finds the failures of an episode.

    Args:
        steps: The episode's steps.
        apps: The app of each subtask; "" if it has none of its own.
        optimal_steps: The optimal number of steps of the whole task; 0 if unknown.
        first: The first step whose failures are returned.

    Returns:
        The failures, in order.

    Raises:
        ConfigError: A step has checks for another number of subtasks.
    """
    found: list[Finding] = []
    for t, now in enumerate(steps):
        if len(now.done) != len(apps):
            raise ConfigError(f"step {t} has {len(now.done)} checks for {len(apps)} subtasks")
        if t < first:
            continue
        before = steps[t - 1].done if t else now.done
        found += [
            Finding("over", t, i, f"subtask {i + 1} was done and is not any more")
            for i, (was, is_) in enumerate(zip(before, now.done, strict=True))
            if was and not is_
        ]
        if optimal_steps and t == 2 * optimal_steps:
            found.append(Finding("over", t, None, f"more than twice the optimal {optimal_steps} steps"))
        if isinstance(now.action, Terminate) and now.action.status == "success":
            found += [
                Finding("under", t, i, f"stops while subtask {i + 1} is open")
                for i, is_ in enumerate(now.done)
                if not is_
            ]
        if isinstance(now.action, Click | LongPress | Swipe | Type):
            found += _misplaced(t, now, apps)
    return tuple(found)


def _misplaced(t: int, now: StepFacts, apps: Sequence[str]) -> list[Finding]:
    if not now.app or now.app == "home" or any(not app for app in apps):
        return []
    here = [i for i, app in enumerate(apps) if app == now.app]
    if not here:
        return [Finding("drift", t, None, f"acts in {now.app!r}, which no subtask is about")]
    if all(now.done[i] for i in here) and not all(now.done):
        return [Finding("over", t, here[-1], f"acts in {now.app!r} again, where subtask {here[-1] + 1} is done")]
    return []


class Progress:
    """Counts the failures that this attempt's action would cause or reveals, and alarms above the threshold.

    ``value`` is their number. The sensor takes the subtasks' checks before the action (V_i), their apps, the action and
    the optimal number of steps from the context; the app in the foreground from the observation; and V_i of the
    previous step from its own last reading. An attempt is not judged if the environment does not report subtasks.
    ``detail`` holds the number of failures of each kind: ``under``, ``over`` and ``drift``. If the model has a memory,
    it also holds ``evicted``, the estimated share of the attention that evicted keys would get: a failure may come
    from what was evicted.
    """

    needs: frozenset[Need] = frozenset({"text"})
    side: Literal["above"] = "above"
    checks_subtasks = True

    def __init__(self, threshold: float = 0.0, *, name: str = "progress") -> None:
        """Creates the sensor.

        Args:
            threshold: The number of failures above which it alarms.
            name: The sensor's name.

        Raises:
            ConfigError: The threshold is below 0.
        """
        if threshold < 0:
            raise ConfigError(f"threshold={threshold!r} is below 0, so every step would alarm")
        self.name = name
        self.threshold = threshold

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """Reads an attempt."""
        done, apps = context.subtasks, context.subtask_apps
        if done is None or len(done) != len(apps):
            return not_judged(self.name, "the environment reports no subtasks", threshold=self.threshold)
        action = context.action
        app = context.observation.app if context.observation is not None else ""
        last = context.history[-1].subtasks if context.history else ()
        before = last if len(last) == len(done) else done
        found = progress([StepFacts(before, app), StepFacts(done, app, action)], apps, first=1)
        reasons = [one.reason for one in found]
        optimal = context.optimal_steps
        over = optimal > 0 and context.step == 2 * optimal
        if over:
            reasons.append(f"more than twice the optimal {optimal} steps")
        counts = {kind: float(sum(one.kind == kind for one in found)) for kind in ("under", "over", "drift")}
        counts["over"] += over
        value = sum(counts.values())
        if attempt.spans is not None and attempt.spans.evicted is not None:
            counts["evicted"] = sum(attempt.spans.evicted.values())
        return Reading(
            sensor=self.name,
            value=value,
            threshold=self.threshold,
            alarm=value > self.threshold,
            reason="; ".join(reasons) or f"{sum(done)} of {len(done)} subtasks done",
            subtasks=done,
            detail=counts,
        )
