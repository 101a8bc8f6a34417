"""Long goals and their typed plans, without end: what the embedded planner learns from.

A goal is put together from atomic training goals (those of apps invented for training among them), and its plan is
known by construction: parts in the order in which they are done; values that a part finds out and a later one uses;
computations on several such values; conditions. Half are said as people say them, by scenes that were written by hand
(``plan_scenes``), some leave out what two tasks share (``plan_ellipsis``), the rest are made by rule (``plan_rules``).
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Literal

from homeostat.envs.phone.apps import APPS, BASIC
from homeostat.envs.phone.tasks.base import NotPossible, Template, World
from homeostat.envs.phone.tasks.fill import fill
from homeostat.envs.phone.tasks.joined import draw_joined
from homeostat.envs.phone.tasks.splits import templates_of
from homeostat.envs.phone.tasks.words import Split
from homeostat.nano.data.compositions import composition
from homeostat.nano.data.episodes import Mix, fitting_templates, with_inventions
from homeostat.nano.plans.ellipsis import about_one_thing, alike
from homeostat.nano.plans.rules import MadePlan, carried, conditional, ranked, shared_verb, side_by_side, summed, versus
from homeostat.nano.plans.scenes import scenes_of, told
from homeostat.nano.plans.speech import Speaker, chain

__all__ = ["added_words", "planning_examples"]

_TRAIN = templates_of("train")
_MORE = tuple(app for app in APPS if app not in BASIC)


def _known(s: Speaker) -> tuple[str, MadePlan]:
    """The goals that the embedded model itself learned to split; those with a condition have another plan here."""
    for _ in range(8):
        goal, parts = composition(s.rng, s.world, s.all)
        if not any(" if " in f" {p}" or "otherwise" in p or "else" in p or "when " in p for p in parts):
            return goal, MadePlan(list(parts))
    raise NotPossible("conditions only")


def _single(s: Speaker) -> tuple[str, MadePlan]:
    goal = s.instance(s.all).goal
    return goal, MadePlan([goal])


def _joined(s: Speaker) -> tuple[str, MadePlan]:
    joined = draw_joined(s.rng, s.world, carried=s.rng.random() < 0.5, templates=s.all)
    return joined.goal, MadePlan(list(joined.parts))


def _written(s: Speaker) -> tuple[str, MadePlan]:
    """One of the scenes written by hand."""
    goal, parts = told(s, s.rng.choice(scenes_of("train")))
    return goal, MadePlan(parts)


def _alike(s: Speaker) -> tuple[str, MadePlan]:
    goal, parts = alike(s)
    return _and_more(s, goal, parts)


def _about_one(s: Speaker) -> tuple[str, MadePlan]:
    goal, parts = about_one_thing(s)
    return _and_more(s, goal, parts)


def _and_more(s: Speaker, goal: str, parts: list[str]) -> tuple[str, MadePlan]:
    """Now and then with a task before it or after it."""
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
    """(goal, its plan as JSON), with words of this split and these templates' tasks beside those of invented apps.

    ``scenes``: ``dev`` gives goals of the held-out scenes alone.
    """
    kinds = _KINDS if scenes == "train" else ((_held_out, 1),)
    makers, weights = [k for k, _ in kinds], [w for _, w in kinds]
    while True:
        world: World = fill(rng, split, _MORE)
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
    """The words that ``least`` or more of ``many`` training plans have and their goals don't: a planner's own words."""
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
