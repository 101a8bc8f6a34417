"""``homeostat plot``: every kind is drawn from the files of the commands that write them; bad input is one line."""

import json
from pathlib import Path

import numpy as np
import pytest

from homeostat.alignment.sail.localization import Localization
from homeostat.cli import plot_heads, plot_scores, plot_tables
from homeostat.controllers.profiles import HeadProfile
from homeostat.envs.harness import Result, compare, summary
from homeostat.sensors import ProbeWeights, SpanMass
from homeostat.sensors.calibration import Alarm, Calibration

pytest.importorskip("matplotlib", reason="needs the extra homeostat[plot]")
EVIDENCE = Path(__file__).resolve().parents[2] / "docs" / "evidence"


@pytest.fixture
def plot(capsys, monkeypatch):
    from homeostat.cli.root import main

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["homeostat", "plot", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return ended.value.code, out, err

    return run


def result(index, *, success=True, **more):
    given = {"steps": 3, "optimal_steps": 2, "calls": 4, "tokens": 50, "prompt_tokens": 900, "seconds": 1.5}
    ended = "success" if success else "budget"
    return Result(index=index, task="t", seed=index, goal="g", success=success, ended=ended, **given, **more)


def calibrated(file, values, episodes):
    """A calibration of one sensor that alarms below, with its journal."""
    alarm = Alarm(sensor="confidence", side="below", threshold=0.1, episodes=episodes, settings="")
    made = Calibration(model="m", weights=None, template="t", suite="s", split="dev", seed=0, rate=0.1, alarms=(alarm,))
    made.save(file)
    rows = [result(k, readings={"confidence": tuple(found)} if found else {}) for k, found in enumerate(values)]
    lines = [json.dumps({"arguments": {}}), *(row.model_dump_json() for row in reversed(rows))]
    file.with_name(f"{file.name}l").write_text("\n".join(lines) + "\n")
    return file


def test_roc_from_two_calibrations(tmp_path, plot):
    benign = calibrated(tmp_path / "b.json", [[0.9, 0.5], [0.7], [0.6], []], 4)
    attacked = calibrated(tmp_path / "a.json", [[0.4], [0.95, 0.55], [0.1]], 3)
    code, out, _ = plot("roc", benign, attacked, "--out", tmp_path / "x.png")
    assert (code, out) == (0, f"{tmp_path / 'x.png'}: roc\n")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    made = plot_scores.curves([benign, attacked], "")
    worst = {"benign": [0.5, 0.7, 0.6, np.inf], "attacked": [0.4, 0.55, 0.1]}
    pairs = [(a < b) + 0.5 * (a == b) for a in worst["attacked"] for b in worst["benign"]]
    assert made.figure.legends[0].get_texts()[0].get_text() == f"confidence: AUROC {np.mean(pairs):.2f}"


def test_roc_from_scores_and_from_the_detection_benchmark(tmp_path, plot):
    scores = tmp_path / "scores.json"
    scores.write_text(json.dumps({"mine": {"positive": [3, 2], "negative": [1, 2]}}))
    assert plot("roc", scores, "--out", tmp_path / "x.svg", "--title", "Mine & <b>")[0] == 0
    svg = (tmp_path / "x.svg").read_text()
    assert "mine: AUROC 0.88" in svg
    assert "Mine &amp; &lt;b&gt;" in svg
    figures = json.loads((EVIDENCE / "detection.json").read_text())
    made = plot_scores.curves([EVIDENCE / "detection.json"], "")
    by_title = {axes.get_title(): axes for axes in made.axes}
    assert set(by_title) == set(figures["tasks"])
    rows = [label.get_text() for label in made.axes[0].get_yticklabels()]
    shown = by_title["chat"].containers[0][0].get_xydata()
    cell = figures["tasks"]["chat"]["cells"]["1x matched"]["rows"]
    for x, y in shown:
        assert x == cell[rows[round(y)]]["auroc"]["mean"]


def test_calibration_measures_the_held_out_episodes(tmp_path, plot):
    rng = np.random.default_rng(0)
    values = rng.random(60).round(3)
    file = calibrated(tmp_path / "c.json", [[v] for v in values], 40)
    assert plot("calibration", file, "--out", tmp_path / "x.png")[0] == 0
    points = plot_scores.calibration([file], "").axes[0].containers[0][0].get_xydata()
    known, fresh = np.sort(values[:40]), values[40:]
    wanted = []
    for rate in (0.05, 0.1, 0.15, 0.2, 0.25, 0.3):
        threshold = known[int(41 * rate + 1e-9) - 1]
        wanted.append((100 * rate, 100 * (fresh < threshold).mean()))
    np.testing.assert_allclose(points, wanted)
    none_left = calibrated(tmp_path / "d.json", [[v] for v in values], 60)
    code, _, err = plot("calibration", none_left, "--out", tmp_path / "x.png")
    assert (code, "has no held-out episodes" in err) == (2, True)
    stated = tmp_path / "p.json"
    stated.write_text(json.dumps({"judge": {"probabilities": [0.2, 0.25, 0.9], "outcomes": [0, 1, 1]}}))
    points = plot_scores.calibration([stated], "").axes[0].containers[0][0].get_xydata()
    np.testing.assert_allclose(points, [(22.5, 50), (90, 100)])


def test_heads_of_every_file_that_names_heads(tmp_path, plot):
    table = ((0.1, 0.2), (0.3, 0.4), (0.5, 0.6))
    found = Localization(
        model="m", twins=3, higher=("system",), magnitude=table, direction=table, distribution=table, score=table,
        heads=((2, 1), (1, 0)), layers=(2,),
    )  # fmt: skip
    found.save(tmp_path / "localization.json")
    assert plot("heads", tmp_path, "--out", tmp_path / "x.png")[0] == 0
    maps = plot_heads.heads([tmp_path], "").axes[:4]
    for axes in maps:
        np.testing.assert_array_equal(axes.images[0].get_array(), table)
        assert {patch.get_xy() for patch in axes.patches} == {(0.5, 1.5), (-0.5, 0.5)}
    profile = HeadProfile(
        model="m", heads={"pasta": frozenset({(1, 1)})}, head_weights={"goal": ((0, 0, 2.0), (1, 1, 0.5))}
    )
    profile.save(tmp_path / "heads.json")
    weights, chosen = plot_heads.heads([tmp_path / "heads.json"], "").axes[:2]
    drawn = weights.images[0].get_array()
    assert (drawn[0, 0], drawn[1, 1], drawn.mask.tolist()) == (1, -1, [[False, True], [True, False]])
    np.testing.assert_array_equal(chosen.images[0].get_array(), [[0, 0], [0, 1]])
    effects = {"pasta": [{"layer": 0, "head": 1, "effect": 0.2, "error": 0.1}], "gains": {"2.0": 1}}
    (tmp_path / "heads.effects.json").write_text(json.dumps(effects))
    axes = plot_heads.heads([tmp_path / "heads.effects.json"], "").axes[0]
    assert axes.images[0].get_array().tolist() == [[None, 0.2]]
    assert {patch.get_xy() for patch in axes.patches} == {(0.5, -0.5)}
    probe = ProbeWeights(
        model="m", higher=("a",), lower=("b",), heads=((0, 1), (2, 0)), mean=(0,) * 4, scale=(1,) * 4,
        coefficients=(1, 2, 3, 4), intercept=0, threshold=0, rate=0.05, prompts=9,
    )  # fmt: skip
    probe.save(tmp_path / "probe.json")
    higher, lower = plot_heads.heads([tmp_path / "probe.json"], "").axes[:2]
    assert (higher.images[0].get_array()[2, 0], lower.images[0].get_array()[0, 1]) == (3, 2)
    code, _, err = plot("heads", EVIDENCE / "drift.json", "--out", tmp_path / "x.png")
    assert (code, err.count("\n")) == (2, 1)
    assert "give a file of homeostat localize, profile" in err


def test_rescue_from_evaluations_comparisons_and_a_table(tmp_path, plot):
    before = [result(k, success=k < 6) for k in range(10)]
    after = [result(k, success=k not in (0, 9)) for k in range(10)]
    for name, found in (("before", before), ("after", after)):
        figures = {"arguments": {"controllers": ["remind"]}, **summary(found)}
        (tmp_path / f"{name}.json").write_text(json.dumps(figures))
    files = [tmp_path / "before.json", tmp_path / "after.json"]
    assert plot("rescue", *files, "--out", tmp_path / "x.png")[0] == 0
    made = plot_tables.rescued(files, "")
    np.testing.assert_allclose(made.axes[0].containers[0][0].get_xydata(), [(100 / 6, 75)])
    assert made.figure.legends[0].get_texts()[0].get_text() == "remind"
    compared = compare(before, after).as_dict()
    (tmp_path / "c.json").write_text(json.dumps(compared))
    made = plot_tables.rescued([tmp_path / "c.json", tmp_path / "c.json"], "")
    assert len(made.axes[0].containers) == 2
    cells = [{"row": "none", "column": "s", "change": None}, {"row": "remind", "column": "s", "change": compared}]
    (tmp_path / "table.json").write_text(json.dumps({"cells": cells}))
    made = plot_tables.rescued([tmp_path / "table.json"], "")
    np.testing.assert_allclose(made.axes[0].containers[0][0].get_xydata(), [(100 / 6, 75)])
    assert made.axes[0].get_title() == "s"


def test_spans_of_a_saved_reading(tmp_path, plot):
    mass = SpanMass(
        labels=("goal", "output"), layers=(4, 6), mass=np.full((3, 2, 1, 2), 0.25, np.float32),
        prompt_mass=np.zeros((0, 2, 1, 2), np.float32), lengths=np.array([2, 2]), visible=np.arange(3),
    )  # fmt: skip
    file = mass.save(tmp_path / "m.npz")
    assert plot("spans", file, "--by", "layer", "--out", tmp_path / "x.svg")[0] == 0
    line = plot_tables.spans([file], "", "layer").axes[0].get_lines()[0]
    assert line.get_xydata().tolist() == [[4, 25], [6, 25]]
    code, _, err = plot("spans", file, "--by", "word", "--out", tmp_path / "x.svg")
    assert (code, err) == (2, "homeostat: by='word' is unknown; known: token, layer, head\n")


def test_bad_input_is_one_line(tmp_path, plot):
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "empty.json").write_text("{}")
    (tmp_path / "torn.json").write_text("{")
    out = ("--out", tmp_path / "x.png")
    for arguments, told in (
        (("rosc", "a", *out), "unknown plot 'rosc'; did you mean 'roc'?"),
        (("roc", "a", "--out", "x.bmp"), "names no picture; end it in .png, .svg, .pdf"),
        (("drift", tmp_path, *out), "give a run folder such as runs/<id>"),
        (("drift", tmp_path, "--by", "head", *out), "--by 'head' belongs to plot spans"),
        (("roc", tmp_path / "none.json", *out), "No such file"),
        (("roc", tmp_path / "torn.json", *out), "not JSON"),
        (("roc", tmp_path / "list.json", *out), "holds a list, not an object with names"),
        (("roc", tmp_path / "empty.json", *out), "not an object with names"),
        (("roc", EVIDENCE / "drift.json", *out), 'holds no "positive": [numbers] and "negative": [numbers]'),
        (("roc", "a", "b", "c", *out), "plot roc got 3 files"),
        (("calibration", EVIDENCE / "drift.json", *out), '"probabilities": [numbers]'),
        (("rescue", EVIDENCE / "drift.json", *out), "holds no comparison; give two files of eval --json"),
        (("rescue", tmp_path / "list.json", *out), "holds a list"),
        (("heads", "a", "b", *out), "plot heads got 2 files"),
        (("spans", EVIDENCE / "drift.json", *out), "holds no span masses"),
        (("spans", "a", "b", *out), "plot spans got 2 files"),
    ):
        code, _, err = plot(*arguments)
        assert code == 2, arguments
        assert told in err, err
        assert err.startswith("homeostat: ")
        assert err.count("\n") == 1
    assert not (tmp_path / "x.png").exists()
