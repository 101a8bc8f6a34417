"""The loop on a phone behind the real adb: the embedded model sees and acts through the stock client alone."""

import os
import shutil
import socket
import subprocess

import pytest

from homeostat.agent import Agent, TransformersModel
from homeostat.envs.adb import PhoneDaemon
from homeostat.envs.harness import make_env
from homeostat.envs.phone import PhoneEnv

pytest.importorskip("adbutils", reason="no adbutils")


@pytest.fixture
def private_server(monkeypatch):
    """An adb server that is nobody else's."""
    if shutil.which("adb") is None:
        pytest.skip("no adb on this machine")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(probe.getsockname()[1]))
    subprocess.run(["adb", "start-server"], check=True, capture_output=True, timeout=60)
    yield
    subprocess.run(["adb", "kill-server"], check=False, capture_output=True, timeout=60, env=dict(os.environ))


def test_nano_adds_a_note_over_adb(private_server, monkeypatch):
    phone = PhoneEnv(split="test", adverts=0)
    task = phone.reset_task("notes_add", seed=1)
    with PhoneDaemon(phone, scale=1) as daemon:
        monkeypatch.setenv("ANDROID_SERIAL", daemon.address)
        android = make_env("android")
        android.settle = 0
        android.check = lambda _: phone.success()
        android.goal = task.goal
        episode = Agent(TransformersModel.load("homeostat/nano")).run(android.reset_task(seed=1), android)
    assert episode.success, episode
    assert episode.steps == task.optimal_steps
