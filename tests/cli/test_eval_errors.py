"""``homeostat eval`` where episodes end in errors: with nothing but errors it fails, and says the first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from homeostat.agent import TransformersModel
from homeostat.cli.root import app
from homeostat.errors import ModelError
from homeostat.sensors.chat.messages import Prompt
from homeostat.testing import ScriptedModel

runner = CliRunner()
EVAL = ["eval", "--suite", "atomic", "--split", "test", "--seed", "4", "--episodes", "3"]
GIVE_UP = '{"name": "mobile_use", "arguments": {"action": "terminate", "status": "failure"}}'


def _install(monkeypatch: pytest.MonkeyPatch, broken: range) -> None:
    """A model that gives up in every episode, and raises an error in some."""
    calls = iter(range(100))

    def answer(prompt: Prompt) -> str:
        if next(calls) in broken:
            raise ModelError("this model reads no images")
        return GIVE_UP

    model = ScriptedModel(answer)
    monkeypatch.setattr(TransformersModel, "load", classmethod(lambda cls, name, **options: model))


def test_an_evaluation_of_errors_only_fails_and_says_the_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    _install(monkeypatch, range(100))
    done = runner.invoke(app, [*EVAL, "--json", "r.json"])
    assert done.exit_code == 1
    assert "all 3 ended in an error, the first (" in " ".join(done.output.split())
    assert "this model reads no images" in done.output
    assert json.loads((tmp_path / "r.json").read_text())["errors"] == 3  # the result is written all the same


def test_an_evaluation_with_some_errors_names_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    _install(monkeypatch, range(1))
    done: Any = runner.invoke(app, EVAL)
    assert done.exit_code == 0, done.output
    assert "1 episode ended in an error" in " ".join(done.output.split())
    assert "journal" not in done.output  # nothing was written
