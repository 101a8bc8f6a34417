"""The flags of a model's weights: on every command that loads one, in the agent file, and refused in one line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from homeostat.agent import AgentSpec, TransformersModel
from homeostat.cli.root import app
from homeostat.errors import ConfigError, ModelError
from homeostat.model_options import ModelOptions
from homeostat.settings import Settings

runner = CliRunner()
COMMANDS = ("run", "eval", "calibrate", "profile", "diagnose", "localize", "fit-probe", "mine", "align", "ground")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_loads_a_model_has_the_same_flags(command: str) -> None:
    shown = runner.invoke(app, [command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    for name, field in ModelOptions.model_fields.items():
        assert re.search(rf"--{name}\b", shown), name
        assert " ".join(str(field.description).split()) in " ".join(shown.replace("│", " ").split()), name


def test_the_options_reach_the_loader_from_flags_and_from_the_agent_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[dict[str, Any]] = []

    def load(cls: type, name: str, **options: Any) -> Any:
        asked.append(options)
        raise ModelError("stop here")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(TransformersModel, "load", classmethod(load))
    file = tmp_path / "agent.yaml"
    file.write_text("model: homeostat/nano\nquantization: 8bit\ndtype: bfloat16\n")
    flags = ["--dtype", "float16", "--device", "cpu"]
    wanted = {"device": "cpu", "dtype": "float16", "revision": None}
    for command in (["run", "open notes", "--agent", "agent.yaml"], ["profile", "--quantization", "8bit"]):
        done = runner.invoke(app, [*command, *flags])
        assert done.exit_code != 0
        assert asked.pop() == wanted | {"quantization": "8bit"}, done.output


def test_settings_and_agents_take_the_same_fields() -> None:
    for kind in (Settings, AgentSpec):
        assert set(ModelOptions.model_fields) <= set(kind.model_fields)
        made = kind(revision="v1", quantization="4bit")
        assert made.load_options()["revision"] == "v1"
        assert made.other_load_options()["revision"] is None
        assert made.chosen_options() == {"revision": "v1", "quantization": "4bit"}


def test_wrong_values_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = runner.invoke(app, ["eval", "--quantization", "3bit"])
    assert isinstance(refused.exception, ConfigError | SystemExit)
    with pytest.raises(ModelError, match="unknown dtype 'float8'"):
        TransformersModel.load("homeostat/nano", "cpu", "float8")
    with pytest.raises(ModelError, match="revision 'v1' is a version on the hub, but model 'homeostat/nano' is not"):
        TransformersModel.load("homeostat/nano", revision="v1")
    monkeypatch.setattr("homeostat.agent.models.quantised.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"quantization '4bit' needs bitsandbytes; pip install 'homeostat"):
        TransformersModel.load("homeostat/nano", quantization="4bit")
