"""The views: a picture's cells against its pixels, the words of every event, the drawn board."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from homeostat.actions import Click
from homeostat.agent import events as e
from homeostat.cli.board import DrawnView
from homeostat.cli.event_text import lines, spans_of
from homeostat.cli.live import PlainView, view_for
from homeostat.cli.pictures import picture, picture_for
from homeostat.controllers import Ask, Dispatch, MakePlan, Plan, Proceed, Refuse, Reminder, Stop, Subtask
from homeostat.envs.core import TaskInfo
from homeostat.envs.mobile_use import Grid
from homeostat.sensors.readings import Reading, SpanReading

TASK = TaskInfo(name="clock_timer", goal="start the timer [now]", rules=("never call",), optimal_steps=3, max_steps=9)
PLAN = Plan(subtasks=(Subtask(instruction="one", status="active"), Subtask(instruction="two")), active=0)
READING = Reading(
    sensor="attention_drift",
    value=-1.2,
    alarm=True,
    reason="goal fell",
    by_span={"goal": SpanReading(mass=0.1, intensity=4.0)},
)


def console(width: int = 100, **settings: Any) -> Console:
    return Console(file=io.StringIO(), width=width, height=30, highlight=False, **settings)


def drawn(view_console: Console) -> str:
    assert isinstance(view_console.file, io.StringIO)
    return view_console.file.getvalue()


def episode(pixels: Any) -> list[e.Event]:
    return [
        e.Started(run="r1", task=TASK, judged=True, seed=3, model="m", sensors=(), controllers=()),
        e.Decide(phase="start", controller="decompose", decision=MakePlan()),
        e.Planned(text="…", plan=PLAN),
        e.Decide(phase="planned", controller="decompose", decision=Dispatch(instruction="one", plan=PLAN)),
        e.Observe(app="clock", screenshot=pixels),
        e.Sense(instruction="one", text="…", readings=(READING,), mass={"goal": 0.1}),
        e.Decide(phase="attempt", controller="remind", decision=Reminder(text="one")),
        e.Sense(instruction="one", text="?", unparsable="no tool call in '?'", mass={"goal": 0.25}),
        e.Decide(phase="attempt", decision=Proceed()),
        e.Act(action=Click(point=(0.5, 0.25)), outcome="done"),
        e.Act(action=None, outcome="unparsable"),
        e.Finish(
            ended="success", success=True, reason="the check holds", steps=2, optimal_steps=3, tokens=4, seconds=1
        ),
    ]


def test_a_picture_puts_two_pixels_in_a_cell() -> None:
    pixels = np.zeros((4, 3, 3), np.uint8)
    pixels[0, 0] = (255, 10, 20)
    pixels[1, 0] = (1, 2, 3)
    pixels[3, 2] = (9, 8, 7)
    out = console(force_terminal=True, color_system="truecolor")
    out.print(picture(pixels, columns=80, rows=40))
    cells = re.findall(r"\x1b\[38;2;(\d+);(\d+);(\d+);48;2;(\d+);(\d+);(\d+)m▄", drawn(out))
    assert len(cells) == 6
    assert cells[0] == ("1", "2", "3", "255", "10", "20")
    assert cells[5] == ("9", "8", "7", "0", "0", "0")


@pytest.mark.parametrize(("columns", "rows"), [(40, 20), (10, 50), (500, 500), (0, 0)])
@pytest.mark.parametrize("shape", [(256, 144), (101, 333), (1, 1)])
def test_a_picture_fits_and_keeps_its_aspect_ratio(shape: tuple[int, int], columns: int, rows: int) -> None:
    out = console(600)
    out.print(picture(np.full((*shape, 3), 200, np.uint8), columns, rows))
    inside = [line for line in drawn(out).splitlines() if "▄" in line]
    height, width = 2 * len(inside), len(inside[0]) - 2
    assert all(line == "│" + width * "▄" + "│" for line in inside)
    assert width <= min(max(columns, 1), shape[1])
    assert height <= 2 * max(rows, 1)
    assert height <= shape[0] + 1
    if width > 5:
        assert abs(height - width * shape[0] / shape[1]) <= 2  # one cell


def test_a_picture_is_drawn_with_256_colours_too() -> None:
    out = console(force_terminal=True, color_system="256")
    out.print(picture(np.full((2, 1, 3), (255, 0, 0), np.uint8), 10, 10))
    assert "\x1b[38;5;196;48;5;196m▄" in drawn(out)


def test_the_words_of_an_episode() -> None:
    said = [line.strip() for event in episode(None) for line in lines(event, Grid(144, 256))]
    assert said == [
        "r1: m, clock_timer, seed 3",
        "goal: start the timer [now]",
        "rule: never call",
        "decompose asks for a plan",
        "plan: one | two",
        "decompose dispatches subtask 1 of 2: one",
        "step 1: on clock",
        "attention goal 4.00",
        "attention_drift -1.20 ALARM (goal fell)",
        "remind reminds: one",
        "attention goal 25.00",
        "unparsable: no tool call in '?'",
        "tap [72, 64]",
        "no action: the model's answer contained none",
        "success: the check holds (2 steps, 4 tokens, 1.00 s)",
    ]


def test_every_other_event_has_words_too() -> None:
    grid = Grid(10, 10)
    others = [
        e.Decide(phase="attempt", controller="c", decision=Ask(question="q?", cause="unsure")),
        e.Decide(phase="attempt", controller="c", decision=Stop(reason="r", cause="lost")),
        e.Planned(text="x", error="no plan in 'x'"),
        e.Act(action=Click(point=(0, 0)), outcome="refused", error="no such place"),
        e.Asked(question="q?", answer="yes"),
        e.Failed(component="sensor", name="warm", error="sensor 'warm' raised ValueError: too hot"),
    ]
    assert all(list(lines(event, grid)) for event in others)
    assert "refused: no such place" in next(lines(others[3], grid))


def test_bars_show_intensities_or_else_shares() -> None:
    assert spans_of(e.Sense(instruction="", text="", readings=(READING,), mass={"goal": 0.1})) == {"goal": 4.0}
    assert spans_of(e.Sense(instruction="", text="", mass={"goal": 0.1})) == pytest.approx({"goal": 10.0})
    assert spans_of(e.Sense(instruction="", text="")) == {}
    assert spans_of(e.Sense(instruction="", text="", mass={"goal": 0.5, "rules": float("nan")})) == {"goal": 50.0}


def test_plain_lines_carry_no_escape_and_take_brackets_as_they_are() -> None:
    out = console(width=20)
    with view_for(out) as view:
        assert isinstance(view, PlainView)
        for event in episode(np.zeros((256, 144, 3), np.uint8)):
            view.show(event)
    text = drawn(out)
    assert "\x1b" not in text
    assert "goal: start the timer [now]\n" in text
    assert "tap [72, 64]\n" in text


@pytest.mark.parametrize("colours", ["truecolor", "256", "standard", None])
@pytest.mark.parametrize("width", [120, 80, 40, 20])
def test_the_board_shows_screen_goal_bars_and_log(colours: Any, width: int) -> None:
    out = console(width, force_terminal=True, color_system=colours)
    with view_for(out) as view:
        assert isinstance(view, DrawnView)
        for event in episode(np.full((256, 144, 3), 77, np.uint8)):
            view.show(event)
        with view.pause():
            out.print("asked")
    text = drawn(out)
    assert ("▄" in text) == (colours is not None)  # without colours, half blocks would be a grey field
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    for words in ("one", "step 1", "goal", "success: the"):
        assert words in last
    assert "asked" in text


def test_a_dumb_terminal_gets_plain_lines_and_no_color_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(view_for(console(force_terminal=True)), PlainView)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    out = console(force_terminal=True)
    assert picture_for(out) is None
    with view_for(out) as view:
        assert isinstance(view, DrawnView)
        for event in episode(np.full((256, 144, 3), 77, np.uint8)):
            view.show(event)
    styles = re.findall(r"\x1b\[([0-9;]*)m", drawn(out))
    assert not {code for style in styles for code in style.split(";") if code[:1] in ("3", "4", "9")} - {"3", "4", "9"}


def test_plain_is_a_choice_on_a_terminal_too() -> None:
    assert isinstance(view_for(console(force_terminal=True), plain=True), PlainView)


def test_the_board_takes_what_a_run_may_bring() -> None:
    out = console(20, force_terminal=True, color_system="truecolor")
    odd = Reading(sensor="x[/]", value=1e308, reason="[bold", by_span={"a": SpanReading(intensity=1e308)})
    with view_for(out) as view:
        view.show(e.Observe(app="clock", screenshot=np.zeros((7, 2, 3), np.uint8)))
        view.show(e.Sense(instruction="[/]", text="", readings=(odd,), mass={"a": 0.0}))
        view.show(e.Decide(phase="attempt", controller="c", decision=Refuse(reason="[/no]")))
    assert "[/no]" in drawn(out)
