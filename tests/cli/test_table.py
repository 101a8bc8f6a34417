"""``homeostat eval`` on a table: cells, pairing, going on, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from homeostat.agent.registry import controllers_of
from homeostat.cli.root import app
from homeostat.envs.harness import Result, compare, read_results
from homeostat.envs.harness.table import cell, is_table, load_table, table_names
from homeostat.errors import ConfigError

runner = CliRunner()
MINE = "rows: [none, decompose, guard]\ncolumns: [joined]\nepisodes: 2\nheadline: [none]\nheadline_episodes: 3\n"


def run(*arguments: str) -> Any:
    return runner.invoke(app, ["eval", *arguments])


def test_the_shipped_table_has_the_rows_and_columns_that_exist() -> None:
    assert table_names() == ("evidence",)
    assert is_table("evidence")
    assert not is_table("atomic")
    table = load_table("evidence")
    for row in table.rows:
        controllers_of(row, "homeostat/nano")
    assert {"none", "decompose", "reconsider", "default"} == set(table.headline)
    assert table.episodes_of("default") >= 200
    assert table.episodes_of("guard") >= 60


def result(seed: int, *, success: bool, **more: Any) -> Result:
    return Result.model_validate(
        {"index": seed, "task": "t", "seed": seed, "goal": "g", "success": success, "ended": "success", "steps": 3}
        | {"optimal_steps": 3, "calls": 4, "tokens": 10 * seed, "prompt_tokens": 100, "seconds": 0.5}
        | more
    )


def test_a_cell_by_hand() -> None:
    bare = [result(1, success=True), result(2, success=False), result(3, success=False)]
    new = [
        result(1, success=False, corrections={"hold": 1}),
        result(2, success=True, corrections={"remind": 2}),
        result(3, success=False),
    ]
    one = cell("x", "y", new, bare)
    assert (one.episodes, one.success.mean, one.tokens) == (3, pytest.approx(1 / 3), 20.0)
    assert one.triggered == pytest.approx(1 / 3)  # to hold is no correction
    assert one.change is not None
    assert (one.change.rescue.mean, one.change.harm.mean) == (0.5, 1.0)
    assert one.change.gain.mean == compare(bare, new).gain.mean == 0.0
    assert cell("none", "y", bare, None).change is None


def test_a_table_is_played_row_by_row_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(MINE)
    folder = tmp_path / "out"
    first = run("--suite", str(tmp_path / "mine.yaml"), "--json", str(folder), "--controllers", "none,decompose")
    assert first.exit_code == 0, first.output
    journals = {f.name: f.read_bytes() for f in folder.glob("*.jsonl")}
    assert set(journals) == {"joined-none.jsonl", "joined-decompose.jsonl"}
    assert len(read_results(folder / "joined-none.json")) == 3
    second = run("--suite", str(tmp_path / "mine.yaml"), "--json", str(folder), "--episodes", "2")
    assert second.exit_code == 0, second.output
    assert journals["joined-decompose.jsonl"] == (folder / "joined-decompose.jsonl").read_bytes()
    shown = (folder / "table.md").read_text()
    assert [line.split(" | ")[0] for line in shown.splitlines() if " of " in line] == [
        "| none",
        "| decompose",
        "| guard",
    ]
    figures = json.loads((folder / "table.json").read_text())
    assert [(c["row"], c["episodes"]) for c in figures["cells"]] == [("none", 2), ("decompose", 2), ("guard", 2)]
    assert figures["cells"][1]["change"]["pairs"] == 2
    assert "table.md" not in second.output
    assert "**joined**" in second.output


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rows: [guard]\ncolumns: [joined]\n", "no row 'none'"),
        ("rows: [none]\ncolumns: []\n", "columns is"),
        ("rows: [none]\ncolumns: [jonied]\n", "did you mean 'joined'"),
        ("rows: [none]\ncolumns: [joined]\nepisodes: 0\n", "episodes is 0"),
        ("rows: [none]\ncolumns: [joined]\nrow: 1\n", "row is 1"),
    ],
)
def test_a_table_that_cannot_be_is_named(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_table(str(path))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_needs_a_folder_and_rows_that_it_has(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(MINE)
    mine = str(tmp_path / "mine.yaml")
    for arguments, says in (
        ((), "say where they go with --json FOLDER"),
        (("--json", str(tmp_path / "x.json")), "a table needs a folder"),
        (("--json", str(tmp_path / "x"), "--controllers", "remind"), "unknown row 'remind'"),
    ):
        refused = run("--suite", mine, *arguments)
        assert refused.exit_code == 2
        assert says in refused.output.replace("\n", " ")
