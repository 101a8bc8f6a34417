"""The embedded planner's training data: an endless stream of long goals and their typed plans.

A goal is put together from atomic training goals, including those of invented apps. Its plan is known by construction:
subtasks in the order in which they are done, values that a subtask finds out and a later one uses, computations on
several such values, and conditions. Half of the goals come from patterns that were written by hand
(``homeostat.nano.plans.scenes``). Some leave out what two tasks share (``ellipsis``), and the rest are made by rule
(``rules``).
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Literal

from homeostat.envs.phone.tasks.base import NotPossible, Template, World
from homeostat.envs.phone.tasks.fill import fill
from homeostat.envs.phone.tasks.joined import draw_joined
from homeostat.envs.phone.tasks.splits import templates_of
from homeostat.envs.phone.tasks.words import Split
from homeostat.nano.data.compositions import composition
from homeostat.nano.data.mix import Mix
from homeostat.nano.data.situations import MORE_APPS, fitting_templates, with_inventions
from homeostat.nano.plans.ellipsis import about_one_thing, alike
from homeostat.nano.plans.rules import MadePlan, carried, conditional, ranked, shared_verb, side_by_side, summed, versus
from homeostat.nano.plans.scenes import scenes_of, told
from homeostat.nano.plans.speech import Speaker, chain

__all__ = ["added_words", "planning_examples"]

_TRAIN = templates_of("train")


def _known(s: Speaker) -> tuple[str, MadePlan]:
    """A goal as the executor learned to split it, but without conditions, which have another plan here."""
    for _ in range(8):
        goal, parts = composition(s.rng, s.world, s.all)
        if not any(" if " in f" {p}" or "otherwise" in p or "else" in p or "when " in p for p in parts):
            return goal, MadePlan(list(parts))
    raise NotPossible("only goals with conditions were drawn")


def _single(s: Speaker) -> tuple[str, MadePlan]:
    goal = s.instance(s.all).goal
    return goal, MadePlan([goal])


def _joined(s: Speaker) -> tuple[str, MadePlan]:
    joined = draw_joined(s.rng, s.world, carried=s.rng.random() < 0.5, templates=s.all)
    return joined.goal, MadePlan(list(joined.parts))


def _written(s: Speaker) -> tuple[str, MadePlan]:
    """A goal from a hand-written scene."""
    goal, parts = told(s, s.rng.choice(scenes_of("train")))
    return goal, MadePlan(parts)


def _alike(s: Speaker) -> tuple[str, MadePlan]:
    goal, parts = alike(s)
    return _and_more(s, goal, parts)


def _about_one(s: Speaker) -> tuple[str, MadePlan]:
    goal, parts = about_one_thing(s)
    return _and_more(s, goal, parts)


def _and_more(s: Speaker, goal: str, parts: list[str]) -> tuple[str, MadePlan]:
    """The goal, in four of ten cases with one more task before or after it."""
    roll = s.rng.random()
    if roll > 0.4:
        return chain(s.rng, s.world, [goal]), MadePlan(list(parts))
    spoken, part = s.task()
    said, plan = ([goal, spoken], [*parts, part]) if roll < 0.25 else ([spoken, goal], [part, *parts])
    return chain(s.rng, s.world, said), MadePlan(list(plan))


def _held_out(s: Speaker) -> tuple[str, MadePlan]:
    goal, parts = told(s, s.rng.choice(scenes_of("dev")))
    return goal, MadePlan(parts)


_KINDS = (
    (_written, 160),
    (_alike, 30),
    (_about_one, 14),
    (_single, 10),
    (_joined, 6),
    (_known, 12),
    (side_by_side, 20),
    (shared_verb, 7),
    (carried, 15),
    (conditional, 15),
    (summed, 12),
    (versus, 6),
    (ranked, 14),
)


def planning_examples(
    rng: random.Random,
    split: Split = "train",
    templates: Mapping[str, Template] = _TRAIN,
    *,
    scenes: Literal["train", "dev"] = "train",
) -> Iterator[tuple[str, str]]:
    """Generates goals with their plans without end.

    Args:
        rng: The random generator.
        split: The split that words come from.
        templates: The templates that tasks come from, besides those of invented apps.
        scenes: ``train`` for all kinds of goals; ``dev`` for goals of held-out patterns only.

    Yields:
        (goal, its plan as JSON). A plan has at most 12 subtasks.
    """
    kinds = _KINDS if scenes == "train" else ((_held_out, 1),)
    makers, weights = [k for k, _ in kinds], [w for _, w in kinds]
    while True:
        world: World = fill(rng, split, MORE_APPS)
        made_up = with_inventions(rng, world) if rng.random() < Mix().invented else []
        speaker = Speaker(rng, world, [*fitting_templates(templates, world.device), *made_up])
        for maker in rng.choices(makers, weights, k=24):
            try:
                goal, plan = maker(speaker)
            except NotPossible:
                continue
            if len(plan.parts) <= 12:
                yield goal, json.dumps({"parts": plan.parts})


def added_words(many: int = 20_000, least: int = 8) -> tuple[str, ...]:
    """Collects the planner's own words: those in training plans that their goals don't have.

    Args:
        many: The number of plans that are searched.
        least: The number of plans in which a word has to occur.

    Returns:
        The words, sorted.
    """
    source, found = planning_examples(random.Random("added words")), Counter[str]()
    for _ in range(many):
        goal, plan = next(source)
        parts = [p if isinstance(p, dict) else {"instruction": p} for p in json.loads(plan)["parts"]]
        said = [text for p in parts for text in (p.get("instruction", ""), p.get("say", ""), *p.get("of", ()))]
        found.update(
            word for word in _bare(" ".join(said)) - _bare(goal) if not word.startswith("{") and not word.endswith("'s")
        )
    return tuple(sorted(word for word, count in found.items() if count >= least))


def _bare(text: str) -> set[str]:
    words = {word.strip(",.:;?!\"'()") for word in text.split()}
    return (words | {word.removesuffix("'s") for word in words}) - {""}
