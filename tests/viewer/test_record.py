"""The data of a run's page: the figures of the trace, and nothing that could harm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from homeostat.agent import read_trace
from homeostat.errors import TraceError
from homeostat.viewer import run_record
from homeostat.viewer.reading import read_run


@pytest.fixture
def folder(make: Any, tmp_path: Path) -> Path:
    return Path(make.write_run(tmp_path / "run"))


def attempts(record: dict[str, Any]) -> list[dict[str, Any]]:
    return [event for step in record["steps"] for event in step["events"] if event["what"] == "attempt"]


def test_the_figures_are_those_of_the_trace(folder: Path) -> None:
    record, trace = run_record(read_run(folder)), read_trace(folder)
    calls = trace.attempts
    assert record["totals"] == {
        "calls": 5,
        "tokens": sum(len(one.tokens) for one in calls),
        "prompt_tokens": sum(one.prompt_tokens for one in calls),
        "cached_tokens": sum(one.cached_tokens for one in calls),
        "seconds": sum(one.seconds for one in calls),
        "steps": len(trace.acts),
        "alarms": {"attention_drift": 1},
        "corrections": {"remind": 1, "refuse": 1},
    }
    told = attempts(record)
    assert [one["mass"] for one in told] == [dict(one.mass) for one in calls]
    values = [[reading.value for reading in one.readings] for one in calls]
    assert [[reading["value"] for reading in one["readings"]] for one in told] == values
    assert [step["screen"] for step in record["steps"]] == [one.screen for one in trace.events if one.kind == "observe"]
    assert record["finish"]["ended"] == "premature"


def test_a_correction_tells_its_cause_and_its_effect(folder: Path) -> None:
    remind, refuse = run_record(read_run(folder))["corrections"]
    assert remind["trigger"] == "attention_drift alarmed: −1.5 < −0.7 (goal: intensity 0.4 against 1.9)"
    assert remind["decision"] == "remind: “the goal is: save the note”"
    assert remind["effect"] == "goal 0.8 % → 3.4 %; attention_drift −1.5 → −0.1, no longer alarming; same answer"
    assert (remind["before"], remind["after"]) == ([1, 0, None], [1, 1, None])
    assert {"span": "goal", "before": 0.008, "after": 0.034} in remind["masses"]
    assert refuse["trigger"] == "rule: never save"
    assert refuse["after"] == [3, 0, None]
    assert refuse["changed"] == {"text": False, "action": True}


def test_an_action_is_named_after_what_it_hits(folder: Path) -> None:
    record = run_record(read_run(folder))
    assert [step["act"]["words"] for step in record["steps"]][:2] == ["tap “save”", "type “milk”"]
    assert record["steps"][0]["act"]["places"] == {"point": [0.2, 0.7], "to": None, "box": [0.0, 0.5, 0.5, 1.0]}
    assert record["steps"][1]["act"]["places"] is None


def test_long_texts_are_cut_and_control_characters_are_visible(make: Any, tmp_path: Path) -> None:
    folder = make.write_run(tmp_path / "run", text="\x1b[2J\u202e" + "x" * 2_000_000, steps=2)
    record = run_record(read_run(folder))
    text = attempts(record)[0]["text"]
    assert text.startswith("\\u001b[2J\\u202exxx")
    assert len(json.dumps(record)) < 4_000_000
    assert any("cut after" in note for note in record["notes"])


def test_no_number_of_a_trace_stops_the_page(make: Any, tmp_path: Path) -> None:
    folder = make.write_run(tmp_path / "run", steps=1, attention=False)
    path = folder / "trace.jsonl"
    before = path.read_text()
    for value in ("1e308", "1e17", "-1e308", "0", "-0.1"):
        path.write_text(before.replace('"logprobs":[-0.1,-0.1,-0.1]', f'"logprobs":[{value}]'))
        assert path.read_text() != before
        (attempt,) = attempts(run_record(read_run(folder)))
        assert 0 <= attempt["probability"] <= 1


def test_what_is_damaged_is_left_out_and_said(folder: Path) -> None:
    path = folder / "trace.jsonl"
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([*lines[:3], b'{"kind": "sense"', b"\xff\xfe", *lines[3:6], b'{"step": 1, "ki']))
    record = run_record(read_run(folder))
    assert record["finish"] is None
    assert record["notes"][0] == "The trace is damaged: 2 lines are no event and left out, the first is line 4."
    assert "incomplete" in record["notes"][1]
    assert len(attempts(record)) == 1
    path.write_bytes(b"\n".join(lines[1:]))
    with pytest.raises(TraceError, match="does not begin with a start event"):
        read_run(folder)
