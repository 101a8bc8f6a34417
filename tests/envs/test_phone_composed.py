"""Compositional tasks: solvable, exact, and with a check for every subtask."""

import random
from collections import Counter
from statistics import mean
from string import Formatter

import pytest

from homeostat import actions as a
from homeostat.envs.phone import PhoneEnv
from homeostat.envs.phone.tasks.composed import COMPOSED
from homeostat.envs.phone.tasks.composed.core import OPERATIONS, Composed, Compute, Subtask
from homeostat.errors import ConfigError


def walk(env, stop=None):
    """Plays the oracle to the end, or until ``stop`` subtasks are done. Returns the checks after every step."""
    checks = [env.subtasks()]
    for _ in range(150):
        env.act(env.oracle())
        checks.append(env.subtasks())
        if env.status or (stop is not None and sum(checks[-1]) >= stop):
            break
    return checks


@pytest.mark.parametrize("name", COMPOSED)
def test_the_oracle_solves_it_and_every_subtask_is_seen_to_be_done(name):
    env = PhoneEnv(split="test", adverts=0)
    for seed in range(3):
        info = env.reset_task(name, seed=seed)
        checks = walk(env)
        assert env.success(), info.goal
        assert not any(checks[0])
        assert all(checks[-1])
        assert len(checks[-1]) == len(info.parts)
        notes = len(env.answers) - len(env.instance.told)
        assert env.steps - notes == info.optimal_steps
        done = [sum(c) for c in checks]
        assert done == sorted(done), "a subtask was undone on the way"


def test_there_are_a_hundred_in_three_kinds():
    assert Counter(t.kind for t in COMPOSED.values()) == {"concatenation": 40, "transition": 40, "deepdive": 20}


def test_every_template_has_its_own_phrasings_which_name_all_that_is_needed():
    goals = Counter(goal for t in COMPOSED.values() for goal in t.goals)
    assert max(goals.values()) == 1
    assert all(len(t.goals) >= 5 for t in COMPOSED.values())
    for t in COMPOSED.values():
        for goal in t.goals:
            missing = [k for k in t.draws if "{" + k + "}" not in goal]
            assert not missing, f"{t.name}: {goal!r} lacks {missing}"


def said(goal):
    """Returns the subtask and the slot of every placeholder of a phrasing."""
    return {tuple(name.split(".")) for _, name, _, _ in Formatter().parse(goal) if name and "." in name}


def test_every_phrasing_says_the_same_slots():
    for t in COMPOSED.values():
        slots = [said(goal) for goal in t.goals]
        assert all(s == slots[0] for s in slots), f"{t.name}: {[s ^ slots[0] for s in slots]}"


def test_goals_show_no_braces_and_only_words_of_the_split():
    env = PhoneEnv(split="test", adverts=0)
    for name in COMPOSED:
        goal = env.reset_task(name, seed=5).goal
        assert "{" not in goal
        assert goal == goal.lower()
        assert len(goal) <= 240


def test_long_enough():
    env = PhoneEnv(split="test", adverts=0)
    steps = [env.reset_task(name, seed=1).optimal_steps for name in COMPOSED]
    assert mean(steps) >= 14


def test_half_done_or_overdone_is_no_success():
    env = PhoneEnv(split="test", adverts=0)
    for name in list(COMPOSED)[::5]:
        info = env.reset_task(name, seed=3)
        walk(env, stop=len(info.parts) - 1)
        if not env.status:
            env.act(a.Terminate(status="success"))
            assert not env.success() or all(env.subtasks())
        env.reset_task(name, seed=3)
        walk(env)
        env.device.db.execute("insert into notes (title, body, pinned) values ('x', 'y', 'no')")
        assert not env.success(), "a side effect went unnoticed"


def test_both_branches_of_a_condition_occur_and_only_one_is_wanted():
    env = PhoneEnv(split="test", adverts=0)
    for name, template in COMPOSED.items():
        if not any(p.when for p in template.subtasks.values()):
            continue
        lengths = Counter()
        for seed in range(40):
            env.reset_task(name, seed=seed)
            lengths[tuple(i.template.name for i in env.instance.instances)] += 1
        assert len(lengths) == 2 or len({p.template for p in template.subtasks.values() if p.when}) == 1, name


def test_computations():
    assert OPERATIONS["sum"]("$12", "$30") == "$42"
    assert OPERATIONS["sum"]("5kb", "900kb", "95kb") == "1000kb"
    assert OPERATIONS["difference"]("$5", "$12") == "$7"
    assert OPERATIONS["smallest"]("10:05", "09:55", "23:00") == "09:55"
    assert OPERATIONS["largest"]("$9", "$10") == "$10"
    assert OPERATIONS["name of the smallest"]("$9", "tea", "$10", "coffee") == "tea"
    assert OPERATIONS["name of the largest"]("$9", "tea", "$10", "coffee") == "coffee"
    assert OPERATIONS["above"]("$9", "$10") == "no"
    assert OPERATIONS["below"]("$9", "$10") == "yes"
    assert OPERATIONS["equal"]("fun", "fun") == "yes"


def test_a_malformed_template_is_refused_by_name():
    part = {"a": Subtask("notes_read"), "b": Subtask("tasks_add", {"title": "c"})}
    with pytest.raises(ConfigError, match=r"'odd' has the source 'c'"):
        Composed("odd", "transition", part, ("{a.title}",))
    with pytest.raises(ConfigError, match=r"computes 'product'"):
        Composed("odd", "deepdive", {"a": Subtask("notes_read")}, (), {"x": Compute("product", ("a",))})
    with pytest.raises(ConfigError, match=r"condition 'rich'"):
        Composed("odd", "deepdive", {"a": Subtask("notes_read", when="rich")}, ())


def test_an_episode_goes_on_from_a_snapshot():
    rng = random.Random(0)
    for name in rng.sample(list(COMPOSED), 8):
        env = PhoneEnv(split="test", adverts=0)
        env.reset_task(name, seed=2)
        walk(env, stop=1)
        other = PhoneEnv(split="train")
        other.restore(env.snapshot())
        assert other.subtasks() == env.subtasks()
        assert (other.observe().screenshot == env.observe().screenshot).all()
        walk(other)
        assert other.success(), name
