"""Builds the prompts of the executor, the planner and the reporter in the wording of a style."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from homeostat.agent.prompts.element_list import element_list
from homeostat.agent.prompts.history import POINTED
from homeostat.agent.prompts.style import PromptStyle
from homeostat.controllers.plan import Plan
from homeostat.observation import Observation
from homeostat.sensors.chat.messages import Message, Part, Prompt
from homeostat.sensors.chat.wording import Wording, fill, join

__all__ = ["act_prompt", "plan_prompt", "plan_words", "report_prompt"]


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
    done = _done(style, history)
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
            Message("system", _kept(_system(style, observation), _rules(style, rules))),
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


def _system(style: PromptStyle, observation: Observation) -> Part:
    """The executor's system message, with the description of its tools."""
    grid = style.grid(observation)
    sides = {"width": Wording.own(str(grid.width)), "height": Wording.own(str(grid.height))}
    return join("", (Wording.own(style.system), fill(style.tools, **sides))).part("system")


def _done(style: PromptStyle, history: Sequence[str]) -> Wording:
    """The newest actions of the history."""
    recent = history[-style.history_length :]
    steps = []
    for number, entry in enumerate(recent, start=len(history) - len(recent) + 1):
        action = Wording.own(entry) if POINTED.fullmatch(entry) else entry
        steps.append(fill(style.history_step, number=Wording.own(str(number)), action=action))
    return join(style.history_separator, steps)


def _kept(*parts: Part) -> tuple[Part, ...]:
    return tuple(p for p in parts if p.text or p.image is not None)


def _rules(style: PromptStyle, rules: Sequence[str]) -> Part:
    return fill(style.rules, rules=join(style.rule_separator, rules)).part("rules") if rules else Part("rules")


def _elements(style: PromptStyle, observation: Observation) -> Part:
    if not style.elements:
        return Part("elements")
    if style.answers == "elements":
        return fill(style.elements, elements=element_list(observation.elements)).part("elements")
    grid = style.grid(observation)
    lines = []
    for e in observation.elements:
        left, top, right, bottom = e.box
        point = Wording.own(f" {grid.spell(((left + right) / 2, (top + bottom) / 2))}")
        lines.append(join("", (f"{e.role} {e.text!r}", point)))
    return fill(style.elements, elements=join("\n", lines)).part("elements")
