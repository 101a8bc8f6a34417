"""Which environments can be put back, so that an interrupted action can be carried out again."""

import numpy as np
import pytest

from homeostat import actions as a
from homeostat.envs.android.env import AndroidEnv
from homeostat.envs.android.inside import WorldEnv
from homeostat.envs.core import Restoring
from homeostat.envs.miniwob.env import MiniWobEnv
from homeostat.envs.phone import PhoneEnv
from homeostat.envs.phone.adversity import adverse
from homeostat.envs.phone.recordings import RecordingEnv


@pytest.mark.parametrize(
    ("kind", "restores"),
    [(PhoneEnv, True), (MiniWobEnv, True), (RecordingEnv, True), (AndroidEnv, False), (WorldEnv, False)],
)
def test_a_simulator_can_be_put_back_and_a_device_can_not(kind, restores):
    assert kind.restores is restores


def test_an_action_done_after_the_snapshot_is_undone_by_restore():
    env = adverse(PhoneEnv("clock_add_alarm"), {"popups": True, "latency": True, "shuffled": True})
    assert isinstance(env, Restoring)
    assert env.restores
    env.reset_task(seed=3)
    env.act(env.oracle())
    before, kept = env.observe(), env.snapshot()
    action = env.oracle()
    env.act(action)
    once, done = env.observe(), env.snapshot()
    env.restore(kept)
    assert np.array_equal(env.observe().screenshot, before.screenshot)
    env.act(action)
    assert env.snapshot() == done
    assert np.array_equal(env.observe().screenshot, once.screenshot)


def test_a_recording_is_put_back():
    env = RecordingEnv()
    env.reset_task(seed=1)
    kept = env.snapshot()
    env.act(a.Terminate(status="failure"))
    env.restore(kept)
    assert env.ended == ""
    assert env.steps == 0
