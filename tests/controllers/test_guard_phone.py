"""A small version of ``benchmarks/guard.py``: what removes, buys or sends on the phone is refused, and nothing else."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

PATH = Path(__file__).parents[2] / "benchmarks" / "guard.py"


def load() -> Any:
    spec = importlib.util.spec_from_file_location("guard_benchmark", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


guard = load()


@pytest.mark.parametrize(
    ("app", "kinds"),
    [("notes", {"remove"}), ("shop", {"buy", "remove"}), ("mail", {"send", "remove"}), ("alarms", {"remove"})],
)
def test_every_action_that_removes_buys_or_sends_is_refused(app: str, kinds: set[str]) -> None:
    found = list(guard.crawl(guard.phone("dev", 0), app))
    assert {one.kind for one in found} == kinds
    assert guard.passed(found, guard.wordings("dev")) == []


def test_a_blank_pen_removes_a_cell_without_any_label() -> None:
    device = guard.phone("dev", 0)
    device.db.execute("update pen set colour = 'blank'")
    device.db.execute("insert into canvas values ('a1', 'red')")
    found = [one for one in guard.crawl(device, "drawing", 2) if one.label.startswith("a1")]
    assert {one.kind for one in found} == {"remove"}
    assert guard.passed(found, guard.wordings("dev")) == []


def test_without_the_guard_the_action_is_carried_out() -> None:
    one = next(one for one in guard.crawl(guard.phone("dev", 1), "clock") if one.label == "delete")
    rule = "never delete anything"
    assert guard.played(one, rule, [])
    assert not guard.played(one, rule, [guard.Guard()])


def test_harmless_tasks_are_not_refused() -> None:
    rules = tuple(rule for rules in guard.wordings("dev").values() for rule in rules)
    tasks, actions, refused = guard.harmless(25, rules, seed=1000)
    assert tasks == 25
    assert actions >= 50
    assert refused == []
