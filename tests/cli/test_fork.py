"""``homeostat fork``, and the flags of ``run`` and ``eval`` that keep what it and the pages need."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from homeostat.agent import read_trace
from homeostat.cli.root import app

runner = CliRunner()


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of nano with checkpoints and attention."""
    monkeypatch.chdir(tmp_path)
    command = ["run", "--task", "notes_add", "--seed", "1", "--controllers", "none", "--max-steps", "3"]
    result = runner.invoke(app, [*command, "--record-attention", "--keep-checkpoints", "--plain"])
    assert result.exit_code == 0, result.output
    (folder,) = (tmp_path / "runs").iterdir()
    return folder


def test_a_run_is_forked_with_another_controller(kept: Path) -> None:
    settings = json.loads((kept / "run.json").read_text())
    result = runner.invoke(app, ["fork", kept.name, "--step", "1", "--controllers", "guard,tabu", "--plain"])
    assert result.exit_code == 0, result.output
    fork = kept.with_name(f"{kept.name}-fork1")
    trace, before = read_trace(fork), read_trace(kept)
    assert trace.start.controllers == ("guard", "tabu")
    assert (trace.start.forked_from, trace.start.forked_at) == (kept.name, 1)
    assert trace.attempts[0] == before.attempts[0]
    assert len(trace.acts) == 3
    assert sorted(p.name for p in (fork / "attention").iterdir()) == sorted(
        p.name for p in (kept / "attention").iterdir()
    )
    written = json.loads((fork / "run.json").read_text())
    assert written["agent"]["controllers"] == ["guard", "tabu"]
    assert written | {"agent": None} == settings | {"agent": None}
    again = runner.invoke(app, ["fork", str(kept), "--step", "1", "--plain"])
    assert again.exit_code == 0, again.output
    assert kept.with_name(f"{kept.name}-fork1-2").is_dir()


def test_a_run_is_forked_with_another_answer(kept: Path) -> None:
    back = '{"name": "mobile_use", "arguments": {"action": "system_button", "button": "Back"}}'
    answer = f"<tool_call>\n{back}\n</tool_call>"
    out = kept.with_name("other")
    result = runner.invoke(app, ["fork", str(kept), "--step", "2", "--answer", answer, "--out", str(out), "--plain"])
    assert result.exit_code == 0, result.output
    assert [sense.text for sense in read_trace(out).attempts if sense.step == 2] == [answer]


def test_what_can_not_be_forked_is_said_before_a_model_is_loaded(kept: Path, oracle: Any) -> None:
    def output(*arguments: str) -> str:
        result = runner.invoke(app, ["fork", *arguments])
        assert result.exit_code != 0
        return f"{result.exception or ''}{result.output}"

    assert "no checkpoint of step 9; it keeps steps 0 to 2" in output(str(kept), "--step", "9")
    nameless = kept.with_name("nameless")
    shutil.copytree(kept, nameless)
    (nameless / "run.json").unlink()
    assert "its settings are unknown here; fork it in Python" in output(str(nameless), "--step", "0")
    shutil.rmtree(nameless)
    assert "no run 'nothing'" in output("nothing", "--step", "0")
    assert "exists already; give another --out" in output(str(kept), "--step", "0", "--out", str(kept))
    assert "unknown controller 'grad'; did you mean 'guard'" in output(
        str(kept), "--step", "0", "--controllers", "grad"
    )
    plain = runner.invoke(app, ["run", "--task", "notes_add", "--seed", "1", "--plain", "--max-steps", "1"])
    assert plain.exit_code == 0, plain.output
    (other,) = (path for path in kept.parent.iterdir() if path != kept)
    assert "it keeps none: start it with --keep-checkpoints" in output(str(other), "--step", "0")


def test_an_evaluation_keeps_attention_in_its_traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["eval", "--suite", "atomic", "--episodes", "1", "--seed", "1", "--record-attention"]
    result = runner.invoke(app, command)
    assert result.exit_code != 0
    assert "give --traces FOLDER too" in result.output
    result = runner.invoke(app, [*command, "--traces", "traces", "--json", "one.json"])
    assert result.exit_code == 0, result.output
    (folder,) = (tmp_path / "traces").iterdir()
    trace = read_trace(folder)
    assert trace.attempts
    for sense in trace.attempts:
        record = trace.attention(sense)
        assert record is not None
        assert len(record.tokens) == sense.prompt_tokens
