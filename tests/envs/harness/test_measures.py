"""The measures of a run, counted by hand."""

from __future__ import annotations

from typing import Any

import pytest

from homeostat.envs.harness import NEXUS_ENDINGS, nexus_ending, per_kind, per_template, summary


def test_the_summary_counts_by_hand(result: Any) -> None:
    results = [
        result(0, success=True, kind="atomic", step_seconds=(0.1, 0.3), seconds=1.0),
        result(1, success=False, task="notes_add", kind="joined_plain", seconds=2.0),
        result(2, success=True, steps=4, kind="atomic", step_seconds=(0.2,), seconds=3.0),
    ]
    figures = summary(results)
    assert figures["solved"] == 2
    assert figures["steps_ratio"] == pytest.approx((6 / 4 + 4 / 4) / 2)
    assert figures["reversed_redundancy"] == pytest.approx((4 / 6 + 4 / 4) / 2)
    assert figures["endings"] == {"success": 2, "premature": 1}
    assert figures["endings_nexus"] == dict.fromkeys(NEXUS_ENDINGS, 0) | {"success": 2, "premature": 1}
    assert figures["corrections"] == {"remind": 3}
    assert figures["calls"] == pytest.approx(16 / 3)
    assert figures["latency"]["episode"]["p50"] == 2.0
    assert figures["latency"]["step"]["p50"] == pytest.approx(0.2)
    assert figures["latency"]["episode"]["p95"] == pytest.approx(2.9)
    table = per_template(results)
    assert list(table) == ["notes_add", "clock_timer"]
    assert table["clock_timer"][:2] == (2, 2)
    assert {name: row[:2] for name, row in per_kind(results).items()} == {"joined_plain": (0, 1), "atomic": (2, 2)}
    assert figures["kinds"]["atomic"]["episodes"] == 2
    assert figures["success_clustered"]["mean"] == pytest.approx(2 / 3)


def test_nothing_was_played() -> None:
    empty = summary([])
    assert empty["steps_ratio"] is None
    assert empty["reversed_redundancy"] is None
    assert empty["success_clustered"] is None
    assert empty["latency"]["step"]["p95"] is None
    assert empty["success"] == {"mean": 0.0, "low": 0.0, "high": 1.0}


def test_errors_count_as_not_solved_and_not_as_quick(result: Any) -> None:
    results = [result(0, success=True), result(1, success=False, ended="error", reason="gone", seconds=0.0)]
    figures = summary(results)
    assert (figures["errors"], figures["success"]["mean"]) == (1, 0.5)
    assert figures["endings_nexus"]["other"] == 1
    assert figures["latency"]["episode"] == {"p50": 0.5, "p95": 0.5}


@pytest.mark.parametrize(
    ("ended", "success", "expected"),
    [
        ("success", True, "success"),
        ("impossible", True, "success"),  # a forbidden task is solved by saying so
        ("impossible", False, "judged impossible"),
        ("stopped", False, "judged impossible"),
        ("budget", False, "budget exceeded"),
        ("collapse", False, "collapse"),
        ("premature", False, "premature"),
        ("asked", False, "other"),
        ("error", False, "other"),
    ],
)
def test_endings_in_uinexus_words(ended: str, success: bool, expected: str, result: Any) -> None:
    assert nexus_ending(result(0, success=success, ended=ended)) == expected
