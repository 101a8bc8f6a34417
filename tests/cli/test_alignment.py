"""The alignment commands, one after the other as a user would call them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from homeostat.cli.root import app

runner = CliRunner()


def call(*told: str) -> str:
    done = runner.invoke(app, list(told))
    assert done.exit_code == 0, done.output
    return done.output


def refused(*told: str) -> str:
    done = runner.invoke(app, list(told))
    assert done.exit_code == 2, done.output
    return done.output


def test_diagnose_reports_by_kind(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    said = call("diagnose", "--count", "9", "--out", "d", "--seed", "2")
    report = json.loads(Path("d/report.json").read_text())
    assert {c["kind"] for c in report["cells"]} >= {"role", "injection", "peer", "all"}
    whole = report["cells"][-1]
    answers = [a for a in report["answers"] if not a["aligned"]]
    assert whole["compliance"][0] == pytest.approx(sum(a["kept"] for a in answers) / 9)
    assert "peer/peer" in said
    assert Path("d/report.png").stat().st_size > 10_000
    assert yaml.safe_load(Path("d/config.yaml").read_text())["count"] == 9


def test_localize_then_align(tmp_path: Path, monkeypatch: Any, phone_pairs_folder: Path) -> None:
    monkeypatch.chdir(tmp_path)
    said = call("localize", "--count", "18", "--causal", "2", "--draws", "1", "--out", "l")
    assert "focal layers" in said
    assert "causal check" in said
    assert Path("l/heat.png").stat().st_size > 10_000
    focal = json.loads(Path("l/localization.json").read_text())["layers"]
    told = {"data": str(phone_pairs_folder), "localization": "l", "cache": "c", "batch": 4, "rate": 0.001}
    Path("a.yaml").write_text(yaml.safe_dump(told))
    assert "path fast" in call("align", "--config", "a.yaml", "--dry-run")
    assert not Path("runs").exists()
    said = call("align", "--config", "a.yaml", "--out", "a", "--lam", "0.5")
    assert f"layers {', '.join(map(str, focal))}" in said
    saved = yaml.safe_load(Path("a/config.yaml").read_text())
    assert (saved["lam"], saved["batch"]) == (0.5, 4)
    assert json.loads(Path("a/result.json").read_text())["layers"] == focal
    assert "rule kept" in call("diagnose", "--model", "a/adapter", "--count", "2", "--kinds", "role", "--out", "d")


def test_eval_then_mine(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    told = ("--suite", "joined", "--split", "train", "--episodes", "3", "--seed", "11")
    call("eval", *told, "--controllers", "decompose", "--traces", "t", "--json", "e.json")
    solved = sum(json.loads(line).get("success", False) for line in Path("e.jsonl").read_text().splitlines())
    assert f"3 traces, {solved} of them" in call("mine", "--traces", "t", "--dry-run")
    call("mine", "--traces", "t", "--sources", "loop", "--out", "m")
    from homeostat.alignment.preference.pairs import read_pairs

    assert {p.kind for p in read_pairs(Path("m/pairs"))} == {"loop"}


def test_ground_trains_and_measures(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    said = call("ground", "--steps", "2", "--batch", "4", "--count", "8", "--out", "g")
    assert "coordinates" in said
    scores = json.loads(Path("g/scores.json").read_text())
    assert scores["pointer"]["all"][1] == 8
    again = call("ground", "--head", "g", "--count", "8", "--out", "g2")
    assert json.loads(Path("g2/scores.json").read_text())["pointer"] == scores["pointer"]
    assert "pointer" in again


def test_bad_input_is_one_line(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert "localization" in refused("align", "--data", "x")
    assert "no data at 'x'" in refused("align", "--data", "x", "--layers", "all", "--weights", "uniform")
    assert "epochs 0.0: " in refused("align", "--data", "x", "--layers", "all", "--weights", "uniform", "--epochs", "0")
    Path("c.yaml").write_text("lambda: 1\n")
    assert "extra" in refused("align", "--config", "c.yaml").lower()
    Path("rows.jsonl").write_text('{"prompt": "q", "chosen": "a"}\n')
    said = refused("align", "--data", "rows.jsonl", "--layers", "all", "--weights", "uniform")
    assert "row 1, field 'rejected'" in said
    assert "needs a path" in refused("diagnose", "--suite", "iheval")
    assert "no traces" in refused("mine", "--traces", "nowhere")


@pytest.fixture
def phone_pairs_folder(tmp_path: Path) -> Path:
    from itertools import islice

    from homeostat.alignment.conflicts.core import pairs_of
    from homeostat.alignment.conflicts.phone import phone_twins
    from homeostat.alignment.preference.pairs import write_pairs
    from homeostat.nano.model import STYLE

    write_pairs(pairs_of(islice(phone_twins(STYLE, "train", 3), 5)), tmp_path / "pairs")
    return tmp_path / "pairs"
