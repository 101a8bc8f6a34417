"""The trace on disk: what is never written, who may read it, and what a full disk does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from homeostat.actions import Type
from homeostat.agent import Agent, read_trace
from homeostat.agent.events import Act, Asked, Observe, Sense
from homeostat.agent.trace_writer import TraceWriter
from homeostat.errors import ComponentError, EnvError, TraceError
from homeostat.observation import Element
from homeostat.redaction import redacting
from homeostat.sensors.readings import Reading

KEY = "sk-proj-" + "a1B2c3D4" * 4


class Sick:
    """A sensor whose model has gone wrong."""

    name = "sick"
    needs = frozenset(("text",))

    def read(self, attempt: Any, context: Any) -> Reading:
        return Reading(sensor=self.name, value=1.0, detail={"x": float("nan")})


def test_a_run_is_its_owners_alone(tools: Any, lamp: Any, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        done = tools.call("terminate", status="success")
        Agent(tools.Scripted([tools.call("click", coordinate=[2, 2]), done])).run(
            lamp.reset_task("lamp_on"), lamp, run_folder=tmp_path / "run"
        )
    finally:
        os.umask(before)
    for path in (tmp_path / "run", tmp_path / "run" / "screens", tmp_path / "run" / "snapshots"):
        assert path.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "run" / "trace.jsonl").stat().st_mode & 0o777 == 0o600
    for path in (tmp_path / "run" / "snapshots").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600


def test_secrets_stay_out_of_the_trace_but_reach_model_and_device(tools: Any, lamp: Any, tmp_path: Path) -> None:
    model = tools.Scripted([tools.call("type", text=KEY), tools.call("terminate", status="success")])
    seen = []
    lamp.act = lambda action: seen.append(action)
    Agent(model).run(f"type\n{KEY}", lamp, run_folder=tmp_path / "run")
    text = (tmp_path / "run" / "trace.jsonl").read_text()
    assert KEY not in text
    assert text.count("[redacted: API key]") >= 3
    assert Type(text=KEY) in seen
    assert KEY in tools.words(model.prompts[0], "goal")
    trace = read_trace(tmp_path / "run")
    assert any(isinstance(e, Act) and e.action == Type(text="[redacted: API key]") for e in trace.events)
    with redacting(False):
        Agent(tools.Scripted([tools.call("terminate", status="success")])).run(
            f"type {KEY}", tools.Lamp(), run_folder=tmp_path / "kept"
        )
    assert KEY in (tmp_path / "kept" / "trace.jsonl").read_text()


def test_a_reading_that_is_not_finite_names_its_sensor_and_leaves_a_readable_trace(
    tools: Any, lamp: Any, tmp_path: Path
) -> None:
    agent = Agent(tools.Scripted([tools.call("click", coordinate=[2, 2])]), [Sick()])
    with pytest.raises(ComponentError, match=r"sensor 'sick' raised ValidationError: .*detail.x .*finite"):
        agent.run(lamp.reset_task("lamp_on"), lamp, run_folder=tmp_path / "run")
    assert read_trace(tmp_path / "run").events[-1].kind == "error"


def test_log_probabilities_that_are_not_finite_name_their_model(tools: Any, lamp: Any, tmp_path: Path) -> None:
    model = tools.Scripted(
        [tools.call("click", coordinate=[2, 2])], capabilities=frozenset(("text", "logprobs")), logprob=float("nan")
    )
    with pytest.raises(
        ComponentError, match=r"model 'scripted' raised ValueError: logprobs holds a number that is not"
    ):
        Agent(model).run(lamp.reset_task("lamp_on"), lamp, run_folder=tmp_path / "run")
    assert read_trace(tmp_path / "run").events[-1].kind == "error"


def test_what_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path / "run")
    writer.write(Asked(question="\ud800 first"))
    with pytest.raises(TraceError, match=r"event 'sense' of step 3 .*mass\.goal is no finite number"):
        writer.write(Sense(step=3, instruction="", text="", mass={"goal": float("inf")}))
    with pytest.raises(EnvError, match="no JSON data"):
        writer.snapshot({"x": object()})
    writer.write(Asked(question="last"))
    writer.close()
    assert [event.question for event in read_trace(tmp_path / "run").events] == ["\ufffd first", "last"]  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="finite"):
        Element(role="button", text="", box=(0, 0, float("nan"), 1))


class Full:
    """A file on a disk that takes some more bytes."""

    def __init__(self, file: Any, room: int) -> None:
        self.file, self.room = file, room

    def write(self, data: Any) -> int:
        if not self.room:
            raise OSError(28, "No space left on device")
        taken = self.file.write(data[: self.room])
        self.room -= taken
        return int(taken)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


@pytest.mark.parametrize("room", [0, 1, 40])
def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path: Path, room: int) -> None:
    writer = TraceWriter(tmp_path / "run")
    writer.write(Asked(question="one"))
    file = writer._file
    writer._file = Full(file, room)  # type: ignore[assignment]
    with pytest.raises(TraceError, match="No space left on device; free or mend the disk") as caught:
        writer.write(Observe(app="clock"))
    assert "\n" not in str(caught.value)
    writer._file = file  # there is room again
    writer.write(Asked(question="two"))
    writer.close()
    trace = read_trace(tmp_path / "run")
    assert not trace.partial
    assert [event.question for event in trace.events] == ["one", "two"]  # type: ignore[union-attr]


def test_a_strange_line_is_named_in_one_short_line(tmp_path: Path) -> None:
    (tmp_path / "trace.jsonl").write_text('{"kind": "ask", "question": "x", "' + "\x1b[2J" * 9999 + '": 1}\n')
    with pytest.raises(TraceError, match=r"trace.jsonl:1: not an event") as caught:
        read_trace(tmp_path)
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()
