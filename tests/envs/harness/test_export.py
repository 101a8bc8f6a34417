"""Results as Parquet and as a log of Inspect AI."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from homeostat.envs.harness import Result, inspect_log, wilson, write_inspect, write_parquet
from homeostat.errors import ConfigError

ARGUMENTS = {"suite": "my_suite", "split": "test", "seed": 1, "model": "homeostat/nano", "options": {"scale": 2}}
BEGUN = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


@pytest.fixture
def results(result: Any) -> list[Result]:
    return [
        result(0, success=True, step_seconds=(0.1, 0.2), kind="atomic"),
        result(1, success=False, corrections={}, readings={"confidence": (0.5, 0.25)}),
        result(2, success=False, ended="error", reason="its worker died 3 times", goal=""),
    ]


def test_parquet_holds_every_field(results: Sequence[Result], tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (homeostat[harness])")
    write_parquet(results, ARGUMENTS, tmp_path / "deep" / "r.parquet")
    table = parquet.read_table(tmp_path / "deep" / "r.parquet")
    rows = table.to_pylist()
    for row, result in zip(rows, results, strict=True):
        mine = {name: row[name] for name in Result.model_fields}
        mine["corrections"], mine["step_seconds"] = dict(mine["corrections"]), tuple(mine["step_seconds"])
        mine["readings"] = {name: tuple(values) for name, values in mine["readings"]}
        assert Result.model_validate(mine) == result
    assert [row["ended_nexus"] for row in rows] == ["success", "premature", "other"]
    assert rows[0]["run_model"] == "homeostat/nano"
    assert json.loads(rows[0]["run_options"]) == {"scale": 2}
    assert json.loads(table.schema.metadata[b"homeostat.arguments"]) == ARGUMENTS
    write_parquet([], ARGUMENTS, tmp_path / "none.parquet")
    assert parquet.read_table(tmp_path / "none.parquet").num_rows == 0


def test_without_pyarrow_one_line_says_what_to_install(
    results: Sequence[Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"pip install 'homeostat\[harness\]'"):
        write_parquet(results, ARGUMENTS, tmp_path / "r.parquet")


def test_the_inspect_log_says_what_the_results_say(results: Sequence[Result]) -> None:
    pytest.importorskip("inspect_ai.log", reason="inspect_ai is not installed (homeostat[inspect])")
    log = inspect_log(results, ARGUMENTS, BEGUN)
    assert (log.version, log.status, log.eval.created) == (2, "success", "2026-03-04T05:06:07+00:00")
    assert [s.scores["device_state"].value for s in log.samples] == ["C", "I", "I"]
    assert log.results.completed_samples == 2
    metrics = log.results.scores[0].metrics
    assert metrics["accuracy"].value == pytest.approx(wilson(1, 3).mean)
    assert metrics["stderr"].value == pytest.approx(((1 / 3) * (2 / 3) / 2) ** 0.5)
    assert [s.error and s.error.message for s in log.samples] == [None, None, "its worker died 3 times"]
    usage = log.stats.model_usage["homeostat/nano"]
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (300, 30, 330)
    assert inspect_log(results, ARGUMENTS, BEGUN).eval.run_id == log.eval.run_id


def test_inspect_reads_the_log_and_finds_it_by_its_name(results: Sequence[Result], tmp_path: Path) -> None:
    inspect = pytest.importorskip("inspect_ai.log", reason="inspect_ai is not installed (homeostat[inspect])")
    path = write_inspect(results, ARGUMENTS, tmp_path / "deep" / "my_run.json", BEGUN)
    assert path.name == "2026-03-04T05-06-07+00-00_my-suite_my.run.json"
    log = inspect.read_eval_log(str(path))
    assert (log.status, log.eval.task, log.eval.model) == ("success", "my_suite", "homeostat/nano")
    assert log.eval.task_args == ARGUMENTS
    assert [s.input for s in log.samples] == [r.goal for r in results]
    assert log.samples[0].metadata["steps"] == 6
    assert log.samples[1].metadata["readings"] == {"confidence": [0.5, 0.25]}
    assert log.samples[0].total_time == results[0].seconds
    assert log.results.scores[0].metrics["accuracy"].value == pytest.approx(1 / 3)
    assert [(i.task, i.task_id) for i in inspect.list_eval_logs(str(path.parent))] == [("my-suite", "my.run")]
    assert write_inspect(results, ARGUMENTS, tmp_path / "deep" / "my_run.json", BEGUN) == path
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_log_that_can_not_be_written_is_named(results: Sequence[Result], tmp_path: Path) -> None:
    pytest.importorskip("inspect_ai.log", reason="inspect_ai is not installed (homeostat[inspect])")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"can't write .*; give another --json"):
        write_inspect(results, ARGUMENTS, tmp_path / "file" / "r.json", BEGUN)


def test_without_inspect_one_line_says_what_to_install(
    results: Sequence[Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "inspect_ai", None)
    monkeypatch.setitem(sys.modules, "inspect_ai.log", None)
    with pytest.raises(ConfigError, match=r"pip install 'homeostat\[inspect\]'"):
        write_inspect(results, ARGUMENTS, tmp_path / "r.json", BEGUN)
    assert list(tmp_path.iterdir()) == []
