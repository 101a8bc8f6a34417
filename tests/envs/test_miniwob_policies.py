"""Chance and the oracle, judged by the pages' own rewards; suites whose splits share no seed."""

import pytest

from homeostat import actions as a
from homeostat.envs.harness import load_suite
from homeostat.envs.miniwob import (
    CLICK,
    ORACLES,
    RandomPolicy,
    oracle_policy,
    play,
    task_names,
)
from homeostat.envs.miniwob.fit import Fit
from homeostat.envs.miniwob.oracle import View
from homeostat.errors import EnvError, UnknownName


def test_the_oracle_earns_every_task_s_whole_reward(web):
    assert len(ORACLES) >= 25
    assert set(ORACLES) <= set(task_names())
    played = {task: play(web, oracle_policy, task, 0) for task in ORACLES}
    assert {task: p for task, p in played.items() if p.reward != 1 or not p.success} == {}


def test_the_oracle_says_what_it_does_not_know(web):
    web.reset_task("tic-tac-toe", seed=0)
    with pytest.raises(UnknownName, match="oracle 'tic-tac-toe'"):
        oracle_policy(web)
    lost = View('Click on the "no" button.', (), (), Fit((160, 210), (160, 210)))
    with pytest.raises(EnvError, match="nothing on the page fits"):
        ORACLES["click-button"](lost)


def test_chance_is_the_same_for_the_same_seed_and_clicks_what_can_be_clicked(web):
    clicks = []
    for _ in range(2):
        policy = RandomPolicy(3)
        web.reset_task("click-button", seed=1)
        clicks.append([policy(web) for _ in range(20)])
    assert clicks[0] == clicks[1]
    boxes = [e.box for e in web.observe().elements if e.role in ("button", "field")]
    for click in clicks[0]:
        x, y = click.point
        assert any(left <= x <= right and top <= y <= bottom for left, top, right, bottom in boxes)
    assert play(web, RandomPolicy(0), "click-test", 0).success
    web.reset_task("tic-tac-toe", seed=0)
    assert isinstance(RandomPolicy(0)(web), a.Click)


def test_a_policy_that_gives_up_is_told(web):
    def lost(env):
        raise EnvError("I am lost")

    played = play(web, lost, "click-test", 0)
    assert (played.success, played.steps, played.failure) == (False, 0, "I am lost")


def test_splits_share_no_seed_and_suites_name_all_that_they_say(chromium):
    cases = {split: load_suite("miniwob", split=split, episodes=300, seed=1).cases() for split in SPLITS}
    seeds = {split: {c.seed for c in found} for split, found in cases.items()}
    assert max(seeds["train"]) < min(seeds["dev"]) <= max(seeds["dev"]) < min(seeds["test"])
    assert {c.task for c in cases["test"][:128]} == set(task_names())
    assert set(load_suite("miniwob-click").task_names()) == set(CLICK)
    assert set(load_suite("miniwob-oracle").task_names()) == set(ORACLES)


SPLITS = ("train", "dev", "test")
