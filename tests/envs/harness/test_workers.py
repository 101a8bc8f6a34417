"""Episodes on Ray: killed workers lose nothing, hopeless episodes are given up, Ctrl-C keeps what there is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from homeostat.envs.harness import Case, Journal, RunnerSpec, evaluate, policy_spec
from homeostat.errors import ConfigError

pytest.importorskip("ray", reason="ray is not installed (pip install 'homeostat[harness]')")
psutil = pytest.importorskip("psutil", reason="psutil is not installed")


def playing() -> list[Any]:
    """This process's Ray workers that are in an episode now; Ray writes into a worker's title what it does."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            title = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if "ray::" in title and "Worker.run" in title:
            found.append(process)
    return found


def test_a_worker_killed_within_an_episode_loses_nothing(cases: list[Case], outcome: Any, tmp_path: Path) -> None:
    serial = {r.index: outcome(r) for r in evaluate(policy_spec("oracle"), cases)}
    journal = Journal(tmp_path / "r.jsonl", {})
    results, killed = [], 0
    for result in evaluate(policy_spec("oracle", delay=0.2), cases, journal, workers=2):
        results.append(result)
        while not killed:  # an episode takes a second or more, so one of the two is in the middle of its own
            for process in playing()[:1]:
                process.send_signal(signal.SIGKILL)
                killed = process.pid
    journal.close()
    assert killed
    assert sorted(r.index for r in results) == list(range(len(cases)))
    assert {r.index: outcome(r) for r in results} == serial
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()[1:]]
    assert [line["index"] for line in lines] == [r.index for r in results]
    assert playing() == []


DEADLY = """
import os, signal
from homeostat.envs.harness import PolicyRunner

class Deadly(PolicyRunner):
    def __init__(self, task, **settings):
        super().__init__("oracle", **settings)
        self.task = task

    def run(self, index, case):
        if case.task == self.task:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().run(index, case)

def refuse(**settings):
    raise RuntimeError("no such device")

def die(**settings):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def deadly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deadly.py").write_text(DEADLY)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))


@pytest.mark.usefixtures("deadly")
def test_an_episode_that_kills_its_workers_is_given_up_with_its_reason(cases: list[Case]) -> None:
    few = cases[:4]
    spec = RunnerSpec(factory="deadly:Deadly", settings={"task": few[1].task})
    results = {r.index: r for r in evaluate(spec, few, workers=2)}
    assert sorted(results) == [0, 1, 2, 3]
    assert results[1].ended == "error"
    assert results[1].reason.startswith("its worker died 3 times: ")
    assert all(results[i].success for i in (0, 2, 3))


@pytest.mark.usefixtures("deadly")
@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("deadly:refuse", "a worker can't be built: RuntimeError: no such device"),
        ("deadly:die", "workers die before they can play"),
    ],
)
def test_workers_that_can_not_be_built_end_the_run(factory: str, message: str, cases: list[Case]) -> None:
    with pytest.raises(ConfigError, match=message):
        list(evaluate(RunnerSpec(factory=factory), cases[:2], workers=2))


def test_an_address_nobody_answers_at_is_named(cases: list[Case]) -> None:
    with pytest.raises(ConfigError, match=r"Ray can't be reached at 'no-such-host'"):
        list(evaluate(policy_spec("oracle"), cases[:2], workers=2, address="no-such-host"))


SLOW = """
from homeostat.envs.harness import policies
plain = policies.policy_spec
policies.policy_spec = lambda policy, **settings: plain(policy, delay=0.3, **settings)
from homeostat.cli.root import main
main()
"""


def test_ctrl_c_keeps_what_there_is_and_the_same_command_goes_on(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SLOW, "eval", "--policy", "oracle", "--workers", "2", "--seed", "4"]
    command += ["--episodes", "30", "--json", "r.json"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    journal = tmp_path / "r.jsonl"
    deadline = time.monotonic() + 180
    while not (journal.exists() and journal.read_bytes().count(b"\n") > 2) and time.monotonic() < deadline:
        time.sleep(0.05)
    helpers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "kept in 'r.jsonl'; the same command goes on" in err
    assert err.count("\n") == 1, err
    assert psutil.wait_procs(helpers, timeout=60)[1] == []  # Ray is down
    kept = journal.read_bytes()
    short = [*command[:-3], "4", *command[-2:]]
    again = subprocess.run(short, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert again.returncode == 0, again.stderr
    assert journal.read_bytes().startswith(kept)
    assert [e["index"] for e in json.loads((tmp_path / "r.json").read_text())["episodes"]] == [0, 1, 2, 3]
