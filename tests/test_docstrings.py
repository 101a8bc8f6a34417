"""Public names say what they take, what they give back and what their fields mean (CONTRIBUTING.md, "Docstrings")."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("homeostat", "agent", "alignment", "controllers", "envs", "nano", "sensors", "viewer")
DATA = ("envs/phone/apps", "envs/phone/tasks", "envs/phone/adversity", "envs/phone/recordings", "homeostat/cli")
"""Many small parts of one kind, described once by their base class; and commands, whose help is their options' text."""
CONTRACT = {
    *("read", "decide", "generate", "score", "hidden", "observe", "act", "success", "snapshot", "restore"),
    *("reset_task", "reset", "step", "render", "run", "close"),
}
"""Methods that a Protocol or a base class describes in full; an implementation need not repeat it."""


def files():
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(DATA):
                yield name


def exported(tree):
    for node in tree.body:
        names_all = isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
        if names_all and isinstance(node.value, ast.List | ast.Tuple):
            return {element.value for element in node.value.elts}
    return set()


def section(docstring, *titles):
    """The names that a section's entries begin with; None where there is no such section."""
    lines, names, indent = docstring.expandtabs().splitlines(), None, 0
    for line in lines:
        if names is None:
            if line.strip().rstrip(":") in titles and line.strip().endswith(":"):
                names, indent = set(), len(line) - len(line.lstrip())
        elif line.strip():
            if len(line) - len(line.lstrip()) <= indent:
                break
            names.update(part.strip(" `*") for part in line.partition(":")[0].split("(")[0].split(","))
    return names


def is_property(node):
    return any(ast.unparse(d).split(".")[-1] in ("property", "cached_property", "setter") for d in node.decorator_list)


def function_faults(node, where, described=""):
    """``described``: the class's own docstring, which may describe ``__init__``'s parameters."""
    docstring = ast.get_docstring(node) or ""
    a = node.args
    names = [x.arg for x in (*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg) if x is not None]
    names = [name for name in names if name not in ("self", "cls") and not name.startswith("_")]
    if not names or is_property(node):
        return
    known = (section(docstring, "Args") or set()) | (section(described, "Args", "Attributes") or set())
    if missing := [name for name in names if name not in known]:
        yield f"{where}: Args lacks {', '.join(missing)}"
    returns = ast.unparse(node.returns) if node.returns is not None else "None"
    says = returns in ("None", "Never", "NoReturn") or section(docstring, "Returns", "Yields") is not None
    if not says and node.name != "__init__":
        yield f"{where}: no Returns"


def fields(node):
    """A data class's public fields; none for other classes, nor for a field with a docstring of its own."""
    plain = {"dataclass", "dataclasses.dataclass"}
    values = any(ast.unparse(d).split("(")[0] in plain for d in node.decorator_list)
    values |= any(ast.unparse(base).split(".")[-1] in MODELS for base in node.bases)
    for item, after in zip(node.body, [*node.body[1:], None], strict=True):
        if values and isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            own = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            fixed = item.target.id in ("kind", "name", "sensors", "needs") or "ClassVar" in ast.unparse(item.annotation)
            described = item.value is not None and "description=" in ast.unparse(item.value)
            if not item.target.id.startswith("_") and not own and not fixed and not described:
                yield item.target.id


MODELS = {"BaseModel", "Settings", "_Value", "_Event", "_Decision", "_Action"}


def faults(name):
    tree = ast.parse((ROOT / name).read_text())
    public = exported(tree)
    for node in tree.body:
        if getattr(node, "name", None) not in public:
            continue
        where = f"{name}:{node.lineno} {node.name}"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from function_faults(node, where)
        elif isinstance(node, ast.ClassDef):
            docstring = ast.get_docstring(node) or ""
            known = section(docstring, "Attributes", "Args") or set()
            if missing := [field for field in fields(node) if field not in known]:
                yield f"{where}: Attributes lacks {', '.join(missing)}"
            for method in node.body:
                if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
                    hidden = method.name.startswith("_") and method.name != "__init__"
                    if hidden or (method.name in CONTRACT and "Protocol" not in map(ast.unparse, node.bases)):
                        continue
                    spot = f"{name}:{method.lineno} {node.name}.{method.name}"
                    yield from function_faults(method, spot, docstring if method.name == "__init__" else "")


@pytest.mark.parametrize("name", list(files()))
def test_public_names_are_described(name):
    assert list(faults(name)) == []
