"""SIGTERM ends ``run`` and ``eval`` in time, whatever they are doing, and what was done before is kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from homeostat.agent import read_trace
from homeostat.agent.loop.env_calls import GRACE
from homeostat.agent.models.loading import nano_path
from homeostat.cli.root import app
from homeostat.errors import ModelError

runner = CliRunner()
DRIVER = Path(__file__).with_name("slow_driver.py")
PREFILL, GENERATION, PYTHON = {"SLOW_LAYER": "2"}, {"SLOW_LAYER": "0.02"}, {"SLOW_CALL": "600"}
RUN = ["run", "turn on the wifi", "--controllers", "none", "--max-new-tokens", "3000", "--max-steps", "3"]
EVAL = ["eval", "--episodes", "2", "--json", "r.json", "--max-new-tokens", "3000"]


def has_nano() -> bool:
    try:
        nano_path()
    except ModelError:
        return False
    return True


pytestmark = pytest.mark.skipif(not has_nano(), reason="homeostat/nano is not in this installation")


def ended(folder: Path, arguments: list[str], slow: dict[str, str]) -> tuple[float, int, str, str]:
    """Sends SIGTERM into the first slow call: seconds until the end, exit status, stdout and stderr."""
    mark = folder / "mark"
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "SLOW_MARK": str(mark), **slow}
    command = [sys.executable, str(DRIVER), *arguments]
    process = subprocess.Popen(
        command, cwd=folder, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 120
        while not mark.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        sent = time.monotonic()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        return time.monotonic() - sent, process.returncode, out, err
    finally:
        process.kill()


@pytest.mark.parametrize("slow", [PREFILL, GENERATION], ids=["prefill", "generation"])
def test_a_run_within_a_model_call_is_saved_and_goes_on(tmp_path: Path, slow: dict[str, str]) -> None:
    seconds, status, out, err = ended(tmp_path, RUN, slow)
    assert status == 143, err
    assert seconds < GRACE + 5
    assert out.splitlines()[-1].startswith("interrupted; the run is saved")
    (run,) = (tmp_path / "runs").iterdir()
    assert not read_trace(run).attempts  # what the interrupted call returned is not used
    again = runner.invoke(app, ["run", "--resume", str(run)])
    assert again.exit_code == 0, again.output
    whole = runner.invoke(app, [*RUN, "--runs", str(tmp_path / "whole")])
    assert whole.exit_code == 0, whole.output
    (unbroken,) = (tmp_path / "whole").iterdir()
    assert [act.action for act in read_trace(run).acts] == [act.action for act in read_trace(unbroken).acts]
    assert read_trace(run).finish is not None


def test_a_model_that_cannot_be_interrupted_does_not_keep_the_process(tmp_path: Path) -> None:
    seconds, status, _, err = ended(tmp_path, RUN, PYTHON)
    assert status == 143, err
    assert seconds < GRACE + 5
    assert "after SIGTERM; everything before the present call is saved" in err
    (run,) = (tmp_path / "runs").iterdir()
    assert [e.kind for e in read_trace(run).events][:2] == ["start", "observe"]


@pytest.mark.parametrize("slow", [PREFILL, GENERATION, PYTHON], ids=["prefill", "generation", "python"])
def test_an_evaluation_says_where_it_stopped(tmp_path: Path, slow: dict[str, str]) -> None:
    seconds, status, _, err = ended(tmp_path, EVAL, slow)
    assert status == 143, err
    assert seconds < 5
    assert "interrupted after 0 of 2 episodes, kept in 'r.jsonl'; the same command goes on" in err


def test_an_interrupted_episode_with_a_trace_is_no_result(tmp_path: Path) -> None:
    seconds, status, _, err = ended(tmp_path, [*EVAL, "--traces", "runs"], GENERATION)
    assert status == 143, err
    assert seconds < GRACE + 5
    lines = (tmp_path / "r.jsonl").read_text().splitlines()
    assert len(lines) == 1
    assert "arguments" in json.loads(lines[0])
