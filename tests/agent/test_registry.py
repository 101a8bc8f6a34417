"""What a model's folder brings along: its planner, its heads, its thresholds; and what a user gives instead."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from homeostat.agent import AgentSpec, nano_path
from homeostat.agent.models.loading import template_hash, weights_hash
from homeostat.agent.registry import calibrated, calibration_of, controllers_of
from homeostat.controllers import HeadProfile
from homeostat.errors import ConfigError
from homeostat.sensors import AttentionDrift, Calibration, Confidence
from homeostat.sensors.calibration import Alarm, settings_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of nano's folder with nothing beside the model."""
    copy = tmp_path / "model"
    shutil.copytree(nano_path(), copy)
    for name in ("heads.json", "calibration.json"):
        (copy / name).unlink(missing_ok=True)
    return copy


def thresholds(folder: Path, sensor: object = Confidence(), threshold: float = 0.123) -> Calibration:
    name: str = sensor.name  # type: ignore[attr-defined]
    alarm = Alarm(sensor=name, side="below", threshold=threshold, episodes=40, settings=settings_of(sensor))  # type: ignore[arg-type]
    return Calibration(
        model=str(folder),
        weights=weights_hash(str(folder)),
        template=template_hash(str(folder)),
        suite="atomic",
        split="dev",
        seed=0,
        rate=0.05,
        alarms=(alarm,),
    )


def test_heads_in_the_folder_are_used_unless_others_are_given(folder: Path, tmp_path: Path) -> None:
    hash_ = weights_hash(str(folder))
    assert controllers_of("pasta", str(folder)).controllers[0].actuators[0].heads is None
    HeadProfile(model="m", weights=hash_, heads={"pasta": frozenset({(1, 1)})}).save(folder / "heads.json")
    assert controllers_of("pasta", str(folder)).controllers[0].actuators[0].heads == {(1, 1)}
    other = tmp_path / "other.json"
    HeadProfile(model="m", weights=hash_, heads={"pasta": frozenset({(2, 0)})}).save(other)
    assert controllers_of("pasta", str(folder), other).controllers[0].actuators[0].heads == {(2, 0)}
    HeadProfile(model="m", weights="0", heads={}).save(other)
    with pytest.raises(ConfigError, match="create it again"):
        controllers_of("pasta", str(folder), other)


def test_thresholds_in_the_folder_are_used_where_they_fit(folder: Path) -> None:
    sensors = (Confidence(), AttentionDrift())
    assert calibrated(sensors, str(folder)) == sensors
    thresholds(folder).save(folder / "calibration.json")
    confidence, drift = calibrated(sensors, str(folder))
    assert confidence.threshold == 0.123  # type: ignore[attr-defined]
    assert drift is sensors[1]
    about_rules = AttentionDrift(span="rules")
    thresholds(folder, AttentionDrift()).save(folder / "calibration.json")
    assert calibrated([about_rules], str(folder)) == (about_rules,)  # found for another span: not used
    with pytest.raises(ConfigError, match="attention_drift"):
        calibrated([about_rules], str(folder), folder / "calibration.json")  # asked for by name: refused
    style = json.loads((folder / "homeostat.json").read_text())
    (folder / "homeostat.json").write_text(json.dumps(style | {"goal": "what to do: {goal}"}))
    with pytest.raises(ConfigError):
        calibration_of(str(folder))  # other words, other readings


def test_the_style_names_the_planner_and_a_name_goes_before_it(folder: Path) -> None:
    def planner(controllers: str, name: str | None = None) -> str | None:
        agent = AgentSpec(model=str(folder), controllers=controllers, sensors=(), planner=name).build()
        return agent.planner.name if agent.planner is not None else None

    style = json.loads((folder / "homeostat.json").read_text())
    (folder / "homeostat.json").write_text(json.dumps(style | {"planner": str(folder)}))
    assert planner("none") is None
    assert planner("decompose") == str(folder)
    assert planner("decompose", "homeostat/nano") == "homeostat/nano"
    (folder / "homeostat.json").write_text(json.dumps(style | {"planner": ""}))
    assert planner("decompose") is None
