"""The loop's nodes for the planner, which splits the goal, and for the reporter, which reads a screen."""

from __future__ import annotations

from contextlib import nullcontext

from homeostat.agent.events import Planned, ScreenRead
from homeostat.agent.loop.context import RunContext
from homeostat.agent.loop.nodes import Updates
from homeostat.agent.loop.state import EpisodeState
from homeostat.agent.prompts import plan_prompt, plan_words, report_prompt
from homeostat.controllers.context import Reported
from homeostat.controllers.decisions import MakePlan, Report
from homeostat.controllers.plan_format import parse_plan, plan_schema
from homeostat.controllers.plan_updates import revise
from homeostat.controllers.reports import parse_report, report_schema
from homeostat.errors import HomeostatError
from homeostat.sensors.attempts import Attempt

__all__ = ["plan", "report"]


def plan(state: EpisodeState, context: RunContext) -> Updates:
    """Asks the planner, in a context of its own, to split the goal, or what is left of it.

    Its answer replaces the open subtasks. Where the answer can't be read, the present plan stays, with the reason.

    Args:
        state: The episode's state.
        context: The parts that the run works with: environment, models, sensors, controllers, trace.

    Returns:
        The plan, or why there is none, and the costs.
    """
    assert isinstance(state.decision, MakePlan)
    before, style = state.decision.plan, context.calls.planning_model.style
    seen = context.observe() if style.planner_screen else None
    prompt = plan_prompt(style, goal=state.task.goal, rules=state.task.rules, plan=before, observation=seen)
    schema = plan_schema(typed=style.typed_plans, words=plan_words(style, prompt))
    with context.telemetry.plan() if context.telemetry is not None else nullcontext():
        attempt = context.calls.consult(prompt, state, schema)
    result, error = before, None
    try:
        new = parse_plan(attempt.text)
        result = new if before is None else revise(before, new)
    except HomeostatError as refused:
        error = str(refused)
    context.emit(Planned(**_call(state, attempt), plan=result, error=error))
    return {"phase": "planned", "plan": result, "plan_error": error, "costs": state.costs.plus([attempt])}


def report(state: EpisodeState, context: RunContext) -> Updates:
    """Asks the reporter what the subtask produced, and whether its check holds, from the present screen.

    Args:
        state: The episode's state.
        context: The parts that the run works with: environment, models, sensors, controllers, trace.

    Returns:
        The report and the costs.
    """
    asked = state.decision
    assert isinstance(asked, Report)
    style = context.calls.planning_model.style
    if not style.reporter_system:
        return {"phase": "reported", "report": Reported(error="this model's prompt style has no reporter")}
    prompt = report_prompt(
        style, instruction=state.instruction, facts=asked.facts, check=asked.check, observation=context.observe()
    )
    schema = report_schema(asked.facts, check=bool(asked.check))
    attempt = context.calls.consult(prompt, state, schema)
    found = parse_report(attempt.text, asked.facts)
    context.emit(ScreenRead(**_call(state, attempt), report=found))
    return {"phase": "reported", "report": found, "costs": state.costs.plus([attempt])}


def _call(state: EpisodeState, attempt: Attempt) -> Updates:
    """The fields of the model call that both events have."""
    return {
        "step": state.step,
        "attempt": state.now.attempt,
        "text": attempt.text,
        "prompt_tokens": attempt.prompt_tokens,
        "cached_tokens": attempt.cached_tokens,
        "tokens": attempt.cost,
        "seconds": attempt.seconds,
    }
