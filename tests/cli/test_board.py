"""The drawn board: bars against each span's own median, targets by name, costs, and a layout that holds."""

from __future__ import annotations

import io
import math
import re
from statistics import median
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from homeostat import actions as a
from homeostat.agent import events as e
from homeostat.cli.action_text import action_words
from homeostat.cli.board import DrawnView
from homeostat.cli.event_text import reading_line
from homeostat.cli.pictures import HalfBlocks
from homeostat.cli.span_bars import span_bars
from homeostat.cli.span_levels import SpanHistory, SpanLevel
from homeostat.cli.tally import Tally, attempt_cost, seconds
from homeostat.envs.core import TaskInfo
from homeostat.envs.grid import Grid
from homeostat.observation import Element
from homeostat.sensors.readings import Reading, SpanReading, not_judged

GRID = Grid(100, 200)
SCREEN = (
    Element(role="list", text="", box=(0, 0, 1, 1)),
    Element(role="button", text="Save", box=(0.1, 0.1, 0.3, 0.2)),
    Element(role="button", text="delete", box=(0.1, 0.3, 0.3, 0.4)),
    Element(role="button", text="delete", box=(0.1, 0.5, 0.3, 0.6)),
    Element(role="field", text="", box=(0.5, 0.5, 0.9, 0.6)),
    Element(role="text", text="two\nlines " + 30 * "long ", box=(0.5, 0.7, 0.9, 0.8)),
)


def sense(values: dict[str, float], *, alarm: str | None = None, **more: Any) -> e.Sense:
    spans = {label: SpanReading(intensity=value) for label, value in values.items()}
    reading = Reading(sensor="drift", value=-1.0, alarm=alarm is not None, span=alarm, by_span=spans)
    return e.Sense(instruction="go on", text="", readings=(reading,), **more)


def test_targets_are_named_and_coordinates_stand_in_where_nothing_has_a_name() -> None:
    assert action_words(a.Click(point=(0.2, 0.15)), GRID, SCREEN) == "tap “Save”"
    assert action_words(a.LongPress(point=(0.2, 0.15), seconds=2), GRID, SCREEN) == "press “Save” for 2 s"
    assert action_words(a.Click(point=(0.2, 0.35)), GRID, SCREEN) == "tap “delete” at [20, 70]"
    assert action_words(a.Click(point=(0.6, 0.55)), GRID, SCREEN) == "tap field at [60, 110]"
    assert action_words(a.Click(point=(0.9, 0.05)), GRID, SCREEN) == "tap list at [90, 10]"
    assert action_words(a.Click(point=(0.2, 0.15)), GRID) == "tap [20, 30]"
    assert action_words(a.Click(point=(0.6, 0.75)), GRID, SCREEN).startswith("tap “two lines long ")
    assert len(action_words(a.Click(point=(0.6, 0.75)), GRID, SCREEN)) < 60
    assert action_words(a.Swipe(point=(0.2, 0.15), to=(0.9, 0.15)), GRID, SCREEN) == "swipe right on “Save”"
    assert action_words(a.Swipe(point=(0.5, 0.9), to=(0.5, 0.1)), GRID, SCREEN) == "swipe up"
    assert action_words(a.Type(text="milk"), GRID, SCREEN) == "type “milk”"
    assert action_words(a.SystemButton(button="Back"), GRID, SCREEN) == "back"


def test_a_level_is_the_ratio_to_the_median_of_the_same_spans_earlier_values() -> None:
    history, rng = SpanHistory(), np.random.default_rng(3)
    before: dict[str, list[float]] = {"goal": [], "output": []}
    for step in range(12):
        values = {"goal": float(rng.lognormal(0, 0.7)), "output": float(rng.lognormal(4, 0.7))}
        for level in history.see(sense(values)):
            earlier = before[level.label]
            assert level.value == values[level.label]
            assert level.usual == (median(earlier) if earlier else None)
            if earlier:
                ratio = values[level.label] / median(earlier)
                assert level.ratio == pytest.approx(ratio)
                assert level.departs == (step >= 3 and not 0.5 <= ratio <= 2)
                assert level.direction == (("above" if ratio > 1 else "below") if level.departs else "")
            before[level.label].append(values[level.label])


def test_candidates_and_shares_do_not_move_the_median_of_intensities() -> None:
    history = SpanHistory()
    history.see(sense({"goal": 2.0}))
    history.see(sense({"goal": 50.0}, candidate=1))
    history.see(e.Sense(instruction="", text="", mass={"goal": 0.9}))
    (level,) = history.see(sense({"goal": 2.0}))
    assert level.usual == 2.0


def test_an_alarm_is_that_of_a_sensor_about_this_span_and_its_parts() -> None:
    levels = SpanHistory().see(sense({"goal": 1, "rules": 1, "tool.search": 1}, alarm="goal+tool"))
    assert {level.label for level in levels if level.alarm} == {"goal", "tool.search"}


def bar_of(line: str) -> tuple[int, int]:
    """How many cells of a bar are filled left and right of its middle."""
    left, right = re.search(r"([─█]+)│([─█]+)", line).groups()  # type: ignore[union-attr]
    assert len(left) == len(right)
    assert set(left.lstrip("─")) <= {"█"}
    assert set(right.rstrip("─")) <= {"█"}
    return left.count("█"), right.count("█")


@pytest.mark.parametrize("ratio", [0.01, 0.25, 0.5, 0.9, 1.0, 1.1, 2.0, 4.0, 1000.0])
def test_the_length_of_a_bar_is_the_logarithm_of_the_ratio_whatever_the_size(ratio: float) -> None:
    levels = [SpanLevel("goal", 0.01 * ratio, 0.01), SpanLevel("output", 90 * ratio, 90.0)]
    small, large = (line.plain for line in span_bars(levels, 60))
    assert bar_of(small) == bar_of(large)
    left, right = bar_of(small)
    wanted = round(max(-1, min(1, math.log2(ratio) / 2)) * 12)
    assert (left, right) == (max(-wanted, 0), max(wanted, 0))


@pytest.mark.parametrize("width", [20, 34, 40, 80, 200])
def test_bars_fit_and_colour_only_alarms_and_departures(width: int) -> None:
    levels = [
        SpanLevel("goal", 1.0),
        SpanLevel("输出" * 20, 12.0, 12.5),
        SpanLevel("history", 0.1, 1.0, departs=True),
        SpanLevel("output", 3.0, 1.0, alarm=True, departs=True),
    ]
    lines = span_bars(levels, width)
    assert all(cell_len(line.plain) <= width for line in lines)
    colours = [{str(span.style) for span in line.spans} | {str(line.style)} for line in lines]
    assert not any("red" in style or "yellow" in style for styles in colours[:2] for style in styles)
    assert not any("red" in style for style in colours[2])
    assert lines[2].plain.endswith("↓")
    assert any("red" in style for style in colours[3])
    assert lines[3].plain.endswith("!")


def test_tokens_and_seconds_are_counted_for_the_step_and_so_far() -> None:
    now = [100.0]
    tally = Tally(clock=lambda: now[0])
    for step, tokens in ((0, 5), (1, 7)):
        tally.see(e.Observe(step=step, app="x"))
        tally.see(e.Planned(step=step, text="", error="x", tokens=3))
        tally.see(e.Sense(step=step, instruction="", text="", tokens=tuple(range(tokens))))
        now[0] += 2.5
        assert (tally.step_tokens, tally.step_seconds) == (tokens + 3, 2.5)
    assert (tally.tokens, tally.seconds, tally.calls) == (18, 5.0, 4)
    cost = e.Sense(instruction="", text="", tokens=(1,), prompt_tokens=1812, cached_tokens=600, seconds=0.805)
    assert attempt_cost(cost) == "1 token in 0.81 s, from a prompt of 1,812 (600 cached)"
    assert attempt_cost(e.Sense(instruction="", text="")) == ""
    assert [seconds(value) for value in (0, 9.99, 9.999, 75.2, 99.7, 3599)] == [
        *("0.00 s", "9.99 s", "10 s", "75 s", "1 min 39 s", "59 min 59 s")
    ]


def test_a_reading_says_where_its_alarm_begins() -> None:
    def told(value: float, *, alarm: bool) -> str:
        return reading_line(Reading(sensor="s", value=value, threshold=-0.5, alarm=alarm, reason="r"))

    assert told(0.1, alarm=False) == "s +0.10 (r; alarm below -0.50)"
    assert told(-0.9, alarm=True) == "s -0.90 ALARM (r; alarm below -0.50)"
    assert told(0.1, alarm=True) == "s +0.10 ALARM (r; alarm above -0.50)"
    assert reading_line(not_judged("s", "no token", threshold=-0.5)) == "s not judged (no token)"


def board(width: int, height: int, events: list[e.Event], *, pictures: bool = True) -> list[str]:
    """The lines of the last drawing."""
    out = Console(
        file=io.StringIO(), width=width, height=height, force_terminal=True, color_system="truecolor", highlight=False
    )
    with DrawnView(out, pictures=HalfBlocks() if pictures else None, tally=Tally(clock=lambda: 0.0)) as view:
        for event in events:
            start = out.file.tell()
            view.show(event)
        text = out.file.getvalue()[start:]  # type: ignore[attr-defined]
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "").rstrip("\n").split("\n")


def long_run(steps: int) -> list[e.Event]:
    task = TaskInfo(name="t", goal="make a note of " + "everything " * 30, optimal_steps=1, max_steps=99)
    events: list[e.Event] = [e.Started(run="r", task=task, judged=True, seed=0, model="m", sensors=(), controllers=())]
    for step in range(steps):
        values = dict.fromkeys(("system", "rules", "goal", "history", "screen", "output"), 1.0 + step / 9)
        pixels = np.full((256, 144, 3), step, np.uint8)
        events += [
            e.Observe(step=step, app="notes", screenshot=pixels, elements=SCREEN),
            sense(values, step=step, tokens=(1, 2)),
            e.Act(step=step, action=a.Click(point=(0.2, 0.15))),
        ]
    return events


@pytest.mark.parametrize("pictures", [True, False])
@pytest.mark.parametrize("height", [8, 12, 24, 50])
@pytest.mark.parametrize("width", [20, 40, 71, 72, 80, 120, 250])
def test_every_size_of_terminal_holds_the_drawing_with_the_last_action(width: int, height: int, pictures: bool) -> None:
    lines = board(width, height, long_run(30), pictures=pictures)
    assert len(lines) <= height
    assert all(cell_len(line) <= width for line in lines)
    assert any("tap “Save”" in line for line in lines)
    assert any("30" in line for line in lines)


def test_what_is_usual_is_not_red_and_a_sensors_alarm_is() -> None:
    def styles(events: list[e.Event]) -> str:
        out = Console(file=io.StringIO(), width=80, height=40, force_terminal=True, color_system="standard")
        with DrawnView(out, pictures=None) as view:
            for event in events:
                view.show(event)
        return out.file.getvalue()  # type: ignore[attr-defined,no-any-return]

    quiet = [sense({"goal": 1.0, "output": 80.0}, step=n) for n in range(6)]
    assert "\x1b[31m" not in styles(quiet)
    assert "\x1b[1;31m" not in styles(quiet)
    assert "\x1b[1;31m" in styles([*quiet, sense({"goal": 1.0, "output": 80.0}, alarm="goal")])
    assert "\x1b[33m" in styles([*quiet, sense({"goal": 0.1, "output": 80.0})])
