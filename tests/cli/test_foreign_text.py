"""No foreign text acts on the terminal: every kind of event in both views, and errors. Odd files for ``--json``."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from homeostat.actions import Click, LongPress, Open, Swipe, Type
from homeostat.agent import events as e
from homeostat.cli.board import DrawnView
from homeostat.cli.event_text import lines
from homeostat.cli.live import PlainView
from homeostat.cli.root import app
from homeostat.cli.run_settings import find_run
from homeostat.controllers import Ask, Dispatch, MakePlan, ModelRule, Plan, Proceed, Refuse, Reminder, Stop, Subtask
from homeostat.controllers.context import Reported
from homeostat.conversation import Turn
from homeostat.envs.core import TaskInfo
from homeostat.envs.harness.export import is_stream, write_json
from homeostat.envs.mobile_use import Grid
from homeostat.errors import CheckpointError, ConfigError
from homeostat.observation import Element
from homeostat.sensors.readings import Reading, SpanReading

runner = CliRunner()
BAD = "\x1b]52;c;QQ==\x07\x1b[2J\x9b31m\u202eevil\r\n\x00"
KEY = "sk-proj-" + "a1B2c3D4" * 4
TEXT = BAD + KEY
TASK = TaskInfo(name=TEXT, goal=TEXT, rules=(TEXT,), optimal_steps=1, max_steps=2)
PLAN = Plan(subtasks=(Subtask(instruction=TEXT, status="active"),), active=0)
READING = Reading(sensor=TEXT, value=1.0, alarm=True, reason=TEXT, by_span={TEXT: SpanReading(intensity=1.0)})
ELEMENTS = (Element(role=TEXT, text=TEXT, box=(0, 0, 1, 0.5)), Element(role=TEXT, text="", box=(0, 0.5, 1, 1)))
SAID = Turn(role="tool", text=TEXT, tool="look")
EVENTS: list[Any] = [
    e.Started(run=TEXT, task=TASK, judged=True, seed=0, model=TEXT, sensors=(), controllers=(TEXT,), unread=(TEXT,)),
    e.Observe(app=TEXT, screenshot=np.zeros((8, 8, 3), np.uint8), elements=ELEMENTS, problem=TEXT, turns=(SAID,)),
    e.Sense(instruction=TEXT, reminder=TEXT, text=TEXT, unparsable=TEXT, readings=(READING,), mass={TEXT: 0.5}),
    *(
        e.Decide(phase="attempt", controller=TEXT, decision=decision)
        for decision in (
            *(Proceed(), Reminder(text=TEXT), MakePlan(), Dispatch(instruction=TEXT, plan=PLAN), Refuse(reason=TEXT)),
            *(Stop(reason=TEXT, cause=TEXT), Ask(question=TEXT, cause=TEXT)),
        )
    ),
    e.Sampled(asked=4, drawn=2),
    e.Planned(text=TEXT, plan=PLAN),
    e.Planned(text=TEXT, error=TEXT),
    e.ScreenRead(text=TEXT, report=Reported(facts={TEXT: TEXT}, error=TEXT)),
    e.RuleRead(text=TEXT, read=ModelRule(rule=TEXT, acts=("remove",), apps=(TEXT,), exceptions=(TEXT,))),
    e.RuleRead(text=TEXT, read=ModelRule(rule=TEXT, error=TEXT)),
    e.Act(action=Type(text=TEXT), outcome="refused", error=TEXT, said=TEXT),
    *(
        e.Act(action=action)
        for action in (
            *(Click(point=(0.1, 0.1)), Click(point=(0.1, 0.9)), LongPress(point=(0.1, 0.1)), Open(app=TEXT)),
            Swipe(point=(0.1, 0.1), to=(0.1, 0.9)),
        )
    ),
    e.Asked(question=TEXT, answer=TEXT),
    e.Failed(component="sensor", name=TEXT, error=TEXT),
    e.Finish(ended="stopped", success=None, reason=TEXT, steps=1, optimal_steps=1, tokens=1, seconds=1),
]


def test_every_kind_of_event_is_here() -> None:
    kinds = get_args(get_args(e.Event)[0])
    assert {type(event) for event in EVENTS} == set(kinds)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
def test_no_event_acts_on_the_terminal(event: Any) -> None:
    for line in lines(event, Grid(8, 8), ELEMENTS):
        assert line.isprintable(), repr(line)
        assert KEY not in line
    plain = Console(file=io.StringIO(), width=200, highlight=False)
    with PlainView(plain) as view:
        view.show(EVENTS[1])
        view.show(event)
    assert all(line.isprintable() for line in plain.file.getvalue().split("\n"))  # type: ignore[attr-defined]
    drawn = Console(file=io.StringIO(), width=200, height=40, highlight=False, force_terminal=True, color_system=None)
    with DrawnView(drawn) as board:
        board.show(EVENTS[1])
        board.show(event)
    text = drawn.file.getvalue()  # type: ignore[attr-defined]
    for mark in ("\x1b]", "\x07", "\x1b[2J\x9b", "\x9b", "\u202e", "\x00", KEY):
        assert mark not in text


@pytest.mark.parametrize(
    "arguments",
    [
        *(["run", "x", "--model", BAD], ["run", "x", "--controllers", BAD], ["eval", "--suite", BAD], [BAD]),
        *(["list", BAD], ["run", "--resume", BAD], ["run", "x", "--seed", BAD], ["mine", "--config", BAD]),
    ],
)
def test_errors_are_one_printable_line(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = runner.invoke(app, arguments)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.isprintable()
    assert len(line) < 2100


def test_an_argument_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    code = "from homeostat.cli.root import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, b"run", b"turn \xff on"], capture_output=True, cwd=tmp_path, timeout=120
    )
    assert done.returncode == 2
    assert done.stderr.decode() == "homeostat: argument 'turn \\udcff on' is not UTF-8 text; write it in UTF-8\n"


def test_a_device_is_written_through_and_a_link_stays_a_link(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    write_json({"a": 1}, fifo)
    assert os.read(reader, 100) == b'{\n "a": 1\n}\n'
    os.close(reader)
    assert is_stream(fifo)
    assert not Path(f"{fifo}.part").exists()
    (tmp_path / "target.json").write_text("old")
    (tmp_path / "link.json").symlink_to("target.json")
    write_json({"a": 2}, tmp_path / "link.json")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "target.json").read_text() == '{\n "a": 2\n}\n'
    with pytest.raises(ConfigError, match="No space left"):
        write_json({"a": 1}, Path("/dev/full"))
    assert is_stream(Path("/dev/null"))
    assert is_stream(Path("/dev/stdout"))
    assert not is_stream(tmp_path / "target.json")
    assert not is_stream(tmp_path / "none.json")


def test_a_folder_without_write_access_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # tests may run as root
    with pytest.raises(CheckpointError, match="can't be written to; make it writable"):
        find_run(str(tmp_path / "run"), tmp_path)
