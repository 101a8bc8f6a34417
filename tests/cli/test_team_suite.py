"""``homeostat diagnose --suite team``: an oracle follows every demand that binds, and the report says so."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from homeostat.alignment.diagnosis.run import generated
from homeostat.alignment.sail import adapters
from homeostat.cli.root import app
from homeostat.testing import ScriptedModel


@pytest.mark.filterwarnings("ignore::DeprecationWarning:matplotlib.*")
def test_the_oracle_reaches_everything_and_the_matrix_is_reported(tmp_path: Path, monkeypatch: Any) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra homeostat[align]")
    monkeypatch.chdir(tmp_path)
    cases = generated(ScriptedModel([""]), "team", "dev", 4, 20)
    oracle = ScriptedModel([case.chosen for case in cases])
    monkeypatch.setattr(adapters, "load_adapted", lambda name, **options: oracle)
    told = ["diagnose", "--suite", "team", "--split", "dev", "--seed", "4", "--count", "20", "--out", "d"]
    done = CliRunner().invoke(app, told)
    assert done.exit_code == 0, done.output
    assert "demands that were followed" in done.output
    assert "against the role" in done.output
    report = json.loads(Path("d/report.json").read_text())
    whole = report["cells"][-1]
    assert (whole["compliance"][0], whole["aligned_success"][0]) == (1, 1)
    binding = [cell for cell in report["obedience"]["cells"] if cell["authority"] == "may instruct"]
    assert all(cell["followed"][0] == 1 for cell in binding)
    assert set(report["obedience"]["members"]) == {"planner", "critic", "executor"}


def test_a_dry_run_counts_the_kinds_and_a_path_is_refused(monkeypatch: Any) -> None:
    monkeypatch.setattr(adapters, "load_adapted", lambda name, **options: ScriptedModel([""]))
    done = CliRunner().invoke(app, ["diagnose", "--suite", "team", "--count", "10", "--dry-run"])
    assert "20 cases: 2 format, 2 length" in done.output
    done = CliRunner().invoke(app, ["diagnose", "--suite", "team", "--path", "x"])
    assert done.exit_code == 2
    assert "does not take a path" in done.output
