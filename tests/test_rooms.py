"""Imports go down the floors only, without a circle (docs/design/rooms.md)."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOORS = [["root"], ["envs", "sensors"], ["controllers"], ["agent"], ["alignment"], ["nano"], ["viewer"], ["cli"]]
FACE = {"__init__.py", "testing.py"}  # files of the root package that only pass names on, lazily
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
INNER = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.With | ast.Try
NAMES = ["agent", "alignment", "controllers", "envs", "nano", "sensors", "viewer"]


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts if parts[0] == "homeostat" else ("homeostat", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module):
    part = module.split(".")[1] if "." in module else "root"
    return part if part in FLOOR else "root"


def imports_of(tree, modules, *, whole):
    """(line, module) of every import; ``whole``: those inside functions too, but none for type checkers alone."""
    bodies = [tree.body]
    for node in ast.walk(tree) if whole else tree.body:
        runs = isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test)
        if runs or (whole and isinstance(node, INNER)):
            bodies.append(node.body)
    for node in (node for body in bodies for node in body):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield node.lineno, inner if inner in modules else node.module
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)


FILES = {module_of(path): path for room in ["homeostat", *NAMES] for path in sorted((ROOT / room).rglob("*.py"))}
TREES = {module: ast.parse(path.read_text()) for module, path in FILES.items()}


def test_there_is_something_to_test():
    assert len(FILES) > 300
    assert {room_of(module) for module in FILES} == set(FLOOR)


@pytest.mark.parametrize("module", sorted(FILES))
def test_imports_go_down(module):
    mine = room_of(module)
    if mine == "root" and FILES[module].name in FACE:
        return
    for node in ast.walk(TREES[module]):
        names = []
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if name.split(".")[0] != "homeostat":
                continue
            theirs = room_of(name)
            assert mine == theirs or FLOOR[theirs] < FLOOR[mine], f"{FILES[module]}:{node.lineno} imports {name}"


def test_no_circle():
    graph = {
        module: {name for _, name in imports_of(tree, FILES, whole=True) if name in FILES and name != module}
        for module, tree in TREES.items()
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle
