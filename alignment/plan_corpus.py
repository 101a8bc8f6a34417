"""Long goals and their typed plans, without end: what the embedded planner learns from.

A goal is put together from atomic training goals (those of apps invented for training among them), and its plan is
known by construction: parts in the order in which they are said; values that a part finds out and a later one uses;
computations on several such values; conditions. Goals are said more loosely than the plan's parts: words are left out,
turned around or shared between parts, and the planner has to put them back. Most are said as people say them, by
scenes that were written by hand (``plan_scenes``); the rest by rule.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from homeostat.alignment import plan_phrases as say
from homeostat.alignment.compositions import composition
from homeostat.alignment.episodes import Mix, fitting_templates, with_inventions
from homeostat.alignment.plan_scenes import scenes_of, told
from homeostat.alignment.plan_speech import Speaker, chain, enumerated
from homeostat.alignment.plan_speech import several as several_things
from homeostat.envs.phone.apps import APPS, BASIC
from homeostat.envs.phone.tasks.base import NotPossible, Template, World
from homeostat.envs.phone.tasks.fill import fill
from homeostat.envs.phone.tasks.joined import draw_joined
from homeostat.envs.phone.tasks.splits import templates_of
from homeostat.envs.phone.tasks.words import Split

__all__ = ["planning_examples"]

_TRAIN = templates_of("train")
_MORE = tuple(app for app in APPS if app not in BASIC)


@dataclass
class _Plan:
    """Parts as they are added; each ``add`` returns the part's number."""

    parts: list[Any] = field(default_factory=list)

    def add(self, part: Any, when: str = "") -> int:
        """Append a text, or a part as a mapping."""
        if when:
            part = {"instruction": part, "when": when}
        self.parts.append(part)
        return len(self.parts)


def _side_by_side(s: Speaker) -> tuple[str, _Plan]:
    plan, said = _Plan(), []
    for _ in range(s.rng.choice((2, 3, 3, 3, 4, 4))):
        spoken, part = s.task(s.all if s.rng.random() < 0.3 else None)
        said.append(spoken)
        plan.add(part)
    return chain(s.rng, s.world, said), plan


def _shared_verb(s: Speaker) -> tuple[str, _Plan]:
    """Several tasks that begin alike: the words that they share are said once."""
    pairs = [s.task()[1] for _ in range(24)]
    by_verb: dict[str, list[str]] = {}
    for part in dict.fromkeys(pairs):
        by_verb.setdefault(part.split()[0], []).append(part)
    groups = [g for g in by_verb.values() if len(g) > 1]
    if not groups:
        raise NotPossible("no verb twice")
    parts = s.rng.choice(groups)[: s.rng.choice((2, 3, 3))]
    verb = parts[0].split()[0]
    things = [p.removeprefix(f"{verb} ") for p in parts]
    plan = _Plan(list(parts))
    both = "both" if len(parts) == 2 else s.rng.choice(("all three", "all of them", "them all", "each of them"))
    listed = enumerated(s.rng, things)
    forms = ("{v} {l}", "{l}: {v} {b}", "{v} these: {l}", "please {v} {l}", "{l}, {v} {b}", "i want to {v} {l}")
    text = s.rng.choice(forms).format(v=verb, l=listed, b=both)
    if s.rng.random() < 0.4:
        spoken, part = s.task()
        plan.add(part)
        text = chain(s.rng, s.world, [text, spoken])
    return text, plan


def _carried(s: Speaker) -> tuple[str, _Plan]:
    """A value is looked up and used, named or put right where it is used."""
    rng, plan = s.rng, _Plan()
    noun, sentence, part = s.find()
    number = plan.add(part)
    said: list[str] = []
    inside = noun and rng.random() < 0.4
    if not inside:
        said.append(sentence)
    for n in range(rng.choice((1, 1, 2))):
        spoken, use = s.use(f"{{{number}}}", noun if inside and not n else rng.choice(say.SAID_VALUES))
        said.append(spoken)
        plan.add(use)
    if rng.random() < 0.35:
        spoken, more = s.task()
        said.append(spoken)
        plan.add(more)
    return chain(rng, s.world, said), plan


def _condition(s: Speaker, value: str, noun: str, look: str, plan: _Plan, other: tuple[str, str] | None = None) -> str:
    """A condition on ``value`` and what hangs on it, added to the plan; the sentence, with ``noun`` for the value."""
    rng = s.rng
    roll = rng.random()
    numeric = look or rng.random() < 0.5
    operation = "equal" if roll < (0.3 if numeric else 0.8) and other is None else "above" if roll < 0.7 else "below"
    if other is not None:
        than, said_than = other
    else:
        number = str(rng.randint(1, 500))
        shown = {"$": f"${number}", ":": s.world.words.time(), "kb": f"{number}kb"}.get(look, number)
        than = s.word() if operation == "equal" and not (look and rng.random() < 0.5) else shown
        said_than = than
    frame = rng.choice({"above": say.ABOVE, "below": say.BELOW, "equal": say.EQUAL}[operation])
    condition = frame.format(v=noun, w=said_than)
    test = plan.add({"compute": operation, "of": [value, than]})
    spoken, part = s.task() if rng.random() < 0.7 else s.use(value, rng.choice(say.SAID_VALUES))
    plan.add(part, when=f"{test}")
    if rng.random() < 0.3:
        return rng.choice(say.ONE_SIDED).format(c=condition, a=spoken)
    other_spoken, other_part = s.task()
    plan.add(other_part, when=f"not {test}")
    return rng.choice(say.EITHER).format(c=condition, a=spoken, b=other_spoken)


def _conditional(s: Speaker) -> tuple[str, _Plan]:
    rng, plan = s.rng, _Plan()
    noun, sentence, part = s.find()
    value = f"{{{plan.add(part)}}}"
    if noun and rng.random() < 0.5:
        said = [_condition(s, value, noun, rng.choice(("$", ":", "", "")), plan)]
    else:
        said = [
            sentence,
            _condition(s, value, rng.choice(("it", "that", "the answer", "this")), rng.choice(("$", "", "")), plan),
        ]
    if rng.random() < 0.4:
        spoken, more = s.task()
        said.append(spoken)
        plan.add(more)
    return chain(rng, s.world, said), plan


def _summed(s: Speaker) -> tuple[str, _Plan]:
    """The sum or the difference of several values, and what is done with it."""
    rng, plan = s.rng, _Plan()
    kind = rng.choice(("sum", "sum", "difference"))
    several = several_things(s, plan.add, 3 if kind == "sum" else 2)
    result = f"{{{plan.add({'compute': kind, 'of': several.numbers})}}}"
    plus = " plus ".join(several.each(rng, x) for x in several.xs)
    phrase = rng.choice(say.SUMS[kind]).format(list=several.all(rng), plus=plus)
    said: list[str] = []
    inside = rng.random() < 0.3
    if not inside:
        verbs = say.FINDS if rng.random() < 0.6 else say.ADDS[kind]
        said.append(rng.choice(verbs).format(n=phrase if verbs is say.FINDS else several.all(rng)))
    if rng.random() < 0.35:
        said.append(_condition(s, result, phrase if inside else rng.choice(say.SAID_VALUES), several.look, plan))
        return chain(rng, s.world, said), plan
    for n in range(rng.choice((1, 1, 2))):
        spoken, part = s.use(result, phrase if inside and not n else rng.choice(say.SAID_VALUES))
        said.append(spoken)
        plan.add(part)
    if rng.random() < 0.15:
        plan.add({"say": result})
        said.append(rng.choice(say.TELLS).format(n=rng.choice(say.SAID_VALUES)))
    return chain(rng, s.world, said), plan


def _versus(s: Speaker) -> tuple[str, _Plan]:
    """Two values compared, and what hangs on it."""
    rng, plan = s.rng, _Plan()
    several = several_things(s, plan.add, 2)
    said: list[str] = []
    if rng.random() < 0.5:
        said.append(rng.choice(("compare {l}", "look up {l}", "check {l}", "see {l}")).format(l=several.all(rng)))
    one, other = (several.each(rng, x) if rng.random() < 0.7 or not said else x for x in several.xs)
    said.append(_condition(s, several.numbers[0], one, several.look, plan, (several.numbers[1], other)))
    return chain(rng, s.world, said), plan


def _ranked(s: Speaker) -> tuple[str, _Plan]:
    """The best of several by an attribute: its name, its value or both go into what is done next."""
    rng, plan = s.rng, _Plan()
    several = several_things(s, plan.add)
    largest = rng.random() < 0.5
    which = "largest" if largest else "smallest"
    word, phrase = several.best(rng, largest)
    names = [x for pair in zip(several.numbers, several.xs, strict=True) for x in pair]
    wanted = rng.choice((("name",), ("name",), ("value",), ("name", "value"), ("name", "value")))
    known = {}
    if "name" in wanted:
        known["name"] = f"{{{plan.add({'compute': f'name of the {which}', 'of': names})}}}"
    if "value" in wanted:
        known["value"] = f"{{{plan.add({'compute': which, 'of': several.numbers})}}}"
        if wanted == ("value",):
            phrase = rng.choice(say.BEST_VALUE).format(w=word, a=several.attribute, l=several.listed(rng))
    a = several.attribute
    words = {
        "name": tuple(n.format(word=word) for n in say.SAID_NAMES),
        "value": (*say.SAID_VALUES, f"that {a}", f"its {a}", f"its {a}", f"the {word} {a}", f"the {a}"),
    }
    inside = rng.random() < 0.25 and not phrase.startswith("which")
    said = [] if inside else [rng.choice(("compare {n}", "find {n}", *say.FINDS)).format(n=phrase)]
    if len(known) == 2 and rng.random() < 0.5:
        spoken, part = s.use_both(
            known["name"], known["value"], rng.choice(words["name"]), rng.choice(words["value"][-5:])
        )
        plan.add(part)
        return chain(rng, s.world, [*([phrase] if inside else said), spoken]), plan
    for n, (sort, result) in enumerate(known.items()):
        spoken, part = s.use(result, phrase if inside and not n else rng.choice(words[sort]))
        said.append(spoken)
        plan.add(part)
    if rng.random() < 0.15:
        sort = rng.choice(list(known))
        plan.add({"say": known[sort]})
        said.append(rng.choice(say.TELLS).format(n=rng.choice(words[sort])))
    return chain(rng, s.world, said), plan


def _known(s: Speaker) -> tuple[str, _Plan]:
    """The goals that the embedded model itself learned to split; those with a condition have another plan here."""
    for _ in range(8):
        goal, parts = composition(s.rng, s.world, s.all)
        if not any(" if " in f" {p}" or "otherwise" in p or "else" in p or "when " in p for p in parts):
            return goal, _Plan(list(parts))
    raise NotPossible("conditions only")


def _single(s: Speaker) -> tuple[str, _Plan]:
    goal = s.instance(s.all).goal
    return goal, _Plan([goal])


def _joined(s: Speaker) -> tuple[str, _Plan]:
    joined = draw_joined(s.rng, s.world, carried=s.rng.random() < 0.5, templates=s.all)
    return joined.goal, _Plan(list(joined.parts))


def _written(s: Speaker) -> tuple[str, _Plan]:
    """One of the scenes written by hand."""
    goal, parts = told(s, s.rng.choice(scenes_of("train")))
    return goal, _Plan(parts)


def _held_out(s: Speaker) -> tuple[str, _Plan]:
    goal, parts = told(s, s.rng.choice(scenes_of("dev")))
    return goal, _Plan(parts)


_KINDS = (
    (_written, 160),
    (_single, 10),
    (_joined, 6),
    (_known, 12),
    (_side_by_side, 20),
    (_shared_verb, 7),
    (_carried, 15),
    (_conditional, 15),
    (_summed, 12),
    (_versus, 6),
    (_ranked, 14),
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
