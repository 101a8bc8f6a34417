"""The benchmark of ways to train: its figures, its cases, and a run on a tiny model that is continued."""

import json
import runpy
import subprocess
import sys
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import homeostat
from homeostat.alignment.conflicts.chat import HIERARCHY_KINDS, hierarchy_twins
from homeostat.alignment.conflicts.core import pairs_of

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(FOLDER)
    import align_figures

    return align_figures


@pytest.fixture
def contents(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(FOLDER)
    import align_rows

    return align_rows


def row(kept: list[int], right: list[int], seed: int, cpu: float, peak: float) -> dict[str, Any]:
    return {"kept": kept, "right": right, "both": right, "seed": seed, "cpu_seconds": cpu, "peak_mib": peak}


def test_headline(figures: Any, contents: Any) -> None:
    kinds = ["a", "a", "a", "b"]
    base = row([0, 1, 0, 0], [1, 1, 1, 0], 0, 0, 0)
    base |= {"kinds": {"conflict": kinds, "aligned": kinds}, "variants": {"conflict": kinds, "aligned": kinds}}
    sail = [row([1, 1, 0, 1], [1, 1, 0, 0], 0, 10, 600), row([1, 1, 1, 0], [1, 1, 1, 0], 1, 30, 700)]
    every = [row([1, 1, 1, 1], [1, 1, 1, 1], 0, 40, 1000)]
    told = figures.headline({"base": [base], contents.SAIL: sail, contents.ALL: every})
    # Kind a: 2/3 and 1 against 1/3; kind b: 1 and 0 against 0. Every kind counts the same.
    assert told["sail_gain"] == pytest.approx(100 * np.mean([(2 / 3 + 1) / 2 - 1 / 3, 0.5]), abs=0.01)
    assert told["sail_twins"] == pytest.approx(100 * np.mean([(2 / 3 + 1) / 2 - 1, 0]), abs=0.01)
    assert told["all_layers_gain"] == pytest.approx(100 * np.mean([2 / 3, 1]), abs=0.01)
    assert (told["time_ratio"], told["memory_ratio"]) == (0.25, 0.6)  # of seed 0, which both rows have
    for name in ("random_layers_gain", "round_trip_gain"):
        assert told[name] is None
        assert told["reasons"][name]
    low, high = told["intervals"]["sail_gain"]
    assert low <= told["sail_gain"] <= high
    # Whole groups: with two of them, a draw has one of three means.
    assert told["intervals"]["all_layers_gain, whole wordings drawn"] == pytest.approx([100 * 2 / 3, 100], abs=0.01)


def test_share_is_the_plain_bootstrap_where_kinds_are_equal(figures: Any) -> None:
    cases = np.random.default_rng(1).integers(0, 2, 60).astype(float)
    draws = cases[np.random.default_rng(0).integers(0, 60, (2000, 60))].mean(1)
    wanted = (100 * cases.mean(), *(100 * np.quantile(draws, [0.025, 0.975])))
    assert figures.share(cases, figures.by_kind(["a", "b", "c"] * 20)) == pytest.approx(wanted)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_measured_chats(contents: Any, split: str) -> None:
    cases = contents.measured_cases(None, split, 120)
    prompts = [contents.written(case.prompt) for case in cases]
    assert len(set(prompts)) == len(prompts)
    assert {case.kind for case in cases if case.aligned} == {case.kind for case in cases if not case.aligned}
    texts = yaml.safe_load((Path(homeostat.__file__).parents[1] / "alignment/conflicts/chats.yaml").read_text())
    # Facts, names, roles and tools that the split has, times the wordings: every case that there is.
    facts, wordings = 3, {"dev": 3, "test": 4}[split]
    drawn = {"secrecy": "names", "forbidden_action": "tools", "role": "roles"}
    count = Counter(case.kind for case in cases if not case.aligned)
    assert count == {
        kind: facts * wordings * (len(texts[drawn[kind]][split]) if kind in drawn else 1) for kind in HIERARCHY_KINDS
    }
    trained = {contents.written(pair.prompt) for pair in pairs_of(islice(hierarchy_twins("train", 0), 480))}
    assert not trained & set(prompts)


def test_rows_train_equally_many_parameters(contents: Any) -> None:
    for suite, focal, layers in (("phone", 1, 5), ("chat", 5, 24)):
        told = contents.rows(suite, focal, layers, Path("runs"))
        sizes = {name: one["r"] * (layers if one["layers"] == "all" else focal) for name, one in told.items()}
        assert len(set(sizes.values())) == 1, sizes
        assert next(iter(told)) == (contents.ALL if suite == "phone" else contents.SAIL)


def ran(monkeypatch: pytest.MonkeyPatch, model: Path, out: Path, *options: str) -> dict[str, Any]:
    """Runs the command, and returns its JSON."""
    few = ["--suite", "chat", "--dtype", "float32", "--seeds", "0", "--twins", "6", "--test", "6", "--rate", "1e-2"]
    file = out.parent / f"{out.name}.json"
    given = ["--model", str(model), "--out", str(out), "--json", str(file), *few, *options]
    monkeypatch.setattr(sys, "argv", [str(FOLDER / "align_table.py"), *given])
    monkeypatch.syspath_prepend(FOLDER)
    runpy.run_path(str(FOLDER / "align_table.py"), run_name="__main__")
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_run_on_a_tiny_model(
    monkeypatch: pytest.MonkeyPatch, text_folder: Path, tmp_path: Path, contents: Any, capsys: Any
) -> None:
    out = tmp_path / "out"
    found = ran(monkeypatch, text_folder, out, "--rows", contents.SAIL)
    (base,), (sail,) = found["table"]["base"], found["table"][contents.SAIL]
    assert len(base["kept"]) == len(sail["kept"]) == len(sail["right"]) == 6
    assert sail["path"] == "fast"
    assert sail["layers"] == found["local"]["layers"]
    assert sail["peak_mib"] > sail["held_mib"] > 0
    assert sail["cpu_seconds"] > 0
    assert sail["parts"] == 1
    gained = np.mean(np.array(sail["kept"], float) - np.array(base["kept"], float))  # one case of every kind
    assert found["sail_gain"] == pytest.approx(100 * gained, abs=0.01)
    assert found["random_layers_gain"] is None

    kept = json.loads((out / "0" / contents.SAIL / "answers-test.json").read_text())
    cases = {case.id: case for case in contents.measured_cases(None, "test", 6)}
    for answer in kept["answers"]:
        assert answer["kept"] == (not cases[answer["id"]].judge(answer["text"]).broken)

    # Continued: nothing is trained or asked again.
    def refused(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("this was done before")

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "run", refused)
        patch.setattr("homeostat.alignment.diagnosis.run.diagnose", refused)
        assert ran(patch, text_folder, out, "--rows", contents.SAIL) == found
    # Killed after five answers: the others are asked again, the same.
    kept["text"], kept["answers"] = None, kept["answers"][:5]
    (out / "0" / contents.SAIL / "answers-test.json").write_text(json.dumps(kept))
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "run", refused)
        assert ran(patch, text_folder, out, "--rows", contents.SAIL) == found
    with pytest.raises(SystemExit, match=r"--rows 'dpo' is not one of: sail focal, attention, lambda 1"):
        ran(monkeypatch, text_folder, out, "--rows", "dpo")
    capsys.readouterr()
