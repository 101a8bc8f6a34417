"""Progress: does the agent stop too early, go over finished work again, or wander off?

The three failures that UI-NEXUS names (arXiv 2506.08972); the detectors are ours. V_i(t) is the check of subtask i at
step t, on the device's own state:

- *under-execution*: the agent stops and says that it succeeded while some V_i = 0 (to give up is none);
- *over-execution*: V_i went from 1 to 0; or the agent acts in an app whose subtasks are all done while others are open;
  or it has taken more than twice the optimal steps;
- *drift*: it acts in an app that no subtask is about.

To act is to tap, press, swipe or type: an answer is told to the user, in no app. Apps are all that these detectors know
of a place: where some subtask has no app of its own they judge no place at all, they don't see work gone over again in
an app that still has an open subtask, and to close a dialog in a finished app counts as acting there. That a carried
value differs from the value read is not looked for.

The checks exist where an environment knows the truth (the phone simulator does: ``PhoneEnv.subtasks``); they are for
evaluation and for calibrating other sensors against, not for an agent in the wild.
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


@dataclass(frozen=True)
class StepFacts:
    """What was true when an action was chosen: ``done`` V_i before it, and ``app``, the one in front."""

    done: tuple[bool, ...]
    app: str
    action: Action | None = None


@dataclass(frozen=True)
class Finding:
    """One failure: ``step`` (from 0), ``subtask`` (None where it is about none), and why, in a few words.

    The step is the first that shows it: of work undone, the one after the action that undid it.
    """

    kind: Kind
    step: int
    subtask: int | None
    reason: str


def progress(
    steps: Sequence[StepFacts], apps: Sequence[str], *, optimal_steps: int = 0, first: int = 0
) -> tuple[Finding, ...]:
    """What went wrong, in order. ``apps[i]`` is the app of subtask i, "" where it has none of its own.

    ``optimal_steps``: of the whole task, 0 where nobody knows. ``first``: findings of earlier steps are left out.
    Raises :class:`ConfigError` where the steps have checks of another number of subtasks.
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
    """``value``: how many failures this attempt's action would be or shows. Alarm above ``threshold`` (0).

    Reads the subtasks before the action (V_i), their apps, the action and the optimal steps from the context; the app
    in front from the observation; V_i of the step before from its own last reading. Not judged without subtasks: the
    loop evaluates them for an environment that tells its subtasks. ``detail``: ``under``, ``over``, ``drift``.
    """

    needs: frozenset[Need] = frozenset({"text"})
    side: Literal["above"] = "above"
    checks_subtasks = True

    def __init__(self, threshold: float = 0.0, *, name: str = "progress") -> None:
        """Raises :class:`ConfigError` for a threshold below 0."""
        if threshold < 0:
            raise ConfigError(f"threshold={threshold!r} is below 0, where every step alarms")
        self.name = name
        self.threshold = threshold

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """The reading of this attempt."""
        done, apps = context.subtasks, context.subtask_apps
        if done is None or len(done) != len(apps):
            return not_judged(self.name, "the environment tells no subtasks", threshold=self.threshold)
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
        return Reading(
            sensor=self.name,
            value=value,
            threshold=self.threshold,
            alarm=value > self.threshold,
            reason="; ".join(reasons) or f"{sum(done)} of {len(done)} subtasks done",
            subtasks=done,
            detail=counts,
        )
