"""The alignment commands, one after the other as a user would call them."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from homeostat import TransformersModel
from homeostat.alignment import Localization
from homeostat.alignment.conflicts.chat import hierarchy_twins
from homeostat.cli.mine import MineSettings
from homeostat.cli.root import app
from homeostat.cli.settings import command_of
from homeostat.sensors import ConflictProbe, ProbeWeights, SensorContext
from homeostat.settings import Settings, load_settings, save_settings

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
    assert "KBA: knowledge-boundary adherence; CC: constraint compliance; CRAS:" in said
    assert Path("d/report.png").stat().st_size > 10_000
    assert yaml.safe_load(Path("d/config.yaml").read_text())["count"] == 9


def test_diagnose_lets_an_agent_answer(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    told = ("diagnose", "--suite", "chat", "--count", "4", "--max-new-tokens", "12")
    call(*told, "--out", "bare")
    call(*told, "--controllers", "default", "--out", "default")
    bare, default = (json.loads(Path(f"{name}/report.json").read_text())["answers"] for name in ("bare", "default"))
    assert [answer["id"] for answer in bare] == [answer["id"] for answer in default]
    assert yaml.safe_load(Path("default/config.yaml").read_text())["controllers"] == "default"


def test_an_agents_answers_are_mined(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    told = ("diagnose", "--suite", "chat", "--count", "4", "--max-new-tokens", "12")
    assert "name its controllers" in refused(*told, "--traces", "t")
    call(*told, "--controllers", "default", "--traces", "t", "--out", "d")
    answers = json.loads(Path("d/report.json").read_text())["answers"]
    assert "8 traces, 8 of them" in call("mine", "--traces", "t", "--dry-run")
    said = [json.loads(line) for line in Path("t/00001/trace.jsonl").read_text().splitlines()]
    assert [event["text"] for event in said if event["kind"] == "sense"][-1].strip() == answers[1]["text"]


def test_diagnose_draws_over_the_kinds_of_a_public_set(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    chat = [{"role": "system", "content": "The code is Fox."}, {"role": "user", "content": "Say it."}]
    rows = [{"messages": chat, "id": n, "access_code": "Fox", "has_post_prompt": False} for n in range(6)]
    for name in ("helpful", "hijacking"):
        Path(f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    told = ("diagnose", "--suite", "tensortrust", "--path", ".", "--count", "4", "--dry-run")
    said = call(*told)
    assert "4 of 12 cases of tensortrust" in said
    assert "4 cases: 2 helpful aligned, 2 hijacking conflict" in said
    assert "4 cases: 4 hijacking conflict" in call(*told, "--setting", "conflict")
    assert "4 cases: 4 helpful aligned" in call(*told, "--kinds", "helpful")
    assert "no case is of the settings reference" in refused(*told, "--setting", "reference")
    assert "did you mean 'helpful'" in refused(*told, "--kinds", "helpfull")


def test_a_probe_is_fitted_on_the_heads_of_a_localization(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    table, heads = ((0.0, 1.0), (1.0, 0.0)), ((1, 1), (2, 0), (3, 3))
    tables = {"magnitude": table, "direction": table, "distribution": table, "score": table}
    focal = Localization(model="m", twins=2, higher=("system",), heads=heads, layers=(1, 2, 3), **tables)
    focal.save(Path("l/localization.json"))
    told = ("fit-probe", "--heads", "l", "--train", "24", "--dev", "18", "--rate", "0.2")
    assert "48 train and 36 dev prompts, 3 heads" in call(*told, "--dry-run")
    said = call(*told, "--out", "p")
    probe = ProbeWeights.load(Path("p"))
    assert f"AUROC {probe.figures['auroc_left_out']:.2f} on train wordings" in said
    assert probe.heads == heads
    assert (probe.prompts, probe.rate) == (48, 0.2)
    model = TransformersModel.load("homeostat/nano")
    sensor, found = ConflictProbe.load("p"), []
    for both in islice(hierarchy_twins("dev"), 18):
        (attempt,) = model.generate(both.aligned.prompt, max_new_tokens=2)
        found.append(sensor.read(attempt, SensorContext(goal="")).alarm)
    assert sum(found) <= 18 * 0.2  # conformal: at most the rate on the prompts that set the threshold
    focal.model_copy(update={"heads": ((99, 0),)}).save(Path("other/localization.json"))
    assert "use a localization of this model" in refused("fit-probe", "--heads", "other", "--train", "2", "--dev", "18")


def test_localize_then_align(tmp_path: Path, monkeypatch: Any, phone_pairs_folder: Path) -> None:
    monkeypatch.chdir(tmp_path)
    said = call("localize", "--count", "18", "--causal", "2", "--draws", "1", "--out", "l")
    assert "focal layers" in said
    assert "causal check" in said
    assert Path("l/heat.png").stat().st_size > 10_000
    found = json.loads(Path("l/localization.json").read_text())
    focal = found["layers"]
    left_out = f"{18 - found['twins']} of 18 pairs were left out, because their spans differ in length"
    assert (left_out in said) == (found["twins"] < 18)
    assert found["twins"] < 18
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
    assert "epochs '0': " in refused("align", "--data", "x", "--layers", "all", "--weights", "uniform", "--epochs", "0")
    assert "batch 'q': " in refused("align", "--data", "x", "--batch", "q")
    assert "weights 'none': " in refused("align", "--data", "x", "--weights", "none")
    Path("c.yaml").write_text("lambda: 1\n")
    assert "extra" in refused("align", "--config", "c.yaml").lower()
    assert "'missing.yaml' is not a file" in refused("align", "--config", "missing.yaml")
    Path("list.yaml").write_text("- 1\n")
    assert "holds no fields" in refused("align", "--config", "list.yaml")
    Path("broken.yaml").write_text("data: [\n")
    assert "is not valid YAML" in refused("align", "--config", "broken.yaml")
    Path("rows.jsonl").write_text('{"prompt": "q", "chosen": "a"}\n')
    said = refused("align", "--data", "rows.jsonl", "--layers", "all", "--weights", "uniform")
    assert "row 1, field 'rejected'" in said
    assert "needs a path" in refused("diagnose", "--suite", "iheval")
    assert "name a judge model" in refused("diagnose", "--suite", "realguardrails", "--path", "x")
    assert "leave setting out" in refused("diagnose", "--setting", "aligned")
    assert "name some with controllers" in refused("diagnose", "--suite", "chat", "--probe", "x")
    assert "leave controllers out" in refused("diagnose", "--controllers", "default")
    assert "run homeostat fit-probe" in refused("diagnose", "--suite", "chat", "--controllers", "pull", "--count", "2")
    assert "no tensortrust data at 'x'" in refused("diagnose", "--suite", "tensortrust", "--path", "x")
    assert "no traces" in refused("mine", "--traces", "nowhere")


def test_flags_win_over_the_file_and_the_environment_is_not_read(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("SEED", "5")
    file = tmp_path / "c.yaml"
    file.write_text("traces: [a]\nheld_out: 0.5\nsources: [loop]\n")
    told: list[MineSettings] = []
    single = typer.Typer()
    single.command("mine")(command_of(MineSettings, lambda settings, dry_run: told.append(settings), "Test."))
    args = ["--config", str(file), "--traces", "b,c", "--traces", "null", "--held-out", "0.0"]
    assert runner.invoke(single, args).exit_code == 0
    assert [str(path) for path in told[0].traces] == ["b,c", "null"]
    assert (told[0].held_out, told[0].sources, told[0].seed) == (0.0, ["loop"], 0)
    save_settings(told[0], tmp_path / "saved")
    assert load_settings(MineSettings, tmp_path / "saved" / "config.yaml", {}).model_dump() == told[0].model_dump()


@pytest.mark.parametrize("name", ["align", "diagnose", "fit-probe", "ground", "localize", "mine"])
def test_help_lists_every_field_and_loads_no_torch(name: str) -> None:
    code = f"""
import sys
from homeostat.cli.root import app
try:
    app(["{name}", "--help"])
except SystemExit:
    pass
assert "torch" not in sys.modules and "transformers" not in sys.modules
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    module = importlib.import_module(f"homeostat.cli.{name.replace('-', '_')}")
    kind = next(
        v for v in vars(module).values() if isinstance(v, type) and issubclass(v, Settings) and v is not Settings
    )
    for field, info in kind.model_fields.items():
        assert f"--{field.replace('_', '-')}" in shown
        assert info.description
        assert " ".join(info.description.split()) in " ".join(shown.split())


@pytest.fixture
def phone_pairs_folder(tmp_path: Path) -> Path:
    from itertools import islice

    from homeostat.alignment.conflicts.core import pairs_of
    from homeostat.alignment.conflicts.phone import phone_twins
    from homeostat.alignment.preference.pairs import write_pairs
    from homeostat.nano.style import STYLE

    write_pairs(pairs_of(islice(phone_twins(STYLE, "train", 3), 5)), tmp_path / "pairs")
    return tmp_path / "pairs"
