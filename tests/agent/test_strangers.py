"""Models and sensors that another installed package registers: found by name, and named where they fail."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from homeostat.agent import Agent, AgentSpec, TransformersModel
from homeostat.agent.events import Sense
from homeostat.agent.models import nano_path, resolve
from homeostat.agent.registry import make_sensor, sensor_names, sensors_for
from homeostat.errors import ComponentError, ConfigError, ModelError, UnknownName

CODE = """
from pathlib import Path
from homeostat.sensors import Reading

WEIGHTS = Path(__file__).parent / "weights"


class Length:
    name = "length"
    needs = frozenset({"text"})

    def read(self, attempt, context):
        return Reading(sensor=self.name, value=len(attempt.text))


class Broken:
    def __init__(self):
        raise RuntimeError("no sensor today")


def folder():
    return WEIGHTS


def gone():
    return WEIGHTS / "gone"


def fails():
    raise OSError("disk is away")
"""
ENTRIES = """
[homeostat.sensors]
length = stranger:Length
broken = stranger:Broken
missing = stranger_missing:Sensor
confidence = stranger:Length

[homeostat.models]
stranger/tiny = stranger:folder
stranger/gone = stranger:gone
stranger/fails = stranger:fails
"""


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution on the path, with its metadata as an installer writes it. Returns where its weights belong."""
    (tmp_path / "stranger.py").write_text(CODE)
    metadata = tmp_path / "stranger_parts-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger-parts\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRIES)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "stranger", raising=False)
    return tmp_path / "weights"


def test_a_registered_folder_is_loaded_by_name(stranger: Path, llava: Any, lamp: Any) -> None:
    model, processor = llava
    model.save_pretrained(stranger)
    processor.save_pretrained(stranger)
    assert resolve("stranger/tiny") == str(nano_path("stranger/tiny")) == str(stranger)
    assert TransformersModel.load("stranger/tiny", device="cpu").name == "stranger/tiny"
    agent = AgentSpec(model="stranger/tiny", sensors="length,confidence", controllers="none", device="cpu").build()
    events = list(agent.start(lamp.reset_task("lamp_on"), lamp, max_steps=1))
    sense = next(event for event in events if isinstance(event, Sense))
    confidence, length = sense.readings
    assert (confidence.sensor, length.sensor, length.value) == ("confidence", "length", len(sense.text))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: nano_path("stranger/gone"), ModelError, r"'stranger/gone' is not in this .*reinstall the package"),
        (lambda: nano_path("stranger/fails"), ComponentError, "model 'stranger/fails' raised OSError: disk is away"),
        (lambda: make_sensor("broken"), ComponentError, "sensor 'broken' raised RuntimeError: no sensor today"),
        (lambda: make_sensor("missing"), ConfigError, "'missing'.*can't be loaded.*package 'stranger-parts'"),
        (lambda: make_sensor("lenght"), UnknownName, "did you mean 'length'"),
    ],
)
def test_what_can_not_be_built_is_named(
    stranger: Path, call: Callable[[], object], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_strangers_sensor_is_read_and_takes_no_name_of_ours(stranger: Path, tools: Any, lamp: Any) -> None:
    names = sensor_names()
    assert names.index("visual_sinks") < names.index("length")  # ours first
    assert type(make_sensor("confidence")).__module__.startswith("homeostat.")
    sensors = sensors_for((), frozenset(("text",)), wanted=("length", "confidence"))
    assert [sensor.name for sensor in sensors] == ["length"]  # this model tells no log-probabilities
    agent = Agent(tools.Scripted([tools.call("click", coordinate=[2, 2])]), sensors)
    run = agent.start(lamp.reset_task("lamp_on"), lamp, max_steps=1)
    assert [reading.sensor for event in run if isinstance(event, Sense) for reading in event.readings] == ["length"]
