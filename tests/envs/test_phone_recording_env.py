"""Recordings as an environment: one question, one answer, judged by the facts of the recording."""

import json
import random

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from homeostat import actions as a
from homeostat.envs.core import Env
from homeostat.envs.harness import load_suite
from homeostat.envs.harness.policies import PolicyRunner
from homeostat.envs.harness.runner import Case
from homeostat.envs.phone.recordings import QUESTION_KINDS, RecordingEnv, recording_question
from homeostat.envs.phone.recordings.env import task_names
from homeostat.errors import ActionError, ConfigError, UnknownName


@pytest.fixture(scope="module")
def env():
    return RecordingEnv(split="dev")


@pytest.mark.parametrize("kind", QUESTION_KINDS)
def test_the_right_option_ends_the_episode_with_success_and_every_other_without(env, kind):
    question = recording_question("dev", kind, 5)
    for n, option in enumerate(question.options):
        for said in (option, f" {option.upper()}.", "abcd"[n], f"({'abcd'[n]})"):
            info = env.reset_task(f"recording_{kind}", seed=5)
            assert all(o in info.goal for o in question.options)
            assert not env.success()
            env.act(a.Answer(text=said))
            assert env.ended
            assert env.success() is (n == question.answer)
    seen = env.observe()
    assert len(seen.frames) == len(question.recording.frames)
    assert all(np.array_equal(x, y) for x, y in zip(seen.frames, question.recording.frames, strict=True))
    assert np.array_equal(seen.screenshot, seen.frames[-1])


def test_it_keeps_the_contracts(env):
    assert isinstance(env, Env)
    check_env(RecordingEnv("recording_value", split="dev"), skip_render_check=True)
    env.reset_task("recording_count", seed=3)
    with pytest.raises(ActionError, match="'click' does nothing to a recording; answer the question"):
        env.act(a.Click(point=(0.5, 0.5)))
    assert (env.steps, env.ended) == (0, "")
    env.act(a.Answer(text="nothing of the kind"))
    other = RecordingEnv(split="test")
    other.restore(json.loads(json.dumps(env.snapshot())))
    assert (other.info, other.ended, other.success()) == (env.info, env.ended, False)
    with pytest.raises(ActionError, match="after the end"):
        other.act(a.Answer(text="again"))


def test_a_longer_recording_is_thinned_with_its_first_and_last_frame():
    whole, few = RecordingEnv(split="dev"), RecordingEnv(split="dev", most=8)
    seed = next(s for s in range(99) if len(recording_question("dev", "order", s).recording.frames) > 10)
    for env in (whole, few):
        env.reset_task("recording_order", seed=seed)
    many, kept = whole.observe().frames, few.observe().frames
    assert len(many) > 8 == len(kept)
    assert np.array_equal(kept[0], many[0])
    assert np.array_equal(kept[-1], many[-1])


def test_the_oracle_is_always_right_and_chance_one_time_in_four():
    oracle, chance = (PolicyRunner(policy, "recording", "dev") for policy in ("oracle", "random"))
    cases = [Case(task, seed) for task in task_names() for seed in range(3)]
    assert all(oracle.run(n, case).success for n, case in enumerate(cases))
    env, rng = chance.env, random.Random(2)
    env.reset_task("recording_cause", seed=0)
    guesses = [env.guess(rng).text for _ in range(400)]
    assert set(guesses) == set(env.question.options)
    assert 60 <= guesses.count(env.oracle().text) <= 140
    assert chance.run(0, cases[0]).ended in ("success", "premature")


def test_the_suite_asks_every_kind():
    assert {case.task for case in load_suite("recording").cases()} == set(task_names())


def test_bad_settings_name_the_fix():
    with pytest.raises(UnknownName, match="recording_ordr"):
        RecordingEnv("recording_ordr")
    with pytest.raises(ConfigError, match="most 7 frames"):
        RecordingEnv(most=7)
    with pytest.raises(UnknownName, match="valid"):
        RecordingEnv(split="valid")
    with pytest.raises(UnknownName, match="colour"):
        recording_question("dev", "colour", 1)
