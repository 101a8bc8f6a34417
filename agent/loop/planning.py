"""The loop's calls that are no attempts at an action: the planner splits the goal, the reporter reads a screen."""

from __future__ import annotations

from typing import Any

from homeostat.agent.events import Planned, ScreenRead
from homeostat.agent.loop.context import RunContext
from homeostat.agent.loop.state import EpisodeState
from homeostat.agent.prompts import plan_prompt, plan_words, report_prompt
from homeostat.controllers.core import MakePlan, Report, Reported
from homeostat.controllers.plan import revise
from homeostat.controllers.plan_format import parse_plan, plan_schema
from homeostat.controllers.reports import parse_report, report_schema
from homeostat.errors import HomeostatError
from homeostat.sensors.core import Attempt

__all__ = ["plan", "report"]

Updates = dict[str, Any]


def plan(state: EpisodeState, context: RunContext) -> Updates:
    """Ask the planner, in a context of its own, to split the goal, or what is left of it.

    What it says replaces the open parts; where it can't be read, the plan so far stays, with the reason.
    """
    assert isinstance(state.decision, MakePlan)
    before, style = state.decision.plan, context.planning_model.style
    seen = context.observe() if style.planner_screen else None
    prompt = plan_prompt(style, goal=state.task.goal, rules=state.task.rules, plan=before, observation=seen)
    schema = plan_schema(typed=style.typed_plans, words=plan_words(style, prompt))
    attempt = context.consult(prompt, state, schema, context.config.plan_tokens)
    agenda, error = before, None
    try:
        new = parse_plan(attempt.text)
        agenda = new if before is None else revise(before, new)
    except HomeostatError as refused:
        error = str(refused)
    context.emit(
        Planned(
            **_call(state, attempt),
            plan=agenda,
            error=error,
        )
    )
    return {"phase": "planned", "agenda": agenda, "plan_error": error} | _costs(state, attempt)


def report(state: EpisodeState, context: RunContext) -> Updates:
    """Have the screen read: what the part brought, and whether its check holds."""
    asked = state.decision
    assert isinstance(asked, Report)
    style = context.planning_model.style
    if not style.reporter_system:
        return {"phase": "reported", "report": Reported(error="this model's prompt style has no reporter")}
    prompt = report_prompt(
        style, instruction=state.instruction, facts=asked.facts, check=asked.check, observation=context.observe()
    )
    schema = report_schema(asked.facts, check=bool(asked.check))
    attempt = context.consult(prompt, state, schema, context.config.plan_tokens)
    found = parse_report(attempt.text, asked.facts)
    context.emit(
        ScreenRead(
            **_call(state, attempt),
            report=found,
        )
    )
    return {"phase": "reported", "report": found} | _costs(state, attempt)


def _call(state: EpisodeState, attempt: Attempt) -> Updates:
    """What both events say of the call."""
    return {
        "step": state.step,
        "attempt": state.attempt,
        "text": attempt.text,
        "prompt_tokens": attempt.prompt_tokens,
        "cached_tokens": attempt.cached_tokens,
        "tokens": len(attempt.tokens),
        "seconds": attempt.seconds,
    }


def _costs(state: EpisodeState, attempt: Attempt) -> Updates:
    return {
        "calls": state.calls + 1,
        "tokens": state.tokens + len(attempt.tokens),
        "prompt_tokens": state.prompt_tokens + attempt.prompt_tokens - attempt.cached_tokens,
    }
