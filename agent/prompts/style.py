"""``PromptStyle``: the wording of a model's prompts, as data."""

from __future__ import annotations

import string
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from homeostat.agent.prompts.conversation_style import ConversationStyle
from homeostat.agent.prompts.picture import SmartResize
from homeostat.envs.mobile_use import Grid
from homeostat.foreign_text import clipped
from homeostat.observation import Observation

__all__ = ["PromptStyle"]

_PLACEHOLDERS = {
    "rules": ("rules",),
    "goal": ("goal",),
    "history": ("history",),
    "history_step": ("number", "action"),
    "tools": ("width", "height"),
    "elements": ("elements",),
    "reminder": ("reminder",),
    "planner_goal": ("goal",),
    "planner_memory": ("done", "failed", "facts"),
    "reporter_asks": ("instruction", "facts", "check"),
}
"""The placeholders of every template of a style."""
_FIRST = {
    *("system", "rules", "rule_separator", "goal", "history", "history_empty", "history_length", "elements", "screens"),
    *("reminder", "order", "planner", "planner_system", "planner_goal", "planner_memory", "planner_screen"),
    *("planner_words", "typed_plans", "reporter_system", "reporter_asks", "coordinates"),
}
"""The fields that word prompts since the first release."""


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
        history_step: One action of the history; ``{number}``, counted from 1, and ``{action}``.
        history_separator: What stands between two actions of the history.
        history_form: How an action is written there: in our words, as a ``mobile_use`` call, or in the words that the
            model wrote behind ``Action:`` (our words where it wrote none).
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
        conversation: The wording of conversations with tools.
        coordinates: The numbers that the model writes for a point: pixels of the picture that it sees, or thousandths
            (see :class:`~homeostat.envs.mobile_use.Grid`).
        resize: How the model's processor resizes a screenshot to the picture that the model sees. None: the picture has
            the screenshot's size. A model that is loaded without it gets its processor's.
        answers: How the model writes an action: as a tool call with points (:mod:`homeostat.envs.mobile_use`), or as a
            JSON object that names elements by number (:mod:`homeostat.envs.element_actions`). With ``"elements"``,
            ``{elements}`` is the numbered list of them, and the history names them by their texts.
        elements_by: How an action names an element: by its number, or by its text, where only one element has it. Only
            with ``answers="elements"``. The model's answers are read in both forms.
        constrained: Whether answers are held to the actions by a JSON schema, with a model that can decode under one.
            Only with ``answers="elements"``.
        tools: The description of the tools, directly behind the system message; ``{width}`` and ``{height}``, the
            largest numbers of a point. Empty leaves it out.
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
    conversation: ConversationStyle = ConversationStyle()
    coordinates: Literal["pixels", "thousandths"] = "pixels"
    resize: SmartResize | None = None
    answers: Literal["mobile_use", "elements"] = "mobile_use"
    elements_by: Literal["number", "text"] = "number"
    constrained: bool = False
    tools: str = ""
    history_step: str = "{action}"
    history_separator: str = "; "
    history_form: Literal["words", "call", "said"] = "words"

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
        if self.coordinates == "thousandths":
            return Grid(1000, 1000)
        height, width = observation.screenshot.shape[:2]
        if self.resize is not None:
            height, width = self.resize.size(height, width)
        return Grid(width, height)

    def wording(self) -> str:
        """Returns what decides the text of the prompts, as JSON: equal texts mean equal prompts.

        Returns:
            The fields that word prompts. Those that were added after the first release are left out while they have
            their default values, so that their addition changes nothing.
        """
        later = {name for name, field in type(self).model_fields.items() if getattr(self, name) == field.default}
        return self.model_dump_json(exclude={"compacts", "resize", *(later - _FIRST)})
