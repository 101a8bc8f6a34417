"""Cause and effect of every correction: the alarm, the decision, and what the model did next.

A correction is compared within its step: the attempt that the controllers judged, and the attempt that followed. A
refusal ends its step, so the first attempt of the next step is its effect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from homeostat.agent.events import Decide, Sense
from homeostat.agent.trace import Trace
from homeostat.controllers.decisions import Choose, HoldAttention, Refuse, Sample, Stop
from homeostat.sensors import Reading
from homeostat.viewer.wording import decision_words, number, percent

__all__ = ["CORRECTIVE", "corrections_of"]

CORRECTIVE = frozenset({"remind", "plan", "ask", "confirm", "steer", "hold", "sample", "refuse", "perform", "stop"})
"""The kinds of decisions that are shown as corrections.

Dispatching a subtask and reading the screen are no reply to a fault. Choosing among answers is the end of ``sample``.
"""


def corrections_of(trace: Trace) -> list[dict[str, Any]]:
    """Finds every correction of a run.

    Args:
        trace: The run.

    Returns:
        For each correction in order: ``step``, ``attempt``, ``controller``, ``kind``, ``cause``; the words ``trigger``,
        ``decision`` and ``effect``; ``before`` and ``after``, the places (step, attempt, candidate) of the two
        attempts that are compared, or None; ``changed`` (whether ``text`` and ``action`` differ), ``masses`` and
        ``readings``, each with its value before and after.
    """
    senses = {_place(sense): sense for sense in trace.attempts}
    chosen = {(e.step, e.attempt): e.decision.index for e in _decisions(trace) if isinstance(e.decision, Choose)}
    found = []
    for event in _decisions(trace):
        if event.decision.kind not in CORRECTIVE or event.phase == "start":
            continue
        before = senses.get((event.step, event.attempt, None))
        after = _after(event, senses, chosen)
        found.append(
            {
                "step": event.step,
                "attempt": event.attempt,
                "controller": event.controller,
                "kind": event.decision.kind,
                "cause": event.decision.cause,
                "trigger": _trigger(event, before),
                "decision": decision_words(event.decision),
                "effect": _effect(event, before, after),
                "before": None if before is None else _place(before),
                "after": None if after is None else _place(after),
                "changed": _changed(before, after),
                "masses": _masses(before, after),
                "readings": _readings(before, after),
            }
        )
    return found


def _decisions(trace: Trace) -> Sequence[Decide]:
    return [event for event in trace.events if isinstance(event, Decide)]


def _place(sense: Sense) -> tuple[int, int, int | None]:
    return sense.step, sense.attempt, sense.candidate


def _after(
    event: Decide, senses: Mapping[tuple[int, int, int | None], Sense], chosen: Mapping[tuple[int, int], int]
) -> Sense | None:
    """The attempt that followed a decision; None where none did."""
    step, attempt = event.step, event.attempt
    match event.decision:
        case HoldAttention():
            return None
        case Sample():
            index = chosen.get((step, attempt), 0)
            return senses.get((step, attempt, index or None))
        case Refuse():
            return senses.get((step + 1, 0, None))
    return senses.get((step, attempt + 1, None))


def _alarm(event: Decide, before: Sense | None) -> Reading | None:
    """The reading to which a decision responds; its cause is ``sensor`` or ``sensor:span``."""
    for reading in before.readings if before is not None else ():
        if reading.alarm and event.decision.cause.partition(":")[0] == reading.sensor:
            return reading
    return None


def _trigger(event: Decide, before: Sense | None) -> str:
    reading, cause = _alarm(event, before), event.decision.cause
    if reading is None:
        if cause == "unparsable" and before is not None and before.unparsable:
            return f"the answer holds no action: {before.unparsable}"
        return cause.replace(":", ": ", 1) or f"{event.controller or 'a controller'} decided"
    return f"{reading.sensor} alarmed: {_against_threshold(reading)}" + (
        f" ({reading.reason})" if reading.reason else ""
    )


def _against_threshold(reading: Reading) -> str:
    if reading.threshold is None:
        return number(reading.value)
    sign = "<" if reading.value < reading.threshold else ">" if reading.value > reading.threshold else "="
    return f"{number(reading.value)} {sign} {number(reading.threshold)}"


def _effect(event: Decide, before: Sense | None, after: Sense | None) -> str:
    if isinstance(event.decision, HoldAttention):
        return "it acts from the next attempt on"
    if isinstance(event.decision, Stop):
        return "the episode ended"
    if after is None:
        return "no attempt followed"
    told, reading = [], _alarm(event, before)
    if reading is not None and before is not None:
        span = reading.span
        if span in before.mass and span in after.mass:
            told.append(f"{span} {percent(before.mass[span])} → {percent(after.mass[span])}")
        again = next((r for r in after.readings if r.sensor == reading.sensor), None)
        if again is not None and again.judged:
            verdict = "still alarming" if again.alarm else "no longer alarming"
            told.append(f"{reading.sensor} {number(reading.value)} → {number(again.value)}, {verdict}")
    if before is None:
        told.append("the model answered")
    else:
        changed = _changed(before, after)
        told.append("action changed" if changed["action"] else "answer changed" if changed["text"] else "same answer")
    return "; ".join(told)


def _changed(before: Sense | None, after: Sense | None) -> dict[str, bool]:
    if before is None or after is None:
        return {"text": False, "action": False}
    return {"text": before.text != after.text, "action": before.action != after.action}


def _masses(before: Sense | None, after: Sense | None) -> list[dict[str, Any]]:
    if before is None or after is None:
        return []
    labels = dict.fromkeys((*before.mass, *after.mass))
    return [{"span": n, "before": before.mass.get(n), "after": after.mass.get(n)} for n in labels]


def _readings(before: Sense | None, after: Sense | None) -> list[dict[str, Any]]:
    if before is None or after is None:
        return []
    later = {reading.sensor: reading for reading in after.readings}
    return [
        {
            "sensor": one.sensor,
            "threshold": one.threshold,
            "before": one.value if one.judged else None,
            "after": other.value if other.judged else None,
            "alarm_before": one.alarm,
            "alarm_after": other.alarm,
        }
        for one in before.readings
        if (other := later.get(one.sensor)) is not None
    ]
