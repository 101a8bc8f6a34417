"""``PromptStyle``: the wording of a model's prompts, as data."""

from __future__ import annotations

import string
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from homeostat.envs.mobile_use import Grid
from homeostat.foreign_text import clipped
from homeostat.observation import Observation

__all__ = ["PromptStyle"]

_PLACEHOLDERS = {
    "rules": ("rules",),
    "goal": ("goal",),
    "history": ("history",),
    "elements": ("elements",),
    "reminder": ("reminder",),
    "planner_goal": ("goal",),
    "planner_memory": ("done", "failed", "facts"),
    "reporter_asks": ("instruction", "facts", "check"),
}
"""The placeholders of every template of a style."""


class PromptStyle(BaseModel):
    """The wording of a model's prompts.

    Placeholders such as ``{goal}`` are filled in. A part whose value is empty is left out of the prompt.

    Attributes:
        system: The executor's system message.
        rules: The rules, behind the system message; ``{rules}``.
        rule_separator: What stands between two rules.
        goal: The goal; ``{goal}``.
        history: The actions so far; ``{history}``.
        history_empty: What stands for the history before the first action.
        history_length: The most actions that the history holds, the newest ones.
        elements: The elements of the user interface as text; ``{elements}``. Empty leaves them out.
        screens: The most screenshots of a prompt: the present one and those of the steps before it.
        compacts: Whether the oldest earlier screenshots and actions are left out of a prompt that is longer than the
            model's context. Otherwise the model refuses such a prompt.
        reminder: A controller's reminder; ``{reminder}``.
        order: The labels of the user message's parts, in order.
        planner: The model that plans for this one by default; "" for the model itself.
        planner_system: The planner's system message.
        planner_goal: The goal in the planner's prompt; ``{goal}``.
        planner_memory: What is done, failed and known, in the prompt for replanning; ``{done}``, ``{failed}`` and
            ``{facts}``. Empty leaves it out.
        planner_screen: Whether the planner sees the screen.
        planner_words: With these, a plan may only consist of them and of words from the planner's prompt. Empty allows
            any word.
        typed_plans: Whether the planner may write every kind of subtask that ``controllers/plan_format.py`` knows.
            Otherwise it writes instructions only.
        reporter_system: The reporter's system message. Empty: this model reads no screens for controllers.
        reporter_asks: What the reporter is asked; ``{instruction}``, ``{facts}`` and ``{check}``.
        coordinates: The numbers that the model writes for a point: pixels of the screenshot, or thousandths (see
            :class:`~homeostat.envs.mobile_use.Grid`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: str
    rules: str = "\nRules:\n{rules}"
    rule_separator: str = "\n"
    goal: str = "The task: {goal}\n"
    history: str = "Done so far: {history}\n"
    history_empty: str = "nothing"
    history_length: int = 12
    elements: str = ""
    screens: int = Field(default=1, ge=1)
    compacts: bool = False
    reminder: str = "Reminder: {reminder}\n"
    order: tuple[str, ...] = ("goal", "history", "elements", "screen", "reminder")
    planner: str = ""
    planner_system: str
    planner_goal: str = "The task: {goal}\n"
    planner_memory: str = ""
    planner_screen: bool = False
    planner_words: tuple[str, ...] = ()
    typed_plans: bool = False
    reporter_system: str = ""
    reporter_asks: str = "The task was: {instruction}\nRead off the screen: {facts}\nIs this so: {check}\n"
    coordinates: Literal["pixels", "thousandths"] = "pixels"

    @field_validator(*_PLACEHOLDERS)
    @classmethod
    def _check_template(cls, template: str, info: ValidationInfo) -> str:
        """Refuses stray braces, unknown placeholders and formats such as ``{goal:>9999999999}``, which fill memory."""
        known = _PLACEHOLDERS[info.field_name or ""]
        for _, name, spec, conversion in string.Formatter().parse(template):
            if name is not None and (name not in known or spec or conversion):
                fields = " or ".join(f"{{{field}}}" for field in known)
                given = clipped(f"{{{name}}}", 40)
                raise ValueError(
                    f"placeholder {given} must be {fields} without a format; write a brace as {{{{ or }}}}"
                )
        return template

    def grid(self, observation: Observation) -> Grid:
        """Returns the grid on which the model writes points.

        Args:
            observation: The observation with the screenshot.

        Returns:
            The grid.
        """
        height, width = observation.screenshot.shape[:2]
        return Grid(width, height) if self.coordinates == "pixels" else Grid(1000, 1000)
