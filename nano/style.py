"""The prompts of the embedded models: the wording that their weights were trained on.

The wording is stored beside the weights as ``homeostat.json``, where the agent reads it.
"""

from __future__ import annotations

from homeostat.agent.prompts import PromptStyle

__all__ = ["PLANNER_STYLE", "STYLE"]

STYLE = PromptStyle(
    system="you operate a phone.",
    rules="\nrules: {rules}",
    rule_separator="; ",
    goal="goal: {goal}",
    history="\nhistory: {history}",
    history_empty="none",
    history_length=4,
    reminder="\nreminder: {reminder}",
    order=("screen", "goal", "history", "reminder"),
    planner="homeostat/nano-planner",
    planner_system="you split goals.",
    planner_goal="goal: {goal}",
    coordinates="pixels",
)
"""The executor's prompts."""

PLANNER_STYLE = STYLE.model_copy(update={"typed_plans": True, "planner": ""})
"""The planner's prompts: it writes typed plans and asks no other planner."""
