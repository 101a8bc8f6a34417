"""``homeostat eval``: its figures, its journal, a kill in the middle, and two results compared."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from homeostat.agent.models.loading import nano_path
from homeostat.cli.root import app
from homeostat.envs.harness import read_results, wilson
from homeostat.errors import ConfigError, ModelError

runner = CliRunner()
EVAL = ["eval", "--suite", "atomic", "--split", "test", "--seed", "4"]


def test_the_result_holds_success_with_its_interval_and_every_episode(oracle: Any, tmp_path: Path) -> None:
    done = runner.invoke(app, [*EVAL, "--episodes", "5", "--json", "out/r.json"])
    assert done.exit_code == 0, done.output
    figures = json.loads((tmp_path / "out/r.json").read_text())
    solved = sum(e["success"] for e in figures["episodes"])
    assert solved == 5  # the double plays the oracle
    expected = wilson(solved, 5)
    assert figures["success"] == {"mean": expected.mean, "low": expected.low, "high": expected.high}
    assert sum(figures["endings"].values()) == 5
    assert figures["steps_ratio"] == pytest.approx(1.0)
    assert len((tmp_path / "out/r.jsonl").read_text().splitlines()) == 6
    assert "5 of 5 solved, 100.0 % [56.6, 100.0]" in done.output


def test_a_rerun_continues_and_a_finished_one_asks_the_model_nothing(oracle: Any, tmp_path: Path) -> None:
    assert runner.invoke(app, [*EVAL, "--episodes", "3", "--json", "r.json"]).exit_code == 0
    first = json.loads((tmp_path / "r.json").read_text())["episodes"]
    calls = oracle.calls
    assert runner.invoke(app, [*EVAL, "--episodes", "3", "--json", "r.json"]).exit_code == 0
    assert oracle.calls == calls
    assert runner.invoke(app, [*EVAL, "--episodes", "5", "--json", "r.json"]).exit_code == 0
    longer = json.loads((tmp_path / "r.json").read_text())["episodes"]
    assert longer[:3] == first
    assert len(longer) == 5


def test_a_journal_cut_within_a_line_loses_that_line_only(oracle: Any, tmp_path: Path) -> None:
    runner.invoke(app, [*EVAL, "--episodes", "3", "--json", "r.json"])
    whole = json.loads((tmp_path / "r.json").read_text())
    journal = tmp_path / "r.jsonl"
    journal.write_bytes(journal.read_bytes()[:-40])
    again = runner.invoke(app, [*EVAL, "--episodes", "3", "--json", "r.json"])
    assert again.exit_code == 0, again.output

    def outcome(figures: dict[str, Any]) -> list[dict[str, Any]]:
        return [{k: v for k, v in e.items() if "seconds" not in k} for e in figures["episodes"]]

    assert outcome(json.loads((tmp_path / "r.json").read_text())) == outcome(whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--seed", "5"], "seed=4, not 5"),
        (["--controllers", "guard"], "controllers='none', not 'guard'"),
        (["--suite", "joined"], "suite='atomic', not 'joined'"),
    ],
)
def test_other_arguments_never_mix_with_an_old_journal(
    change: list[str], message: str, oracle: Any, tmp_path: Path
) -> None:
    runner.invoke(app, [*EVAL, "--episodes", "1", "--json", "r.json"])
    before = (tmp_path / "r.jsonl").read_bytes()
    refused = runner.invoke(app, [*EVAL, *change, "--episodes", "1", "--json", "r.json"])
    assert refused.exit_code == 2
    assert message in refused.stderr
    assert (tmp_path / "r.jsonl").read_bytes() == before


@pytest.mark.parametrize("line", [0, 1])
def test_a_damaged_journal_is_named_by_line(line: int, oracle: Any, tmp_path: Path) -> None:
    runner.invoke(app, [*EVAL, "--episodes", "2", "--json", "r.json"])
    journal = tmp_path / "r.jsonl"
    lines = journal.read_text().splitlines()
    lines[line] = lines[line][:9]
    journal.write_text("\n".join(lines) + "\n")
    refused = runner.invoke(app, [*EVAL, "--episodes", "2", "--json", "r.json"])
    assert refused.exit_code == 2
    assert f"r.jsonl:{line + 1}:" in refused.stderr


def test_controllers_take_part_and_are_counted(oracle: Any, tmp_path: Path) -> None:
    arguments = ["eval", "--suite", "joined", "--episodes", "2", "--controllers", "default", "--json", "r.json"]
    done = runner.invoke(app, arguments)
    assert done.exit_code == 0, done.output
    figures = json.loads((tmp_path / "r.json").read_text())
    assert figures["corrections"]["plan"] == 2
    assert figures["arguments"]["controllers"] == "default"


def test_a_result_that_can_not_be_written_is_refused_before_any_episode(oracle: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = runner.invoke(app, [*EVAL, "--episodes", "1", "--json", "file/r.json"])
    assert refused.exit_code == 2
    assert "give another --json" in refused.stderr
    assert oracle.calls == 0


def test_a_kill_loses_nothing_that_had_ended(tmp_path: Path) -> None:
    driver = str(Path(__file__).with_name("oracle_driver.py"))
    command = [sys.executable, driver, *EVAL, "--episodes", "4", "--json", "r.json"]
    journal = tmp_path / "r.jsonl"

    def ended() -> int:
        return journal.read_bytes().count(b"\n") - 1 if journal.exists() else 0

    process = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "ORACLE_DELAY": "0.3"})
    deadline = time.monotonic() + 90
    while ended() < 1 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    kept = journal.read_bytes()
    assert ended() >= 1
    assert not (tmp_path / "r.json").exists()
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert again.returncode == 0, again.stderr
    assert journal.read_bytes().startswith(kept[: kept.rindex(b"\n") + 1])
    assert len(json.loads((tmp_path / "r.json").read_text())["episodes"]) == 4


def test_ctrl_c_says_what_is_kept(tmp_path: Path) -> None:
    driver = str(Path(__file__).with_name("oracle_driver.py"))
    command = [sys.executable, driver, *EVAL, "--episodes", "40", "--json", "r.json"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "ORACLE_DELAY": "0.2"},
        stderr=subprocess.PIPE,
        text=True,
        # a shell that runs the tests in the background hands down SIGINT as ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    journal = tmp_path / "r.jsonl"
    deadline = time.monotonic() + 90
    while not (journal.exists() and journal.read_bytes().count(b"\n") > 1) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "kept in 'r.jsonl'; the same command goes on" in err
    assert err.count("\n") == 2  # what is being loaded, and what is kept


def test_compare_reads_what_eval_wrote(oracle: Any, tmp_path: Path) -> None:
    runner.invoke(app, [*EVAL, "--episodes", "3", "--json", "good.json"])
    oracle.fails = True
    runner.invoke(app, [*EVAL, "--episodes", "3", "--json", "bad.json"])
    done = runner.invoke(app, ["eval", "--compare", "bad.json", "good.json", "--json", "c.json"])
    assert done.exit_code == 0, done.output
    figures = json.loads((tmp_path / "c.json").read_text())
    assert figures["pairs"] == 3
    assert figures["after"]["mean"] == 1.0
    assert figures["gain"]["mean"] == pytest.approx(figures["after"]["mean"] - figures["before"]["mean"])
    assert "gain" in done.output
    (tmp_path / "no.json").write_text('{"episodes": [{}]}')
    with pytest.raises(ConfigError, match="no evaluation"):
        read_results(tmp_path / "no.json")


def has_nano() -> bool:
    try:
        nano_path()
    except ModelError:
        return False
    return True


@pytest.mark.skipif(not has_nano(), reason="homeostat/nano is not in this installation")
def test_nano_is_measured_on_the_suites(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    done = runner.invoke(app, ["eval", "--suite", "atomic", "--episodes", "3", "--json", "r.json"])
    assert done.exit_code == 0, done.output
    assert len(json.loads((tmp_path / "r.json").read_text())["episodes"]) == 3


def test_oracle_and_chance_need_no_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("tasks: [settings_*]\nepisodes: 6\ncontrollers: default\n")
    for policy in ("oracle", "random"):
        done = runner.invoke(app, ["eval", "--suite", "mine.yaml", "--policy", policy, "--json", f"{policy}.json"])
        assert done.exit_code == 0, done.output
    figures = json.loads((tmp_path / "oracle.json").read_text())
    assert (figures["solved"], figures["reversed_redundancy"]) == (6, 1.0)
    assert figures["arguments"]["policy"] == "oracle"
    done = runner.invoke(app, ["eval", "--compare", "random.json", "oracle.json", "--html", "p.html"])
    assert done.exit_code == 0, done.output
    assert "random against oracle" in (tmp_path / "p.html").read_text()


def test_limits_and_options_of_a_suite_file_reach_the_agent(oracle: Any, tmp_path: Path) -> None:
    (tmp_path / "short.yaml").write_text(
        "tasks: [settings_volume]\nepisodes: 2\nlimits: {max_steps: 2}\noptions: {scale: 2}\n"
    )
    done = runner.invoke(app, ["eval", "--suite", "short.yaml", "--json", "r.json"])
    assert done.exit_code == 0, done.output
    figures = json.loads((tmp_path / "r.json").read_text())
    assert [(e["ended"], e["steps"], len(e["step_seconds"])) for e in figures["episodes"]] == [("budget", 2, 2)] * 2
    assert oracle.env.observe().screenshot.shape == (512, 288, 3)
    (tmp_path / "short.yaml").write_text("tasks: [settings_volume]\nepisodes: 2\nlimits: {max_steps: 3}\n")
    refused = runner.invoke(app, ["eval", "--suite", "short.yaml", "--json", "r.json"])
    assert refused.exit_code == 2
    assert "was begun with limits={'max_steps': 2}, not {'max_steps': 3}" in refused.stderr


def test_an_episode_may_be_bounded_in_seconds(oracle: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORACLE_DELAY", "0.05")
    (tmp_path / "quick.yaml").write_text("tasks: [settings_volume]\nepisodes: 2\nlimits: {seconds: 0.01}\n")
    done = runner.invoke(app, ["eval", "--suite", "quick.yaml", "--json", "r.json"])
    assert done.exit_code == 0, done.output
    for episode in json.loads((tmp_path / "r.json").read_text())["episodes"]:
        assert (episode["ended"], episode["reason"]) == ("budget", "all 0.01 s were used")
        assert (episode["calls"], episode["tokens"], episode["prompt_tokens"]) == (1, 1, 80)
        assert not episode["success"]


def test_files_beside_the_result(oracle: Any, tmp_path: Path) -> None:
    done = runner.invoke(app, [*EVAL, "--episodes", "2", "--json", "r.json", "--export", "inspect"])
    assert done.exit_code == 0, done.output
    (log,) = tmp_path.glob("20*_atomic_r.json")
    assert len(json.loads(log.read_text())["samples"]) == 2
    runner.invoke(app, [*EVAL, "--episodes", "2", "--json", "r.json", "--export", "inspect"])
    assert len(list(tmp_path.glob("20*_atomic_r.json"))) == 1  # a rerun writes the same one
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        assert "pip install 'homeostat[harness]'" in done.stderr
        return
    assert parquet.read_table(tmp_path / "r.parquet").num_rows == 2


def test_without_pyarrow_a_line_says_so(oracle: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homeostat.envs.harness.export.has_parquet", lambda: False)
    done = runner.invoke(app, [*EVAL, "--episodes", "1", "--json", "r.json"])
    assert done.exit_code == 0
    assert "no Parquet file without pyarrow; pip install 'homeostat[harness]'" in done.stderr
    assert not (tmp_path / "r.parquet").exists()


def test_limits_bound_the_episodes_and_belong_to_the_journal(oracle: Any, tmp_path: Path) -> None:
    command = ["eval", "--episodes", "2", "--json", "r.json"]
    result = runner.invoke(app, [*command, "--episode-tokens", "1"])
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["arguments"]["agent_limits"] == {"tokens": 1}
    assert all(line["steps"] <= 1 for line in map(json.loads, (tmp_path / "r.jsonl").read_text().splitlines()[1:]))
    other = runner.invoke(app, [*command, "--episode-tokens", "2"])
    assert other.exit_code == 2
    assert "agent_limits" in other.stderr
    refused = runner.invoke(app, ["eval", "--policy", "oracle", "--attempts", "2"])
    assert refused.exit_code == 2
    assert "leave them out with --policy 'oracle'" in refused.stderr
