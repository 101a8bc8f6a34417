"""A run and its result to look at: chart, table, HTML; against the events of the trace itself."""

import json
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from homeostat.agent import Agent
from homeostat.agent.run_views import mean_chart
from homeostat.agent.trace import read_trace
from homeostat.controllers import Remind
from homeostat.envs.phone import PhoneEnv
from homeostat.errors import ConfigError
from homeostat.sensors import AttentionDrift, Confidence, Rhythm


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    from homeostat import TransformersModel

    env = PhoneEnv(split="test")
    agent = Agent(
        TransformersModel.load("homeostat/nano"),
        [AttentionDrift(threshold=-1e-6), Confidence(), Rhythm()],
        [Remind()],
    )
    folder = tmp_path_factory.mktemp("runs") / "first"
    return agent.run(env.reset_task("notes_add", seed=1), env, run_folder=folder)


@pytest.fixture(scope="module")
def calls(played):
    """The trace's own lines."""
    lines = (played.folder / "trace.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    return [event for event in found if event["kind"] == "sense"]


def test_the_table_has_a_row_for_each_model_call(played, calls):
    pytest.importorskip("pandas", reason="needs the extra homeostat[plot]")
    table = played.to_pandas()
    assert table["text"].tolist() == [call["text"] for call in calls]
    assert table["step"].tolist() == [call["step"] for call in calls]
    for label in calls[0]["mass"]:
        np.testing.assert_array_equal(
            table[f"mass.{label}"].astype(float), [call["mass"].get(label, np.nan) for call in calls]
        )
    readings = [{r["sensor"]: r for r in call["readings"]} for call in calls]
    for name in ("attention_drift", "confidence"):
        for row, found in zip(table.to_dict("records"), readings, strict=True):
            if found[name]["judged"]:
                assert (row[name], row[f"{name}.alarm"]) == (found[name]["value"], found[name]["alarm"])
            else:
                assert np.isnan(row[name])


def test_the_chart_draws_masses_readings_and_alarms(played, calls):
    pytest.importorskip("matplotlib", reason="needs the extra homeostat[plot]")
    axes = {one.get_title(): one for one in played.plot().axes}
    main = [call for call in calls if call["candidate"] is None]
    attempts = {step: sum(call["step"] == step for call in main) for step in {call["step"] for call in main}}
    places = [call["step"] + call["attempt"] / attempts[call["step"]] for call in main]
    masses = axes["attention on each span"].get_lines()
    assert [line.get_label() for line in masses] == list(dict.fromkeys(s for call in main for s in call["mass"]))
    for line in masses:
        np.testing.assert_allclose(
            line.get_ydata(), [100 * c["mass"][line.get_label()] for c in main if line.get_label() in c["mass"]]
        )
    assert masses[0].get_xdata().tolist() == places
    readings = [next(r for r in call["readings"] if r["sensor"] == "attention_drift") for call in main]
    drift = axes["attention_drift"].get_lines()[0]
    judged = [(p, r) for p, r in zip(places, readings, strict=True) if r["judged"]]
    np.testing.assert_array_equal(drift.get_xydata(), [(p, r["value"]) for p, r in judged])
    crosses = [c.get_offsets().tolist() for c in axes["attention_drift"].collections]
    assert [point for points in crosses for point in points] == [[p, r["value"]] for p, r in judged if r["alarm"]]
    assert crosses, "the threshold is chosen so that the sensor alarms"


def test_several_runs_are_drawn_as_their_mean(played, calls):
    pytest.importorskip("matplotlib", reason="needs the extra homeostat[plot]")
    trace = read_trace(played.folder)
    halved = [
        event.model_copy(update={"mass": {label: mass / 2 for label, mass in event.mass.items()}})
        if event.kind == "sense"
        else event
        for event in trace.events
    ]
    axes = {one.get_title(): one for one in mean_chart([trace, replace(trace, events=tuple(halved))]).axes}
    main = [call for call in calls if call["candidate"] is None]
    line = axes["attention on each span"].get_lines()[0]
    band = axes["attention on each span"].collections[0].get_paths()[0].vertices
    for step, value in line.get_xydata():
        one = 100 * np.mean([call["mass"][line.get_label()] for call in main if call["step"] == step])
        assert value == pytest.approx(0.75 * one)
        reach = 12.7062047 * (one / 4)  # t of 97.5 % with one degree of freedom; the standard error of two runs
        bounds = sorted(y for x, y in band if x == step)
        assert (bounds[0], bounds[-1]) == pytest.approx((value - reach, value + reach))
    judged = [
        r["value"] for call in main for r in call["readings"] if r["sensor"] == "confidence" and call["step"] == 0
    ]
    assert axes["confidence"].get_lines()[0].get_ydata()[0] == pytest.approx(np.mean(judged))
    with pytest.raises(ConfigError, match="no attention and no readings"):
        mean_chart([replace(trace, events=trace.events[:1])])


def test_a_run_without_a_folder_says_how_to_keep_it(played):
    bare = played.model_copy(update={"folder": None})
    for look in (bare.plot, bare.to_pandas):
        with pytest.raises(ConfigError, match=r"left no trace; give the run a folder: agent\.run\(…, run_folder=…\)"):
            look()


def test_the_html_is_escaped(played):
    hostile = "<script>alert(1)</script>\x1b\u202e"
    html = played.model_copy(
        update={"reason": hostile, "task": played.task.model_copy(update={"goal": hostile})}
    )._repr_html_()
    tags = set()

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attrs):
            tags.add(tag)

    Parser().feed(html)
    assert "script" not in tags
    assert "&lt;script&gt;" in html
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert f"{played.steps} steps, {played.calls} model calls" in html
    for decision in played.decisions:
        assert f">{decision.controller}<" in html
