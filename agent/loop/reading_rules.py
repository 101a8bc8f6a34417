"""The loop's node that lets the model read rules at the episode's start, for controllers that ask for it."""

from __future__ import annotations

from homeostat.agent.events import RuleRead
from homeostat.agent.loop.context import RunContext
from homeostat.agent.loop.nodes import Updates
from homeostat.agent.loop.state import EpisodeState
from homeostat.agent.rule_prompt import rule_prompt
from homeostat.controllers.model_rules import ModelRule, parse_model_rule, rule_schema

__all__ = ["read_rules"]


def read_rules(state: EpisodeState, context: RunContext) -> Updates:
    """Asks the model that plans what each of the open rules forbids. An answer that can't be read forbids nothing.

    Args:
        state: The episode's state.
        context: The parts that the run works with: environment, models, sensors, controllers, trace.

    Returns:
        What the model understood, and the costs.
    """
    found: list[ModelRule] = []
    costs = state.costs
    for rule in state.open_rules:
        now = state.model_copy(update={"costs": costs})
        attempt = context.calls.consult(rule_prompt(rule), now, rule_schema(rule))
        costs = costs.plus([attempt])
        found.append(parse_model_rule(attempt.text, rule))
        context.emit(
            RuleRead(
                text=attempt.text,
                read=found[-1],
                prompt_tokens=attempt.prompt_tokens,
                cached_tokens=attempt.cached_tokens,
                tokens=attempt.cost,
                seconds=attempt.seconds,
            )
        )
    return {"open_rules": (), "model_rules": tuple(found), "costs": costs}
