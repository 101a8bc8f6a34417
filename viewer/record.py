"""A run as the data of its page: plain JSON, in which every text is safe to show and of bounded length.

The page's script reads these data; ``homeostat report`` embeds them, ``homeostat view`` serves them. Figures are those
of the trace, without rounding.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from homeostat.agent import events as e
from homeostat.controllers import Plan
from homeostat.controllers.decisions import MakePlan
from homeostat.foreign_text import visible
from homeostat.observation import Element, element_at
from homeostat.sensors import Reading
from homeostat.viewer.corrections import CORRECTIVE, corrections_of
from homeostat.viewer.reading import ReadRun
from homeostat.viewer.wording import action_words, decision_words

__all__ = ["run_record"]

_MOST = 3 * 2**20
"""The most bytes of a record, which is a fifth of a page. Long texts are cut until it fits."""
_LIMITS = (20_000, 4_000, 800, 160)
"""The most characters of a text, tried in this order."""
_DIGITS = 400
"""The most digits of an integer: JavaScript's numbers have no more."""


def run_record(run: ReadRun) -> dict[str, Any]:
    """Builds the data of a run's page.

    Args:
        run: The run.

    Returns:
        JSON-able data: ``run``, ``start`` (task, model, parts), ``finish`` (None while it runs), ``notes``, ``totals``,
        ``steps``, ``corrections``, ``plans`` and ``rules``.
    """
    trace = run.trace
    start = trace.start
    steps, plans, rules = _steps(trace.events)
    whole = {
        "run": start.run,
        "start": start.model_dump(mode="json", exclude={"step", "attempt", "kind"}),
        "finish": None if trace.finish is None else trace.finish.model_dump(mode="json", exclude={"attempt", "kind"}),
        "notes": list(run.notes),
        "totals": _totals(trace.events),
        "steps": steps,
        "corrections": corrections_of(trace),
        "plans": plans,
        "rules": rules,
    }
    for limit in _LIMITS:
        cut: list[int] = []
        shown: dict[str, Any] = _safe(whole, limit, cut)
        if cut:
            texts = "1 long text is" if len(cut) == 1 else f"{len(cut)} long texts are"
            shown["notes"].append(f"{texts} cut after {limit:,} characters; trace.jsonl holds them whole.")
        if len(json.dumps(shown, ensure_ascii=False)) <= _MOST:
            break
    return shown


def _steps(events: Sequence[e.Event]) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """The steps, the versions of the plan, and the rules as they were read."""
    steps: dict[int, dict[str, Any]] = {}
    plans: list[dict[str, Any]] = []
    rules: list[dict[str, Any]] = []
    elements: tuple[Element, ...] = ()

    def happened(event: e.Event, what: str, **data: Any) -> None:
        steps.setdefault(event.step, _empty(event.step))["events"].append({"what": what} | data)

    for event in events:
        match event:
            case e.Observe():
                elements = event.elements
                step = steps.setdefault(event.step, _empty(event.step))
                step |= {"app": event.app, "screen": event.screen, "problem": event.problem, "frames": event.frames}
                step["turns"] = [turn.model_dump(mode="json") for turn in event.turns]
            case e.Sense():
                happened(event, "attempt", **_attempt(event, elements))
            case e.Decide():
                decision = event.decision
                plan = getattr(decision, "plan", None)
                if plan is not None and not isinstance(decision, MakePlan):
                    _new_plan(plans, event.step, plan)
                if decision.kind != "proceed" or decision.cause:
                    happened(
                        event,
                        "decision",
                        attempt=event.attempt,
                        phase=event.phase,
                        controller=event.controller,
                        kind=decision.kind,
                        cause=decision.cause,
                        words=decision_words(decision),
                        corrective=decision.kind in CORRECTIVE and event.phase != "start",
                    )
            case e.Planned():
                _new_plan(plans, event.step, event.plan)
                happened(event, "plan", text=event.text, error=event.error, **_cost(event))
            case e.ScreenRead():
                happened(event, "report", text=event.text, read=event.report.model_dump(mode="json"), **_cost(event))
            case e.RuleRead():
                rules.append({"text": event.text, "read": event.read.model_dump(mode="json")} | _cost(event))
            case e.Sampled():
                happened(event, "sampled", asked=event.asked, drawn=event.drawn)
            case e.Asked():
                happened(event, "asked", question=event.question, answer=event.answer)
            case e.Failed():
                happened(event, "error", component=event.component, name=event.name, error=event.error)
            case e.Act():
                step = steps.setdefault(event.step, _empty(event.step))
                step["act"] = {
                    "words": action_words(event.action, elements),
                    "outcome": event.outcome,
                    "error": event.error,
                    "settled": event.settled,
                    "places": _places(event.action, elements),
                }
    return [steps[number] for number in sorted(steps)], plans, rules


def _empty(step: int) -> dict[str, Any]:
    return {"step": step, "app": "", "screen": "", "problem": "", "frames": [], "turns": [], "events": [], "act": None}


def _attempt(event: e.Sense, elements: Sequence[Element]) -> dict[str, Any]:
    kept = ("attempt", "candidate", "instruction", "reminder", "text", "unparsable", "mass", "prompt_tokens")
    more = ("cached_tokens", "seconds", "finish", "dropped", "attention")
    return {name: getattr(event, name) for name in (*kept, *more)} | {
        "words": action_words(event.action, elements),
        "places": _places(event.action, elements),
        "tokens": event.cost,
        "probability": math.exp(min(sum(event.logprobs) / len(event.logprobs), 0.0)) if event.logprobs else None,
        "readings": [_reading(reading) for reading in event.readings],
    }


def _reading(reading: Reading) -> dict[str, Any]:
    kept = {"sensor", "value", "baseline", "threshold", "alarm", "judged", "reason", "span", "by_element", "scanpath"}
    return reading.model_dump(mode="json", include=kept)


def _places(action: Any, elements: Sequence[Element]) -> dict[str, Any] | None:
    """Where on the screen an action happens; None for one that has no place."""
    point = getattr(action, "point", None)
    if point is None:
        return None
    index = element_at(elements, point)
    return {
        "point": point,
        "to": getattr(action, "to", None),
        "box": None if index is None else elements[index].box,
    }


def _cost(event: e.Planned | e.ScreenRead | e.RuleRead) -> dict[str, Any]:
    return {"tokens": event.tokens, "prompt_tokens": event.prompt_tokens, "seconds": event.seconds}


def _new_plan(plans: list[dict[str, Any]], step: int, plan: Plan | None) -> None:
    """Notes a version of the plan, unless it says what the last one says."""
    if plan is None:
        return
    told = plan.model_dump(mode="json")
    rows = [{**row, "words": str(one)} for row, one in zip(told["subtasks"], plan.subtasks, strict=True)]
    told |= {"step": step, "subtasks": rows}
    if not plans or {**plans[-1], "step": step} != told:
        plans.append(told)


def _totals(events: Sequence[e.Event]) -> dict[str, Any]:
    """What the run cost, and how often it was corrected and alarmed."""
    calls = [event for event in events if isinstance(event, e.Sense | e.Planned | e.ScreenRead | e.RuleRead)]
    alarms = Counter(r.sensor for event in events if isinstance(event, e.Sense) for r in event.readings if r.alarm)
    kinds = Counter(
        event.decision.kind
        for event in events
        if isinstance(event, e.Decide) and event.decision.kind in CORRECTIVE and event.phase != "start"
    )
    return {
        "calls": len(calls),
        "tokens": sum(call.cost if isinstance(call, e.Sense) else call.tokens for call in calls),
        "prompt_tokens": sum(call.prompt_tokens for call in calls),
        "cached_tokens": sum(call.cached_tokens for call in calls),
        "seconds": sum(_durations(calls)),
        "steps": sum(isinstance(event, e.Act) for event in events),
        "alarms": dict(alarms),
        "corrections": dict(kinds),
    }


def _durations(calls: Sequence[e.Sense | e.Planned | e.ScreenRead | e.RuleRead]) -> list[float]:
    """How long every call took. Answers that were sampled to one prompt are drawn together: they count once."""
    found: dict[Any, float] = {}
    for number, call in enumerate(calls):
        sampled = isinstance(call, e.Sense) and call.candidate is not None
        key = (call.step, call.attempt) if sampled else number
        found[key] = max(found.get(key, 0.0), call.seconds)
    return list(found.values())


def _safe(value: Any, limit: int, cut: list[int]) -> Any:
    """The same data with visible control characters, cut texts, and no number that JavaScript can't read."""
    if isinstance(value, str):
        if len(value) > limit:
            cut.append(len(value))
            value = f"{value[:limit]} … [{len(value) - limit:,} more characters]"
        return visible(value, lines=True)
    if isinstance(value, dict):
        return {_safe(str(key), limit, cut): _safe(item, limit, cut) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_safe(item, limit, cut) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > _DIGITS * 3:
        return None
    return value
