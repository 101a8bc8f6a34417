"""A private adb server, so that nobody's own is touched, and a daemon to reach through it."""

import os
import shutil
import socket
import subprocess

import pytest

from homeostat.envs.adb import PhoneDaemon
from homeostat.envs.phone import PhoneEnv


@pytest.fixture(scope="session")
def adb_server():
    """The port of an adb server of our own."""
    if shutil.which("adb") is None:
        pytest.skip("no adb on this machine")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    before = os.environ.get("ANDROID_ADB_SERVER_PORT")
    os.environ["ANDROID_ADB_SERVER_PORT"] = str(port)
    subprocess.run(["adb", "start-server"], check=True, capture_output=True, timeout=60)
    yield port
    subprocess.run(["adb", "kill-server"], check=False, capture_output=True, timeout=60)
    if before is None:
        del os.environ["ANDROID_ADB_SERVER_PORT"]
    else:
        os.environ["ANDROID_ADB_SERVER_PORT"] = before


@pytest.fixture
def env():
    """A phone with a task."""
    env = PhoneEnv(split="test", adverts=0)
    env.reset_task("notes_add", seed=1)
    return env


@pytest.fixture
def daemon(env):
    """A daemon in front of it."""
    with PhoneDaemon(env, scale=2) as daemon:
        yield daemon


@pytest.fixture
def adb(adb_server, daemon):
    """The stock client, connected: ``adb("shell", "wm size")`` gives the finished process."""

    def run(*words, **options):
        return subprocess.run(
            ["adb", "-s", daemon.address, *words], capture_output=True, timeout=60, check=False, **options
        )

    subprocess.run(["adb", "connect", daemon.address], check=True, capture_output=True, timeout=60)
    yield run
    subprocess.run(["adb", "disconnect", daemon.address], check=False, capture_output=True, timeout=60)
