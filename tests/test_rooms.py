"""Imports go down the floors only (docs/design/rooms.md)."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY = {
    "envs": {"envs"},
    "sensors": {"envs", "sensors"},
    "controllers": {"envs", "sensors", "controllers"},
    "agent": {"envs", "sensors", "controllers", "agent"},
    "alignment": {"envs", "sensors", "controllers", "agent", "alignment"},
}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.lineno, node.module or ""
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)


@pytest.mark.parametrize("room", MAY)
def test_imports_go_down(room):
    files = list((ROOT / room).rglob("*.py"))
    assert files
    for path in files:
        for line, module in imported(path):
            if module.startswith("homeostat."):
                assert module.split(".")[1] in MAY[room], f"{path}:{line} imports {module}"


def test_sensors_take_only_plain_data_from_environments():
    plain = {"homeostat.envs.errors", "homeostat.envs.actions", "homeostat.envs.core", "homeostat.envs.json_values"}
    for path in (ROOT / "sensors").rglob("*.py"):
        assert {m for _, m in imported(path) if m.startswith("homeostat.envs")} <= plain
