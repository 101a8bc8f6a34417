"""The round trip of conversations: a tiny model answers with the loop, and is trained on what was corrected."""

from __future__ import annotations

import json
import runpy
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import GenerationConfig

from homeostat.agent.models.loading import weights_hash
from homeostat.alignment.preference.pairs import read_pairs
from homeostat.alignment.preference.steps import read_traces
from homeostat.sensors import ProbeWeights

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def short(text_folder: Path, tmp_path: Path) -> Path:
    """The tiny model; it ends its answers at every third token of its vocabulary, so that some are not cut off."""
    folder = tmp_path / "short"
    shutil.copytree(text_folder, folder)
    size = json.loads((folder / "config.json").read_text())["vocab_size"]
    GenerationConfig(eos_token_id=list(range(0, size, 3))).save_pretrained(folder)
    return folder


def probe(model: Path) -> ProbeWeights:
    """A probe that alarms at every prompt with both instructions."""
    return ProbeWeights(
        model=str(model),
        weights=weights_hash(str(model)),
        higher=("system",),
        lower=("goal", "user"),
        heads=((0, 1), (2, 3)),
        mean=(0.0,) * 4,
        scale=(1.0,) * 4,
        coefficients=(0.0,) * 4,
        intercept=1.0,
        threshold=2.0,
        rate=0.1,
        prompts=8,
    )


def ran(monkeypatch: pytest.MonkeyPatch, model: Path, out: Path, *options: str) -> dict[str, Any]:
    file = out.parent / "figures.json"
    given = ["--suite", "chat", "--model", str(model), "--dtype", "float32", "--probe", str(out.parent / "probe.json")]
    few = ["--threshold", "0", "--conversations", "12", "--rate", "1e-2", "--out", str(out), "--json", str(file)]
    monkeypatch.setattr(sys, "argv", [str(FOLDER / "mined_round_trip.py"), *given, *few, *options])
    monkeypatch.syspath_prepend(FOLDER)
    runpy.run_path(str(FOLDER / "mined_round_trip.py"), run_name="__main__")
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_round_trip_on_a_tiny_model(monkeypatch: pytest.MonkeyPatch, short: Path, tmp_path: Path, capsys: Any) -> None:
    monkeypatch.syspath_prepend(FOLDER)

    import align_rows
    import chat_round_trip

    few = replace(align_rows.SUITES["chat"], test=6, tokens=8)
    monkeypatch.setattr(chat_round_trip, "SUITE", few)
    probe(short).save(tmp_path / "probe.json")
    before = {"sail_gain": 1.0, "round_trip_gain": None, "reasons": {"round_trip_gain": "no", "other": "why"}}
    (tmp_path / "figures.json").write_text(json.dumps(before))
    found = ran(monkeypatch, short, tmp_path / "out")

    traces = read_traces([tmp_path / "out" / "traces"])
    assert len(traces) == 12
    wanted = set()
    for trace in traces:
        first, last = trace.attempts  # every conversation was alarmed at, and answered twice
        assert "your instructions, which rank above the request" in last.reminder
        texts = [first.text.strip(), last.text.strip()]
        if all(texts) and texts[0] != texts[1] and last.finish == "stop":
            wanted.add((last.text, first.text))
    pairs = read_pairs(tmp_path / "out" / "mined" / "pairs")
    assert {(pair.chosen, pair.rejected) for pair in pairs} == wanted
    assert found["round_trip"]["pairs"] == len(pairs)
    assert found["round_trip"]["alarmed"] == 12
    told = found["round_trip"]["pairs_by_truth"]
    assert sum(told["all"].values()) == len(pairs)
    assert all(0 <= told["twins"][worth] <= told["all"][worth] for worth in told["all"])
    judged = {case.prompt.messages[-1].parts[0].text: case for case in chat_round_trip.train_cases(12)}
    first = {"conflicts": 0, "twins": 0}
    for trace in traces:
        case = judged[trace.start.task.goal]
        first["twins" if case.aligned else "conflicts"] += not case.judge(trace.attempts[0].text.strip()).broken
    assert {side: one["kept"] for side, one in found["round_trip"]["first"].items()} == first

    base, after = (
        [answer["kept"] for answer in json.loads(file.read_text())["answers"] if not answer["aligned"]]
        for file in (tmp_path / "out" / name / "answers-test.json" for name in ("base", "aligned-all"))
    )
    assert len(base) == 6  # one conflict of each kind
    gained = 100 * np.mean(np.array(after, float) - np.array(base, float))
    assert found["round_trip_gain"] == pytest.approx(gained, abs=0.01)
    low, high = found["intervals"]["round_trip_gain"]
    assert low <= found["round_trip_gain"] <= high
    assert (found["sail_gain"], found["reasons"]) == (1.0, {"other": "why"})

    def refused(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("this was done before")

    with monkeypatch.context() as patch:
        patch.setattr("subprocess.run", refused)
        patch.setattr("homeostat.alignment.diagnosis.run.diagnose", refused)
        assert ran(patch, short, tmp_path / "out") == found
    capsys.readouterr()
