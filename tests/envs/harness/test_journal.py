"""The journal: order does not matter, nothing is lost, nothing is written twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from homeostat.envs.harness import Case, Journal
from homeostat.errors import ConfigError, TraceError

ARGUMENTS = {"suite": "atomic", "seed": 4}


def test_lines_are_found_by_index_in_any_order(tmp_path: Path, result: Any) -> None:
    path = tmp_path / "r.jsonl"
    journal = Journal(path, ARGUMENTS)
    for index in (2, 0, 5):
        journal.add(result(index, success=True))
        assert path.read_bytes().count(b"\n") == len(journal.results) + 1  # on disk at once
    journal.close()
    again = Journal(path, ARGUMENTS)
    cases = [Case("clock_timer", index) for index in range(4)]
    assert list(again.done(cases)) == [0, 2]
    with pytest.raises(ConfigError, match="play it once"):
        again.add(result(0, success=True))
    again.close()


def test_a_cut_last_line_is_dropped_and_written_again(tmp_path: Path, result: Any) -> None:
    path = tmp_path / "r.jsonl"
    journal = Journal(path, ARGUMENTS)
    journal.add(result(0, success=True))
    journal.add(result(1, success=False))
    journal.close()
    whole = path.read_bytes()
    for cut in range(1, 60, 7):
        path.write_bytes(whole[:-cut])
        again = Journal(path, ARGUMENTS)
        assert list(again.results) == [0]
        again.add(result(1, success=False))
        again.close()
        assert path.read_bytes() == whole


def test_a_file_cut_within_its_first_line_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'{"argum')
    begun = Journal(path, ARGUMENTS)
    begun.close()
    assert path.read_bytes().startswith(b'{"arguments": {"suite": "atomic", "seed": 4}, ')
    again = Journal(path, ARGUMENTS)
    again.close()
    assert again.begun == begun.begun.replace(microsecond=0)
    path.write_text('{"arguments": {"suite": "atomic", "seed": 4}}\n{"index"')  # as before it told the time
    Journal(path, ARGUMENTS).close()


def test_other_arguments_and_other_episodes_are_refused(tmp_path: Path, result: Any) -> None:
    path = tmp_path / "r.jsonl"
    journal = Journal(path, ARGUMENTS)
    journal.add(result(0, success=True))
    with pytest.raises(ConfigError, match="holds 'clock_timer' with seed 0 as episode 0, not 'notes_add' with 9"):
        journal.done([Case("notes_add", 9)])
    journal.close()
    with pytest.raises(ConfigError, match="begun with seed=4, not 5"):
        Journal(path, ARGUMENTS | {"seed": 5})


def test_an_episode_that_stands_there_twice_is_named(tmp_path: Path, result: Any) -> None:
    path = tmp_path / "r.jsonl"
    journal = Journal(path, ARGUMENTS)
    journal.add(result(0, success=True))
    journal.close()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1] + lines[1])
    with pytest.raises(TraceError, match=r"r.jsonl:3: the file holds episode 0 twice"):
        Journal(path, ARGUMENTS)


def test_two_runs_can_not_share_a_file(tmp_path: Path) -> None:
    pytest.importorskip("fcntl", reason="this system has no file locks")
    journal = Journal(tmp_path / "r.jsonl", ARGUMENTS)
    with pytest.raises(ConfigError, match="in use by another run"):
        Journal(tmp_path / "r.jsonl", ARGUMENTS)
    journal.close()
    Journal(tmp_path / "r.jsonl", ARGUMENTS).close()
