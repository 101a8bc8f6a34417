"""Templates, oracle, checks, vocabularies."""

import hashlib
import random

import pytest

from homeostat import actions as a
from homeostat.envs.phone import TEMPLATES, PhoneEnv
from homeostat.envs.phone.apps import APPS
from homeostat.envs.phone.env import JOINED
from homeostat.envs.phone.tasks import BASIC
from homeostat.envs.phone.tasks.base import NotPossible
from homeostat.envs.phone.tasks.fill import fill
from homeostat.envs.phone.tasks.instance import draw
from homeostat.envs.phone.tasks.oracle import cell
from homeostat.envs.phone.tasks.rules import RULES
from homeostat.envs.phone.tasks.words import NAMES, NOUNS, Words, split_of


def solve(env, info):
    for _ in range(info.max_steps):
        env.act(env.oracle())
        if env.status:
            break
    return env.success()


def test_there_are_forty_atomic_templates_with_several_phrasings():
    assert len(TEMPLATES) >= 40
    assert all(len(set(t.goals)) >= 4 for t in TEMPLATES.values())
    assert len({t.app for t in TEMPLATES.values()} - {"any"}) >= 8


@pytest.mark.parametrize("name", [*TEMPLATES, *JOINED])
def test_the_oracle_solves_every_task_in_its_stated_steps(name):
    env = PhoneEnv(split="test")
    for seed in range(4):
        info = env.reset_task(name, seed=seed)
        assert not env.success() or info.rules
        assert solve(env, info)
        assert env.steps == info.optimal_steps


def test_doing_nothing_or_doing_it_twice_is_not_success():
    env = PhoneEnv(adverts=0)
    for seed in range(20):
        info = env.reset_task("contacts_add", seed=seed)
        if not info.rules:
            break
    env.act(a.Terminate(status="success"))
    assert not env.success()
    env.reset_task("contacts_add", seed=seed)
    assert solve(env, info)
    snap = env.snapshot()
    env.restore(snap | {"status": None})
    assert env.success()
    env.device.db.execute(
        "insert into contacts (name, phone, star) select name, phone, star from contacts where id = 1"
    )
    assert not env.success()


def test_a_forbidden_task_wants_the_phone_left_alone():
    env = PhoneEnv(adverts=0)
    for seed in range(400):
        info = env.reset_task("notes_delete", seed=seed)
        if env.instance.forbidden:
            break
    assert any(r.text in info.rules and r.forbids(TEMPLATES["notes_delete"]) for r in RULES)
    env.act(a.Terminate(status="success"))
    assert not env.success()
    env.reset_task("notes_delete", seed=seed)
    env.act(a.Terminate(status="failure"))
    assert env.success()


def test_the_oracle_finds_its_way_from_anywhere():
    rng = random.Random(5)
    solved = 0
    for name, template in list(TEMPLATES.items())[::4]:
        world = fill(random.Random(name), "test", {template.app} & set(APPS))
        try:
            task = draw(template, world)
        except NotPossible:
            continue
        device, answers = world.device, []
        for _ in range(6):  # wander at random; only navigation, so that the task stays solvable
            taps = [p for p in device.placed() if p.runs and (p.widget.tap or [""])[0] in ("go", "launch", "back")]
            if taps and not device.dialog:
                device.act(a.Click(point=cell(*rng.choice(taps).anchor)))
        for _ in range(40):
            action = task.oracle(device, answers)
            if isinstance(action, a.Terminate):
                break
            if isinstance(action, a.Answer):
                answers.append(action.text)
            device.act(action)
        assert task.reached(device, answers), name
        solved += 1
    assert solved >= 10


def test_vocabularies_share_no_word():
    words = {s: {w for w in NAMES + NOUNS if split_of(w) == s} for s in ("train", "dev", "test")}
    assert min(map(len, words.values())) > 30
    assert not (words["train"] & words["test"])
    assert not (words["train"] & words["dev"])
    assert not (words["dev"] & words["test"])
    train = Words(random.Random(0), "train")
    drawn = {train.noun() for _ in range(3000)} | {train.name() for _ in range(3000)}
    assert not drawn & (words["test"] | words["dev"])
    test = Words(random.Random(0), "test")
    assert {test.noun() for _ in range(500)} <= words["test"]


def test_goals_name_their_slots_words_of_the_split():
    env = PhoneEnv(split="test", adverts=0)
    info = env.reset_task("tasks_add", seed=1)
    title = env.instance.slots["title"]
    assert title in info.goal
    assert all(split_of(w) == "test" for w in title.split())


def test_on_the_whole_phone_nothing_is_called_like_a_further_app():
    more = set(APPS) - set(PhoneEnv().device.apps)
    for seed in range(30):
        db = fill(random.Random(seed), "train", APPS).device.db
        tables = [t for (t,) in db.execute("select name from sqlite_master where type = 'table'")]
        for table in tables:
            if table != "notifications":
                words = {w for row in db.execute(f"select * from {table}") for v in row for w in str(v).split()}
                assert not words & more, table


def test_the_basic_phone_stays_what_the_embedded_model_was_measured_on():
    """Further apps changed neither the goals, rules and steps of the basic phone nor any element of its screens."""
    env, digest = PhoneEnv(split="test"), hashlib.sha256()
    for n, name in enumerate([*BASIC, *JOINED]):
        info = env.reset_task(name, seed=n)
        seen = [(e.role, e.text, e.box) for e in env.observe().elements]
        digest.update(repr((name, info.goal, info.rules, info.parts, info.optimal_steps, seen)).encode())
    assert digest.hexdigest()[:16] == "9867f4c5244ba4b4"
