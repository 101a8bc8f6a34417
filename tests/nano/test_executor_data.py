"""The executor's training data: only training templates and words, and correct answers."""

import json
import random
import re
from itertools import islice

from homeostat.envs.phone.apps import APPS
from homeostat.envs.phone.tasks import TEMPLATES
from homeostat.envs.phone.tasks.base import NotPossible
from homeostat.envs.phone.tasks.composed import COMPOSED
from homeostat.envs.phone.tasks.fill import fill
from homeostat.envs.phone.tasks.instance import draw
from homeostat.envs.phone.tasks.splits import templates_of
from homeostat.nano.data.invented_apps import inventions
from homeostat.nano.data.mix import Mix
from homeostat.nano.data.planner_questions import plan_examples
from homeostat.nano.data.rewording import conditional, loosely
from homeostat.nano.data.screens import screen_examples
from homeostat.nano.style import STYLE


def pattern(goal):
    """A regular expression that matches a phrasing with any values in its slots."""
    return "".join("[a-z0-9$:.+*/ -]+?" if i % 2 else re.escape(p) for i, p in enumerate(re.split(r"(\{\w+\})", goal)))


def goal_of(question):
    return next(p.text for m in question.prompt.messages for p in m.parts if p.label == "goal").removeprefix("goal: ")


def says(templates, text):
    for goal in (goal for t in templates.values() for goal in t.goals):
        if all(piece in text for piece in re.split(r"\{\w+\}", goal)) and re.fullmatch(pattern(goal), text):
            return True
    return False


def test_no_goal_is_a_held_out_template_s():
    held, train = templates_of("dev") | templates_of("test"), templates_of("train")
    asked = acts(Mix(joined=0, conditional=0, loose=0, invented=0), 120)
    planned = list(islice(plan_examples(random.Random(6), STYLE), 300))
    parts = [part for q in planned for part in json.loads(q.answer)["parts"]]
    assert len(asked) > 300
    assert not [goal for goal in asked if not says(train, goal)]
    assert not [text for text in (*asked, *parts) if says(held, text) and not says(train, text)]


def acts(mix, screens):
    examples = islice(screen_examples(random.Random(5), STYLE, mix), screens)
    return [goal_of(q) for example in examples for q in example.questions if q.kind == "act"]


def test_a_goal_said_loosely_or_of_an_invented_app_is_no_held_out_one_either():
    held, train = templates_of("dev") | templates_of("test"), templates_of("train")
    invented = {f"{i.app.table} {n}": t for i in inventions(0) for n, t in i.templates.items()}
    asked = acts(Mix(joined=0, conditional=0, loose=0.5, invented=0.5), 150)
    own = [goal for goal in asked if says(invented, goal)]
    assert len(own) > 100
    assert sum(not says(train, goal) for goal in asked) > len(own) + 100
    assert not [goal for goal in asked if says(held, goal) and not says(train | invented, goal)]


def test_what_is_drawn_stays_word_for_word_in_a_goal_said_loosely():
    rng = random.Random(3)
    for template in templates_of("train").values():
        world = fill(rng, "train", APPS)
        try:
            task = draw(template, world)
        except NotPossible:
            continue
        said = loosely(rng, task)
        drawn = [v for k, v in task.slots.items() if f"{{{k}}}" in "".join(template.goals) and v in task.goal]
        assert all(value in said for value in drawn), (task.goal, said)


def test_no_long_goal_is_worded_like_a_compositional_template():
    wordings = [re.compile(pattern(re.sub(r"\.\w+\}", "}", goal))) for t in COMPOSED.values() for goal in t.goals]
    goals = [goal_of(q) for q in islice(plan_examples(random.Random(7), STYLE), 300)]
    assert not [goal for goal in goals if any(w.fullmatch(goal) for w in wordings)]


def test_parts_say_what_their_goal_says_and_only_the_first_answer_is_carried():
    seen = set()
    for question in islice(plan_examples(random.Random(8), STYLE), 400):
        goal, parts = goal_of(question), json.loads(question.answer)["parts"]
        seen.add(len(parts))
        assert "{1}" not in parts[0]
        assert not re.search(r"\{[^1]\}", "".join(parts))
        words = set(re.findall(r"[a-z0-9]+", goal))
        for part in parts:  # a subtask names only what the goal names
            made_up = set(re.findall(r"[a-z0-9]+", part.replace("{1}", ""))) - words
            assert made_up <= {"what", "is"}, (goal, part)
    assert {1, 2, 3, 4} <= seen


def test_a_condition_holds_for_the_task_that_the_oracle_does():
    rng, found = random.Random(9), 0
    plain = [t for t in templates_of("train").values() if t.answer is None and t.app != "any"]
    while found < 150:
        world = fill(rng, "train", APPS)
        try:
            mine, other = (draw(t, world) for t in rng.sample(plain, 2))
        except NotPossible:
            continue
        asked = conditional(rng, world, mine, other).goal
        body, other_goal = mine.goal.removeprefix("please ").removesuffix(" please"), other.goal
        value, relation, than = re.search(
            r"(?:if|when|should) (\S+) (?:is |be )?(above |more than |over )?(\S+?)(?:,| |$)", asked
        ).groups()
        number = [int(v.lstrip("$")) if v.lstrip("$").isdigit() else None for v in (value, than)]
        holds = number[0] > number[1] if relation else value == than
        mine_first = asked.index(body) < asked.index(other_goal.removeprefix("please ").removesuffix(" please"))
        assert mine_first is holds, asked
        found += 1


def test_training_reaches_every_app():
    apps = {
        q.answer.split('"text": "')[1].split('"')[0]
        for e in islice(screen_examples(random.Random(10), STYLE, Mix()), 400)
        for q in e.questions
        if '"open", "text"' in q.answer
    }
    assert {t.app for t in TEMPLATES.values()} - {"any"} <= apps
