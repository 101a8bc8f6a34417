"""Invented apps: the oracle solves every template, and none of the words is held out."""

import random

import pytest

from homeostat import actions as a
from homeostat.envs.phone.apps import APPS
from homeostat.envs.phone.tasks import TEMPLATES
from homeostat.envs.phone.tasks.base import NotPossible
from homeostat.envs.phone.tasks.fill import fill
from homeostat.envs.phone.tasks.instance import draw
from homeostat.envs.phone.tasks.words import is_drawn, split_of
from homeostat.nano.data.invented_apps import inventions

MOST = 30


@pytest.mark.parametrize("number", range(0, 600, 12))
def test_the_oracle_does_every_task_of_an_invented_app(number):
    invention = inventions(0)[number]
    rng, done = random.Random(number), 0
    for template in invention.templates.values():
        world = fill(rng, "train")
        world.device.install(invention.app)
        invention.fill(world.device.db, world.words)
        try:
            task = draw(template, world)
        except NotPossible:
            continue
        assert not task.reached(world.device, ()), task.goal
        answers = list[str]()
        for _ in range(MOST):
            action = task.oracle(world.device, answers)
            if isinstance(action, a.Terminate):
                break
            if isinstance(action, a.Answer):
                answers.append(action.text)
            world.device.act(action)
        assert task.reached(world.device, answers), task.goal
        assert "{" not in task.goal
        done += 1
    assert done or not invention.templates


def test_inventions_are_always_the_same_and_differ_from_one_another():
    inventions.cache_clear()
    first = [i.app.name for i in inventions(0)]
    inventions.cache_clear()
    assert [i.app.name for i in inventions(0)] == first
    assert len({i.app.table for i in inventions(0)}) == len(first)
    assert not set(first) & set(APPS)


def test_no_word_of_an_invented_app_is_held_out():
    for invention in inventions(0):
        labels = [f.name for f in invention.app.fields if f.name != "inbox"]
        for word in (invention.app.one, *labels):
            assert not is_drawn(word) or split_of(word) == "train", word
        assert not set(invention.templates) & set(TEMPLATES)


def test_all_kinds_of_templates_come_about():
    names = {name.partition("_")[2] for i in inventions(0) for name in i.templates}
    for kind in ("add", "delete", "rename", "box_read", "press", "read", "change", "choose"):
        assert any(name.startswith(kind) for name in names), kind
    assert sum(len(i.templates) for i in inventions(0)) > 3000
