"""``homeostat report`` and ``homeostat view`` on the command line."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from homeostat.agent import Agent
from homeostat.cli.root import app
from homeostat.envs.phone import PhoneEnv
from homeostat.testing import ScriptedModel


@pytest.fixture
def homeostat() -> Any:
    """Runs a command in this process; gives its outcome."""

    def call(*arguments: str, status: int = 0) -> Any:
        told = CliRunner().invoke(app, list(arguments))
        assert told.exit_code == status, told.output
        return told

    return call


@pytest.fixture
def run(tmp_path: Path) -> Path:
    env = PhoneEnv()
    say = '<tool_call>{"name": "mobile_use", "arguments": {"action": "terminate", "status": "failure"}}</tool_call>'
    folder = tmp_path / "runs" / "one"
    task = env.reset_task("notes_add", seed=1)
    assert Agent(ScriptedModel([say])).start(task, env, run_folder=folder).result.steps == 1
    return folder


def test_the_page_of_a_run_is_private(run: Path, homeostat: Any) -> None:
    told = homeostat("report", str(run))
    assert told.stdout == f"page: {run / 'report.html'}\n"
    assert stat.S_IMODE((run / "report.html").stat().st_mode) == 0o600
    told = homeostat("report", str(run), "--out", str(run.parent / "deep" / "page.html"))
    assert (run.parent / "deep" / "page.html").read_text().startswith("<!doctype html>")


def test_an_evaluation_gets_a_folder(run: Path, homeostat: Any) -> None:
    start = json.loads((run / "trace.jsonl").read_text().splitlines()[0])
    finish = json.loads((run / "trace.jsonl").read_text().splitlines()[-1])
    episode = {
        "index": 0, "task": "notes_add", "seed": start["seed"], "goal": "g", "success": False, "ended": "impossible",
        "steps": 1, "optimal_steps": 8, "calls": 1, "tokens": finish["tokens"], "prompt_tokens": 1,
        "seconds": finish["seconds"],
    }  # fmt: skip
    file = run.parent / "none.json"
    file.write_text(json.dumps({"arguments": {"suite": "atomic"}, "episodes": [episode]}))
    told = homeostat("report", str(file))
    index = run.parent / "none-report" / "index.html"
    assert told.stdout == f"page: {index}\n"
    assert 'href="episodes/00000.html"' in index.read_text()
    assert 'href="../index.html"' in (index.parent / "episodes" / "00000.html").read_text()
    homeostat("report", str(file), str(file), "--out", str(run.parent / "pair"))
    page = (run.parent / "pair" / "index.html").read_text()
    assert 'href="before/00000.html"' in page
    assert 'href="after/00000.html"' in page


def test_bad_input_is_one_line(run: Path, homeostat: Any) -> None:
    text = run / "run.txt"
    text.write_text("{}")
    for arguments, words in (
        (["report", "nowhere"], "'nowhere' does not exist; give a run's folder"),
        (["report", str(run.parent)], "holds no run"),
        (["report", str(text)], "is no evaluation"),
        (["report", str(run), "--traces", str(run)], "belongs to an evaluation"),
        (["report", str(run), "--out", str(text / "x" / "page.html")], "give another --out"),
        (["report", str(run), str(run)], "is a folder; two evaluations are compared"),
        (["view", str(text)], "is a file; give its folder"),
        (["view", str(run), "--host", "name.invalid"], "choose another --port or --host"),
        (["view", "nowhere"], "folder 'nowhere' does not exist"),
    ):
        told = homeostat(*arguments, status=2)
        assert words in told.stderr, arguments
        lines = [line for line in told.stderr.splitlines() if not line.startswith("warning: ")]
        assert len(lines) == 1, arguments


def test_view_serves_until_it_is_ended(run: Path) -> None:
    pytest.importorskip("uvicorn")
    command = [sys.executable, "-c", "from homeostat.cli.root import main; main()", "view", str(run.parent)]
    command += ["--port", "0", "--no-open"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    address = line.partition(" at ")[2].partition(" ")[0]
    with urllib.request.urlopen(f"{address}api/library", timeout=20) as answer:
        assert [one["run"] for one in json.load(answer)["runs"]] == ["one"]
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert "Traceback" not in errors
