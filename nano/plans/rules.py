"""Goals made by rule, with their plans: independent subtasks, carried values, conditions, sums and comparisons.

A goal is worded more loosely than its plan's subtasks. Words are left out, moved or shared between subtasks, and the
planner has to restore them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from homeostat.envs.phone.tasks.base import NotPossible
from homeostat.nano.plans import phrases as say
from homeostat.nano.plans.several import several as several_things
from homeostat.nano.plans.speech import Speaker, chain, enumerated

__all__ = ["MadePlan", "carried", "conditional", "ranked", "shared_verb", "side_by_side", "summed", "versus"]


@dataclass
class MadePlan:
    """A plan in the making.

    Attributes:
        parts: The subtasks so far: texts, or mappings as in the plan's JSON.
    """

    parts: list[Any] = field(default_factory=list)

    def add(self, part: Any, when: str = "") -> int:
        """Appends a subtask.

        Args:
            part: A text, or a mapping as in the plan's JSON.
            when: The condition under which the subtask is done; "" for always.

        Returns:
            The subtask's number, from 1.
        """
        if when:
            part = {"instruction": part, "when": when}
        self.parts.append(part)
        return len(self.parts)


def side_by_side(s: Speaker) -> tuple[str, MadePlan]:
    """Makes a goal of two to four independent tasks.

    Args:
        s: Draws tasks and values, and words them.

    Returns:
        The goal and its plan.

    Raises:
        NotPossible: If this phone's content does not allow it.
    """
    plan, said = MadePlan(), []
    for _ in range(s.rng.choice((2, 3, 3, 3, 4, 4))):
        spoken, part = s.task(s.all if s.rng.random() < 0.3 else None)
        said.append(spoken)
        plan.add(part)
    return chain(s.rng, s.world, said), plan


def shared_verb(s: Speaker) -> tuple[str, MadePlan]:
    """Makes a goal of several tasks with the same verb, which is said once.

    Args:
        s: Draws tasks and values, and words them.

    Returns:
        The goal and its plan.

    Raises:
        NotPossible: If this phone's content does not allow it.
    """
    pairs = [s.task()[1] for _ in range(24)]
    by_verb: dict[str, list[str]] = {}
    for part in dict.fromkeys(pairs):
        by_verb.setdefault(part.split()[0], []).append(part)
    groups = [g for g in by_verb.values() if len(g) > 1]
    if not groups:
        raise NotPossible("no two tasks have the same verb")
    parts = s.rng.choice(groups)[: s.rng.choice((2, 3, 3))]
    verb = parts[0].split()[0]
    things = [p.removeprefix(f"{verb} ") for p in parts]
    plan = MadePlan(list(parts))
    both = "both" if len(parts) == 2 else s.rng.choice(("all three", "all of them", "them all", "each of them"))
    listed = enumerated(s.rng, things)
    forms = ("{v} {l}", "{l}: {v} {b}", "{v} these: {l}", "please {v} {l}", "{l}, {v} {b}", "i want to {v} {l}")
    text = s.rng.choice(forms).format(v=verb, l=listed, b=both)
    if s.rng.random() < 0.4:
        spoken, part = s.task()
        plan.add(part)
        text = chain(s.rng, s.world, [text, spoken])
    return text, plan


def carried(s: Speaker) -> tuple[str, MadePlan]:
    """Makes a goal that looks up a value and uses it later.

    Args:
        s: Draws tasks and values, and words them.

    Returns:
        The goal and its plan.

    Raises:
        NotPossible: If this phone's content does not allow it.
    """
    rng, plan = s.rng, MadePlan()
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


def _condition(
    s: Speaker, value: str, noun: str, look: str, plan: MadePlan, other: tuple[str, str] | None = None
) -> str:
    """Adds a condition on ``value`` and its subtasks to the plan; returns the sentence, with ``noun`` for the value."""
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


def conditional(s: Speaker) -> tuple[str, MadePlan]:
    """Makes a goal in which a condition on a looked-up value decides what is done.

    Args:
        s: Draws tasks and values, and words them.

    Returns:
        The goal and its plan.

    Raises:
        NotPossible: If this phone's content does not allow it.
    """
    rng, plan = s.rng, MadePlan()
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


def summed(s: Speaker) -> tuple[str, MadePlan]:
    """Makes a goal that uses the sum or the difference of several values.

    Args:
        s: Draws tasks and values, and words them.

    Returns:
        The goal and its plan.

    Raises:
        NotPossible: If this phone's content does not allow it.
    """
    rng, plan = s.rng, MadePlan()
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


def versus(s: Speaker) -> tuple[str, MadePlan]:
    """Makes a goal in which a comparison of two values decides what is done.

    Args:
        s: Draws tasks and values, and words them.

    Returns:
        The goal and its plan.

    Raises:
        NotPossible: If this phone's content does not allow it.
    """
    rng, plan = s.rng, MadePlan()
    several = several_things(s, plan.add, 2)
    said: list[str] = []
    if rng.random() < 0.5:
        said.append(rng.choice(("compare {l}", "look up {l}", "check {l}", "see {l}")).format(l=several.all(rng)))
    one, other = (several.each(rng, x) if rng.random() < 0.7 or not said else x for x in several.xs)
    said.append(_condition(s, several.numbers[0], one, several.look, plan, (several.numbers[1], other)))
    return chain(rng, s.world, said), plan


def ranked(s: Speaker) -> tuple[str, MadePlan]:
    """Makes a goal that uses the name or the value of the thing that is largest or smallest in an attribute.

    Args:
        s: Draws tasks and values, and words them.

    Returns:
        The goal and its plan.

    Raises:
        NotPossible: If this phone's content does not allow it.
    """
    rng, plan = s.rng, MadePlan()
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
