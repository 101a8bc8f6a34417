"""``homeostat adb``: a phone that is served until Ctrl-C, and judged then."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner

from homeostat.cli.root import app
from homeostat.envs.phone import PhoneEnv

SERVE = [sys.executable, "-c", "from homeostat.cli.root import main; main()", "adb"]


Served = tuple[subprocess.Popen[str], list[str], str]


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Starts the command: the process, its first lines, and the address in them."""
    running: list[subprocess.Popen[str]] = []

    def start(*options: str) -> Served:
        process = subprocess.Popen([*SERVE, "--port", "0", *options], stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line.rstrip())
            if line.startswith("Ctrl-C"):
                break
        found = re.search(r"adb connect (\S+)", "\n".join(lines))
        assert found, lines
        return process, lines, found[1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


def stopped(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return said


def test_a_task_is_served_driven_and_judged(serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("adb") is None:
        pytest.skip("no adb on this machine")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(probe.getsockname()[1]))
    env = PhoneEnv("settings_turn_on")
    goal = env.reset_task(seed=4).goal
    process, lines, address = serve("--task", "settings_turn_on", "--seed", "4", "--scale", "2")
    try:
        assert lines[0].startswith("a phone of 288×512 pixels")
        assert lines[1] == f"goal: {goal}"
        subprocess.run(["adb", "connect", address], check=True, capture_output=True, timeout=60)
        for line in ("am start -n org.homeostat.settings/.MainActivity", "input tap 20 80"):
            subprocess.run(["adb", "-s", address, "shell", line], check=True, capture_output=True, timeout=60)
    finally:
        subprocess.run(["adb", "kill-server"], check=False, capture_output=True, timeout=60)
        said = stopped(process)
    assert said.startswith("not solved: settings_turn_on after 2 actions")


def test_a_task_that_is_done_over_adb_is_solved(serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("adb") is None:
        pytest.skip("no adb on this machine")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(probe.getsockname()[1]))
    process, lines, address = serve("--task", "phone_open", "--seed", "1")
    try:
        app = re.findall(r"\w+", lines[1])[-2]
        assert lines[1] == f"goal: go to the {app} app"
        subprocess.run(["adb", "connect", address], check=True, capture_output=True, timeout=60)
        start = ["adb", "-s", address, "shell", "am", "start", "-n", f"org.homeostat.{app}/.MainActivity"]
        subprocess.run(start, check=True, capture_output=True, timeout=60)
    finally:
        subprocess.run(["adb", "kill-server"], check=False, capture_output=True, timeout=60)
    assert stopped(process).startswith("solved: phone_open after 1 actions (optimal: 2)")


def test_a_free_phone_has_no_verdict(serve: Callable[..., Served]) -> None:
    process, lines, _ = serve()
    assert [x for x in lines if x.startswith("goal")] == []
    assert stopped(process) == ""


def test_what_can_not_be_served_is_one_line() -> None:
    for options, says in (
        (["--task", "notes_ad"], "did you mean 'notes_add'"),
        (["--host", "203.0.113.1", "--port", "0", "--token", "a-long-token"], "can't listen on '203.0.113.1:0'"),
        (["--host", "0.0.0.0", "--port", "0"], "give a token (--token)"),
        (["--token", "short"], "the token has 5 characters"),
        (["--split", "tset"], "unknown split 'tset'"),
    ):
        done = CliRunner().invoke(app, ["adb", *options])
        assert done.exit_code == 2
        assert says in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_phone_that_other_machines_reach_is_served_with_a_warning() -> None:
    words = [*SERVE, "--port", "0", "--host", "0.0.0.0", "--token", "open-sesame"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        assert lines[1] == "then, once for each connection: adb shell auth TOKEN\n"
        process.send_signal(signal.SIGINT)
        said, warned = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert warned.startswith("warning: other machines can reach 0.0.0.0:")
    assert len(warned.splitlines()) == 1
    assert "open-sesame" not in "".join(lines) + said + warned
