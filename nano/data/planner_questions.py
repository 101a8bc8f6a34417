"""Questions that train the executor's own planning: a goal, answered by its subtasks."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

from homeostat.agent.prompts import PromptStyle, plan_prompt
from homeostat.envs.phone.tasks.base import NotPossible
from homeostat.envs.phone.tasks.instance import draw
from homeostat.envs.phone.tasks.joined import draw_joined
from homeostat.envs.phone.tasks.rules import RULES
from homeostat.envs.phone.tasks.splits import templates_of
from homeostat.envs.phone.tasks.words import Split
from homeostat.nano.data.compositions import composition
from homeostat.nano.data.examples import Question
from homeostat.nano.data.mix import Mix
from homeostat.nano.data.situations import draw_phone, fitting_templates

__all__ = ["plan_examples"]


def plan_examples(rng: random.Random, style: PromptStyle, split: Split = "train") -> Iterator[Question]:
    """Generates planning questions without end. One fifth of the goals are atomic; one quarter join two goals.

    Args:
        rng: The random generator.
        style: The prompt style.
        split: The split that words come from. The tasks always come from training templates.

    Yields:
        Questions of kind ``plan``, whose answer is the list of subtasks as JSON.
    """
    while True:
        world = draw_phone(rng, Mix(), split)
        fitting = fitting_templates(templates_of("train"), world.device)
        for _ in range(8):
            try:
                roll = rng.random()
                if roll < 0.2:
                    goal = draw(rng.choice(fitting), world).goal
                    subtasks = [goal]
                elif roll < 0.45:
                    joined = draw_joined(rng, world, carried=roll < 0.33, templates=fitting)
                    goal, subtasks = joined.goal, list(joined.parts)
                else:
                    goal, subtasks = composition(rng, world, fitting)
            except NotPossible:
                continue
            rules = (rng.choice(RULES).text,) if rng.random() < 0.2 else ()
            yield Question("plan", plan_prompt(style, goal=goal, rules=rules), json.dumps({"parts": subtasks}))
