"""The hierarchy table's command: what it counts, on answers that are known, and on a tiny model from end to end."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from homeostat.agent import TransformersModel
from homeostat.alignment import Localization
from homeostat.alignment.conflicts.chat import hierarchy_twins
from homeostat.alignment.conflicts.core import cases_of
from homeostat.controllers import Pull, Remind, SetPoint, Steer
from homeostat.sensors import Actuator, ProbeWeights

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return lambda name: runpy.run_path(str(BENCHMARKS / f"{name}.py"))


def test_the_shares_and_their_paired_differences(benchmark: Any) -> None:
    summary = benchmark("evidence_hierarchy")["summary"]
    twins = hierarchy_twins("dev")
    cases = cases_of(next(twins) for _ in range(4))
    costs = {"tokens": 10, "calls": 8, "cpu_seconds": 1.0}
    good = {
        "bare": [True, True, False, True, False, True, False, False],
        "wild": [True, False, True, False, True, False, True, False],
        "mild": [True, True, True, True, False, True, False, False],
        "default": [False, True, False, True, False, True, False, False],
    }
    answers = {row: {c.id: [kept, ""] for c, kept in zip(cases, one, strict=True)} for row, one in good.items()}
    played = {"chat": {row: {"answers": one, **costs} for row, one in answers.items()}}
    found = summary({"chat": cases}, played, None)
    chat = found["table"]["chat"]
    assert [chat[row]["kept"]["mean"] for row in good] == [0.25, 1.0, 0.5, 0.0]
    assert [chat[row]["twins"]["mean"] for row in good] == [0.75, 0.0, 0.75, 0.75]
    assert [chat[row]["gain"]["mean"] for row in good] == [0.0, 0.75, 0.25, -0.25]
    assert chat["bare"]["by_kind"][f"{cases[0].kind} aligned"] == [1, 1]
    assert found["pooled"]["mild"]["gain"] == chat["mild"]["gain"]
    assert (found["best"], found["best_gain"], found["best_twins"]) == ("mild", 25.0, 0.0)  # the wild row loses twins
    assert found["default_worst"] == -25.0
    rules = [case for case in cases if case.aligned]  # a set without conflicts, such as S-IFEval
    alone = {row: {"answers": {c.id: one[c.id] for c in rules}, **costs} for row, one in answers.items()}
    alone["default"]["answers"][rules[0].id] = [False, ""]
    both = summary({"chat": cases, "rules": rules}, played | {"rules": alone}, "mild")
    assert "gain" not in both["table"]["rules"]["mild"]
    assert both["best_gain"] == 25.0
    assert summary({"rules": rules}, {"rules": alone}, "mild")["best_gain"] is None
    assert summary({"rules": rules}, {"rules": alone}, "mild")["default_worst"] == -25.0
    chosen = summary({"chat": cases}, played, "wild")  # what was chosen before stays chosen
    assert (chosen["best"], chosen["best_gain"], chosen["best_twins"]) == ("wild", 75.0, -75.0)


def test_every_row_is_what_its_name_says(benchmark: Any) -> None:
    made = benchmark("hierarchy_rows")["controllers_of"]
    heads = frozenset({(1, 2)})
    (pull,) = made("pull 3 2", heads)
    assert isinstance(pull, Pull)
    assert (pull.base, pull.slope, pull.heads) == (3.0, 2.0, heads)
    (alarm,) = made("alarm to0.3", heads)
    assert isinstance(alarm, Steer)
    assert (alarm.when, alarm.sensors) == ("alarm", {"conflict_probe"})
    assert (alarm.actuators[0].target, alarm.actuators[0].heads) == (0.3, heads)
    (always,) = made("all x8", heads)
    assert (always.when, always.actuators[0].gain, always.actuators[0].heads) == ("always", 8.0, None)
    (told,) = made("remind", heads)
    assert isinstance(told, Remind)
    assert "{system}" in told.goal_text
    (both,) = made("both 3 2", heads)
    assert isinstance(both, Remind)
    assert both.pull == Pull(base=3.0, slope=2.0, heads=heads)
    assert both.sensors == {"conflict_probe"}
    (pgi,) = made("both-pgi 3 2", heads)
    assert (pgi.pull, pgi.system_text) == (both.pull, Remind.pgi().system_text)
    (zero,) = made("zero-focal x1.5", heads)
    assert (zero.actuators[0].gain, zero.actuators[0].heads) == (1.5, heads)
    held, asked = made("remind-set-point 2", heads)
    assert isinstance(held, SetPoint)
    assert (held.set_point, held.span, asked.sensors) == (2.0, "system", {"conflict_probe"})
    assert made("bare", heads) == ()
    for row in ("default", "remind-pgi", "remind-alarm", "remind-pgi-alarm", "remind-pull 3 2", "spotlight", "act"):
        assert made(row, heads)
    for row in ("spotlight-exact", "pasta", "instaboost"):
        assert made(row, heads)[0].actuators[0].span == "system"
    with pytest.raises(SystemExit, match="no row 'push 3'"):
        made("push 3", heads)


def test_a_row_may_have_a_threshold_of_its_own(benchmark: Any) -> None:
    made = benchmark("hierarchy_rows")["row_of"]
    probe = weights(((1, 2),))
    (own,) = made("both 3 2", probe).sensors
    assert own.threshold == 0.0
    (other,) = made("both 3 2 above -0.25", probe).sensors
    assert other.threshold == -0.25
    assert made("both 3 2", probe).controllers == made("both 3 2 above -0.25", probe).controllers
    names = [sensor.name for sensor in made("remind-set-point 2", probe).sensors]
    assert names == ["conflict_probe", "attention_drift"]


def weights(heads: tuple[tuple[int, int], ...], model: str = "") -> ProbeWeights:
    wide = 2 * len(heads)
    return ProbeWeights(
        model=model, higher=("system",), lower=("user",), heads=heads, mean=(0.0,) * wide, scale=(1.0,) * wide,
        coefficients=(0.0,) * wide, intercept=1.0, threshold=0.0, rate=0.1, prompts=8,
    )  # fmt: skip


def test_a_run_from_end_to_end_goes_on_where_it_was(text_folder: Path, tmp_path: Path) -> None:
    heads = ((0, 0), (2, 1))
    table = ((0.0,) * 4,) * 4
    found = dict.fromkeys(("magnitude", "direction", "distribution", "score"), table)
    local = Localization(model=str(text_folder), twins=4, higher=("system",), heads=heads, layers=(2,), **found)
    local.save(tmp_path / "localization.json")
    weights(heads, str(text_folder)).save(tmp_path / "probe.json")
    told = [sys.executable, str(BENCHMARKS / "evidence_hierarchy.py"), "--model", str(text_folder), "--heads"]
    told += [
        str(tmp_path / "localization.json"),
        "--probe",
        str(tmp_path / "probe.json"),
        "--count",
        "6",
        "--tokens",
        "4",
    ]
    told += [
        "--rows",
        "pull 3 2,remind-alarm,both 3 2,both 3 2 above 9",
        "--out",
        str(tmp_path / "out"),
        "--json",
        str(tmp_path / "table.json"),
    ]
    first = subprocess.run(told, capture_output=True, text=True, check=True)
    told_of = json.loads((tmp_path / "table.json").read_text())["table"]["chat"]
    assert set(told_of) == {"bare", "pull 3 2", "remind-alarm", "both 3 2", "both 3 2 above 9"}
    calls = {row: one["calls"] for row, one in told_of.items()}
    always = {"pull 3 2": 24, "remind-alarm": 24, "both 3 2": 24}  # this probe alarms at every prompt
    assert calls == {"bare": 12, **always, "both 3 2 above 9": 12}
    journal = next((tmp_path / "out").iterdir())
    before = journal.stat().st_mtime_ns
    again = subprocess.run(told, capture_output=True, text=True, check=True)
    assert again.stdout == first.stdout
    assert journal.stat().st_mtime_ns == before
    told[told.index(str(tmp_path / "out"))] = str(tmp_path / "remembered")
    shared = subprocess.run([*told, "--remember"], capture_output=True, text=True, check=True)
    assert shared.stdout == first.stdout
    one, other = (json.loads(next((tmp_path / name).iterdir()).read_text()) for name in ("out", "remembered"))
    assert {row: found["answers"] for row, found in one.items()} == {row: f["answers"] for row, f in other.items()}
    assert {row: found["calls"] for row, found in one.items()} == {row: f["calls"] for row, f in other.items()}


def test_a_killed_row_goes_on_behind_its_last_part(benchmark: Any) -> None:
    completed = benchmark("evidence_hierarchy")["completed"]
    twins = hierarchy_twins("dev")
    cases = cases_of(next(twins) for _ in range(5))
    asked: list[int] = []
    kept: list[dict[str, Any]] = []

    def play(some: list[Any]) -> dict[str, Any]:
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(len(some))
        return {"answers": {c.id: [True, c.id] for c in some}, "tokens": 7, "calls": len(some), "cpu_seconds": 0.5}

    with pytest.raises(KeyboardInterrupt):
        completed(None, play, cases, 4, kept.append)
    assert [len(row["answers"]) for row in kept] == [4, 8]
    asked.clear()
    row = completed(kept[-1], play, cases, 4, kept.append)
    assert asked == [2]
    assert list(row["answers"]) == [case.id for case in cases]
    assert (row["tokens"], row["calls"], row["cpu_seconds"]) == (21, 10, 1.5)
    assert completed(row, play, cases, 4, kept.append) is row


def test_adapters_are_counted_on_the_cases_of_the_chat_column(benchmark: Any) -> None:
    rows = benchmark("hierarchy_adapters")["adapter_rows"]
    twins = hierarchy_twins("dev")
    cases = cases_of(next(twins) for _ in range(4))
    cases = [case for aligned in (False, True) for case in cases if case.aligned is aligned]
    kinds = {"conflict": [c.kind for c in cases if not c.aligned], "aligned": [c.kind for c in cases if c.aligned]}
    base = {"kept": [True, False, False, True], "both": [True, True, False, False], "kinds": kinds}
    tuned = {"kept": [True, True, True, False], "both": [False, True, False, False], "seed": 3}
    found = rows({"base": [base], "dpo": [tuned]}, cases, [*cases[:3], *cases[4:6]])
    assert found["cases"] == {"conflicts": 3, "aligned": 2}
    assert list(found["rows"]) == ["base", "dpo, seed 3"]
    one = found["rows"]["dpo, seed 3"]
    assert [one[key]["mean"] for key in ("kept", "twins")] == [1.0, 0.5]
    assert [one[key]["mean"] for key in ("gain", "twins_gain")] == pytest.approx([2 / 3, -0.5])
    fewer = {"conflict": kinds["conflict"][:3], "aligned": kinds["aligned"][:1]}
    short = {"kept": [True] * 3, "both": [True], "kinds": fewer}
    with pytest.raises(SystemExit, match="asked 4 of the 5 cases"):
        rows({"base": [short]}, cases[:3] + cases[4:5], [*cases[:3], *cases[4:6]])
    with pytest.raises(SystemExit, match="other cases"):
        rows({"base": [base]}, cases[1:], cases[:2])


def test_an_equal_call_is_answered_from_memory(benchmark: Any, text_folder: Path) -> None:
    model = TransformersModel.load(str(text_folder))
    remembering = benchmark("remembering")["Remembering"](model, 4)
    (case, _) = cases_of([next(hierarchy_twins("dev"))])
    (first,) = remembering.generate(case.prompt, max_new_tokens=3, seed=1)
    (again,) = remembering.generate(case.prompt, max_new_tokens=3, seed=2)
    (alone,) = model.generate(case.prompt, max_new_tokens=3)
    assert again is first
    assert first.tokens == alone.tokens
    assert remembering.asked == 1
    steered = (Actuator("system", gain=30.0),)
    remembering.generate(case.prompt, max_new_tokens=3, steer=steered)
    remembering.generate(case.prompt, max_new_tokens=2)
    assert remembering.asked == 3
    remembering.generate(case.prompt, max_new_tokens=3, temperature=1.0, seed=1)
    remembering.generate(case.prompt, max_new_tokens=3, temperature=1.0, seed=1)
    assert remembering.asked == 5  # what is drawn is drawn anew
    remembering.close()
