"""Suites: the shipped ones stay what they are, files are checked key by key."""

from __future__ import annotations

import hashlib
import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from homeostat.envs.harness import Case, load_suite, make_env, random_case, suite_names
from homeostat.errors import ConfigError, UnknownName

# Of 300 episodes each, as they were before suites were files: published figures must stay reproducible.
PINNED = {
    ("atomic", "train", 0): "68ee453b1dee2598",
    ("atomic", "dev", 0): "4776e8804a2001aa",
    ("atomic", "test", 0): "8e133065380f4a0c",
    ("atomic", "test", 1): "508fe02c82ceb1cb",
    ("joined", "train", 0): "7f9029344fb1f89e",
    ("joined", "dev", 2): "b88c231602b93278",
    ("joined", "test", 0): "bf7e9b14ae64c5bf",
    ("joined", "test", 1): "3cbe0ea0cf32d0c0",
}


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def write(text: str, name: str = "mine.yaml") -> str:
        (tmp_path / name).write_text(text)
        return name

    return write


@pytest.mark.parametrize(("name", "split", "seed"), PINNED)
def test_the_shipped_suites_keep_their_episodes(name: str, split: str, seed: int) -> None:
    cases = load_suite(name, split=split, seed=seed, episodes=300).cases()
    digest = hashlib.sha256(json.dumps([(c.task, c.seed) for c in cases]).encode()).hexdigest()
    assert digest[:16] == PINNED[name, split, seed]


def test_the_first_episodes_by_name() -> None:
    assert load_suite("atomic", seed=0, episodes=3).cases() == [
        Case("settings_volume", 884995180),
        Case("clock_add_alarm", 789884015),
        Case("settings_bright", 1302863660),
    ]
    assert load_suite("joined", seed=1, episodes=2).cases() == [
        Case("joined_plain", 1724442973),
        Case("joined_carried", 1356075910),
    ]
    assert random_case("phone", 0) == load_suite("atomic", seed=0).cases()[0]


def test_more_episodes_go_on_after_the_same_ones() -> None:
    long = load_suite("atomic", seed=7, episodes=130).cases()
    assert load_suite("atomic", seed=7, episodes=30).cases() == long[:30]
    assert load_suite("atomic", seed=8, episodes=130).cases() != long
    assert len({c.task for c in long}) == 60


def test_every_shipped_suite_loads() -> None:
    assert set(suite_names()) >= {"atomic", "joined"}
    installed = find_spec("agentdojo") is not None
    for name in suite_names():
        if name.startswith("agentdojo") and not installed:
            continue
        suite = load_suite(name)
        assert suite.name == name
        assert len(suite.cases()) == suite.episodes


def test_a_file_says_everything_and_options_override_it(write) -> None:
    path = write(
        "tasks: [clock_*, notes_add, clock_timer]\nsplit: dev\nepisodes: 9\nseed: 3\ncontrollers: default\n"
        "options: {adverts: 0.0, scale: 2}\nlimits: {max_steps: 12, seconds: 60}\n"
    )
    suite = load_suite(path)
    assert (suite.name, suite.split, suite.seed, suite.controllers) == ("mine", "dev", 3, "default")
    assert suite.limits.max_steps == 12
    tasks = suite.task_names()
    assert tasks[-1] == "notes_add"
    assert len(tasks) == len(set(tasks)) == 8
    assert len(suite.cases()) == 9
    changed = load_suite(path, seed=4, episodes=2, controllers=None)
    assert (changed.seed, changed.episodes, changed.controllers) == (4, 2, "default")
    assert changed.cases() != suite.cases()[:2]
    env = make_env(suite.env, suite.split, suite.options)
    env.reset_task("clock_timer", seed=1)
    assert env.observe().screenshot.shape == (512, 288, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tasks: [clock_timer]\nepisods: 3", "suite file 'mine.yaml': unknown key 'episods'; did you mean 'episodes'"),
        ("tasks: [clock_timr]", "suite file 'mine.yaml': tasks: unknown task 'clock_timr'; did you mean 'clock_timer'"),
        ("tasks: [clok_*]", "suite file 'mine.yaml': tasks: 'clok_*' matches no task of env 'phone'"),
        ("tasks: [clock_timer]\nenv: fone", "suite file 'mine.yaml': env: unknown env 'fone'; did you mean 'phone'"),
        ("tasks: [clock_timer]\nsplit: tset", "suite file 'mine.yaml': unknown split 'tset'; did you mean 'test'"),
        ("tasks: [clock_timer]\noptions: {advert: 1}", "options: unknown option 'advert'; did you mean 'adverts'"),
        ("tasks: [clock_timer]\noptions: {scale: big}", "options: option 'scale' is 'big': Input should be"),
        ("tasks: [clock_timer]\nlimits: {steps: 3}", "unknown key 'steps'; did you mean 'max_steps'"),
        ("tasks: [clock_timer]\nepisodes: 0", "episodes is 0: Input should be greater than or equal to 1"),
        ("tasks: [clock_timer]\nepisodes: '3'", "episodes is '3': Input should be a valid integer"),
        ("tasks: []", "tasks is []"),
        ("episodes: 3", "suite file 'mine.yaml': key 'tasks' is missing; add it"),
        ("- a", "suite file 'mine.yaml' holds ['a']; write a mapping"),
        ("tasks: [a\nb: 1", "suite file 'mine.yaml': line 2:"),
    ],
)
def test_a_mistake_in_a_file_is_named_with_its_key_and_its_fix(text: str, message: str, write) -> None:
    with pytest.raises(ConfigError) as error:
        load_suite(write(text))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_names_that_are_no_suite(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'atomic'"):
        load_suite("atomics")
    with pytest.raises(ConfigError, match="can't be read"):
        load_suite(str(tmp_path / "none.yaml"))
    with pytest.raises(UnknownName, match="unknown split 'exam'"):
        load_suite("atomic", split="exam")
    with pytest.raises(ConfigError, match="episodes is 0"):
        load_suite("atomic", episodes=0)
    with pytest.raises(UnknownName, match="unknown env 'fone'"):
        make_env("fone")
