"""``homeostat calibrate``: thresholds from episodes, their file, and their use in another evaluation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from homeostat.agent.runner import AgentRunner
from homeostat.agent.spec import AgentSpec
from homeostat.cli.root import app
from homeostat.envs.harness.runner import Case
from homeostat.errors import ConfigError
from homeostat.sensors import Calibration

runner = CliRunner()
CALIBRATE = ["calibrate", "--suite", "atomic", "--episodes", "9", "--held-out", "3", "--rate", "0.2"]


def test_thresholds_are_order_statistics_of_the_episodes_own_readings(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    done = runner.invoke(app, [*CALIBRATE, "--sensors", "confidence,attention_drift", "--out", "c.json"])
    assert done.exit_code == 0, done.output
    made = Calibration.load(tmp_path / "c.json")
    lines = [json.loads(line) for line in (tmp_path / "c.jsonl").read_text().splitlines()][1:]
    episodes = sorted(lines, key=lambda e: e["index"])
    assert len(episodes) == 12
    lowest = sorted(min(e["readings"]["confidence"]) for e in episodes[:9])
    threshold = {a.sensor: a.threshold for a in made.alarms}["confidence"]
    assert threshold == lowest[1]  # k = ⌊10 · 0.2⌋ = 2
    alarmed = sum(min(e["readings"]["confidence"]) < threshold for e in episodes[9:])
    assert f"{alarmed / 3:.1%}"[:-1] in done.output
    spec = AgentSpec(sensors=("confidence",), controllers=("none",), calibration=tmp_path / "c.json")
    used = AgentRunner(spec, keep_readings=True)
    assert used.agent.sensors[0].threshold == threshold  # type: ignore[attr-defined]
    assert used.run(0, Case("settings_turn_on", 3)).readings["confidence"]


def test_too_few_episodes_are_refused_before_any_is_played() -> None:
    done = runner.invoke(app, ["calibrate", "--episodes", "9", "--rate", "0.05"])
    assert done.exit_code == 2
    assert "9 episodes are too few for rate=0.05; take 19 or more" in done.output


def test_another_model_s_calibration_is_refused(tmp_path: Path, tiny_folder: Path) -> None:
    Calibration(
        model="homeostat/nano", weights="0" * 12, template="t", suite="s", split="dev", seed=0, rate=0.1, alarms=()
    ).save(tmp_path / "c.json")
    with pytest.raises(ConfigError, match="made for weights '000000000000'"):
        AgentRunner(AgentSpec(model=str(tiny_folder), controllers=("none",), calibration=tmp_path / "c.json"))
