"""The agent's prompts, and the style that words them.

Every part of a :class:`~homeostat.sensors.Prompt` has a span label: ``system``, ``rules``, ``goal``, ``plan``,
``reminder``, ``history``, ``screen``, ``elements``, and others. A :class:`PromptStyle` holds the wording. A model's
folder may hold its own style as ``homeostat.json``, as nano's does, because nano was trained on exactly that wording.
Any other model gets :data:`VERBOSE`.

Only what the style itself writes is trusted, character by character (see :mod:`homeostat.sensors.chat.wording`): its
literal text, the separators and the points of actions. Goals, rules, typed texts and elements are foreign; the renderer
lets no control token of the model pass in them.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from homeostat import actions as a
from homeostat.controllers.operations import OPERATIONS
from homeostat.controllers.plan import Plan
from homeostat.envs.mobile_use import Grid
from homeostat.foreign_text import clipped
from homeostat.observation import Observation
from homeostat.sensors.chat.messages import Message, Part, Prompt
from homeostat.sensors.chat.wording import Wording, fill, join

__all__ = ["VERBOSE", "PromptStyle", "act_prompt", "describe", "plan_prompt", "plan_words", "report_prompt"]


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


_POINTED = re.compile(r"(?:click|long_press) \[-?\d+, -?\d+\]")
"""An action as :func:`describe` words it from numbers alone; such an entry of the history holds no foreign text."""


def describe(action: a.Action, grid: Grid) -> str:
    """Words an action for the history, such as ``click [40, 96]``, ``type milk`` or ``swipe up``.

    Args:
        action: The action.
        grid: The grid on which the model writes points.

    Returns:
        The text.
    """
    match action:
        case a.Click(point=p):
            return f"click {grid.spell(p)}"
        case a.LongPress(point=p):
            return f"long_press {grid.spell(p)}"
        case a.Swipe(point=(x, y), to=(x2, y2)):
            horizontal = abs(x2 - x) > abs(y2 - y)
            return "swipe " + (("right" if x2 > x else "left") if horizontal else ("down" if y2 > y else "up"))
        case a.Type(text=t):
            return f"type {t}"
        case a.SystemButton(button=b):
            return b.lower()
        case a.Open(app=name):
            return f"open {name}"
        case a.Wait():
            return "wait"
        case a.Answer(text=t):
            return f"answer {t}"
        case a.Terminate(status=s):
            return f"terminate {s}"
    raise AssertionError(action)


def act_prompt(
    style: PromptStyle,
    *,
    goal: str | Wording,
    rules: Sequence[str],
    history: Sequence[str],
    observation: Observation,
    earlier: Sequence[NDArray[np.uint8]] = (),
    reminder: str = "",
    shown: Sequence[str] = (),
) -> Prompt:
    """Builds the executor's prompt for one attempt.

    Earlier screenshots stand in front of the present one, each in a span of its own; ``screen-1`` is the last step's. A
    recording's frames (``frame-1``, ``frame-2``, …) replace the screenshots.

    Args:
        style: The model's prompt style.
        goal: What the executor is to do: the goal, or the present subtask's instruction. A plain string is foreign.
        rules: The rules of the episode.
        history: Every action so far, as :func:`describe` words it.
        observation: The present screen.
        earlier: The screenshots of earlier steps, oldest first.
        reminder: The reminder; "" for none.
        shown: The labels of images that stand once more in front of the reminder, in the span ``evidence``.

    Returns:
        The prompt.
    """
    recent = [Wording.own(entry) if _POINTED.fullmatch(entry) else entry for entry in history[-style.history_length :]]
    done = join("; ", recent)
    parts = {
        "goal": fill(style.goal, goal=goal).part("goal"),
        "history": fill(style.history, history=done if done.text else Wording.own(style.history_empty)).part("history"),
        "screen": Part("screen", image=observation.screenshot),
        "reminder": fill(style.reminder, reminder=reminder).part("reminder") if reminder else Part("reminder"),
        "elements": _elements(style, observation),
    }
    frames = [Part(f"frame-{n}", image=frame) for n, frame in enumerate(observation.frames, start=1)]
    before = [Part(f"screen-{len(earlier) - n}", image=image) for n, image in enumerate(earlier)]
    images = frames or [*before, parts["screen"]]
    again = [Part("evidence", image=part.image) for part in images if part.label in shown]
    groups = {label: [part] for label, part in parts.items()} | {"screen": images}
    groups["reminder"] = [*again, parts["reminder"]]
    user = [part for label in style.order for part in groups[label]]
    return Prompt(
        (
            Message("system", _kept(Wording.own(style.system).part("system"), _rules(style, rules))),
            Message("user", _kept(*user)),
        )
    )


def plan_prompt(
    style: PromptStyle,
    *,
    goal: str,
    rules: Sequence[str],
    plan: Plan | None = None,
    observation: Observation | None = None,
) -> Prompt:
    """Builds the planner's prompt, which asks for the goal's subtasks as JSON.

    Args:
        style: The planner's prompt style.
        goal: The goal.
        rules: The rules of the episode.
        plan: The plan so far, for replanning; None for the first plan.
        observation: The present screen; None leaves it out.

    Returns:
        The prompt.
    """
    memory = fill(style.planner_memory, **_memory(plan)) if plan is not None and style.planner_memory else Wording("")
    screen = Part("screen", image=observation.screenshot) if observation is not None else Part("screen")
    user = (fill(style.planner_goal, goal=goal).part("goal"), memory.part("plan"), screen)
    system = _kept(Wording.own(style.planner_system).part("system"), _rules(style, rules))
    return Prompt((Message("system", system), Message("user", _kept(*user))))


def plan_words(style: PromptStyle, prompt: Prompt) -> frozenset[str]:
    """Collects the words that a plan may consist of.

    Args:
        style: The planner's prompt style.
        prompt: The planner's prompt.

    Returns:
        The words of the style and of the prompt; an empty set where any word is allowed.
    """
    if not style.planner_words:
        return frozenset()
    told = " ".join(part.text for message in prompt.messages for part in message.parts if part.label != "system")
    words = {word.strip(",.:;?!\"'()") for word in told.split()}
    return frozenset(words | {word.removesuffix("'s") for word in words} | set(style.planner_words)) - {""}


def report_prompt(
    style: PromptStyle, *, instruction: str, facts: Sequence[str], check: str, observation: Observation
) -> Prompt:
    """Builds the reporter's prompt, which asks what can be read off the screen.

    Args:
        style: The model's prompt style.
        instruction: What the executor was asked to do.
        facts: The names of the values to read.
        check: A statement about the screen that is to be confirmed or denied; "" for none.
        observation: The present screen.

    Returns:
        The prompt.
    """
    asked = fill(style.reporter_asks, instruction=instruction, facts=", ".join(facts) or "-", check=check or "-")
    user = (asked.part("goal"), _elements(style, observation))
    return Prompt(
        (
            Message("system", _kept(Wording.own(style.reporter_system).part("system"))),
            Message("user", _kept(*user, Part("screen", image=observation.screenshot))),
        )
    )


def _memory(plan: Plan) -> dict[str, str]:
    """What is done, failed and known, in words."""

    def those(*statuses: str) -> str:
        return "; ".join(str(subtask) for subtask in plan.subtasks if subtask.status in statuses) or "nothing"

    values = [f"{fact.key} = {fact.value} (part {fact.subtask})" for fact in plan.facts]
    named = {(fact.subtask, fact.value) for fact in plan.facts}
    for number, subtask in enumerate(plan.subtasks, start=1):
        if subtask.answer is not None and (number, subtask.answer) not in named:
            values.append(f"{subtask}: {subtask.answer}")
    return {"done": those("done", "skipped"), "failed": those("failed"), "facts": "; ".join(values) or "nothing"}


def _kept(*parts: Part) -> tuple[Part, ...]:
    return tuple(p for p in parts if p.text or p.image is not None)


def _rules(style: PromptStyle, rules: Sequence[str]) -> Part:
    return fill(style.rules, rules=join(style.rule_separator, rules)).part("rules") if rules else Part("rules")


def _elements(style: PromptStyle, observation: Observation) -> Part:
    if not style.elements:
        return Part("elements")
    grid = style.grid(observation)
    lines = []
    for e in observation.elements:
        left, top, right, bottom = e.box
        point = Wording.own(f" {grid.spell(((left + right) / 2, (top + bottom) / 2))}")
        lines.append(join("", (f"{e.role} {e.text!r}", point)))
    return fill(style.elements, elements=join("\n", lines)).part("elements")


VERBOSE = PromptStyle(
    system=(
        "You operate a phone. Each turn you see the screen and call the tool mobile_use once:\n"
        '<tool_call>\n{"name": "mobile_use", "arguments": {"action": …}}\n</tool_call>\n'
        "Actions: click (coordinate), long_press (coordinate, time), swipe (coordinate, coordinate2), type (text; the "
        "field must have the focus), system_button (button: Back, Home, Menu, Enter), open (text: the app's name), "
        "wait (time), answer (text), terminate (status: success or failure).\n"
        "Answer a question with answer. Terminate with success once the task is done, with failure where a rule "
        "forbids it or it can't be done."
    ),
    planner_system=(
        "You split a phone task into atomic parts, each one app and one purpose, self-contained, in order. Reply with "
        'JSON only: {"parts": [{"instruction": "…"}, …]}. A part that finds a value out names it, "save": "price", and '
        'later texts write {price} in its place. To work something out, write {"compute": "sum", "of": ["{price}", '
        f'"$5"], "save": "total"}} (operations: {", ".join(OPERATIONS)}); to tell the user, {{"say": "{{total}}"}}. A '
        'part with "when": "is_low" (or "not is_low") is done only where that value is yes. You may add "check", what '
        "the screen has to show at a part's end. You are asked again after every part: write the parts that are left; "
        'with none, {"parts": [], "finish": "success"}, or "failure" where it can\'t be done.'
    ),
    planner_memory="Done: {done}\nFailed: {failed}\nKnown: {facts}\n",
    planner_screen=True,
    typed_plans=True,
    compacts=True,
    reporter_system=(
        "You read a phone's screen. Reply with JSON only: the values asked for as they stand there, null for what is "
        'not there, and whether what is asked is so: {"facts": {"price": "$12"}, "check": true}.'
    ),
)
"""The style of any model that does not bring its own: the ``mobile_use`` tool, in full sentences."""
