"""One-line summaries of entry points, read from source text without importing it.

Importing every command to print ``homeostat --help`` would take seconds. This module finds the file that an entry
point refers to, parses it, and returns the first sentence of the target's own docstring. It follows the name where the
file only imports it from another file.
"""

from __future__ import annotations

import ast
import re
import sys
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from homeostat.plugins import is_ours, package_of

__all__ = ["find_module", "listed_summary", "missing_module", "summary"]

_IMPORTS = 4  # how many re-exports are followed from file to file


class _Finder(Protocol):
    def find_spec(self, name: str, path: list[str] | None) -> ModuleSpec | None: ...


def summary(entry: EntryPoint) -> str:
    """Returns the first sentence that describes an entry point's target.

    Args:
        entry: The entry point. Nothing of its package is imported.

    Returns:
        The first sentence of the target's docstring; else the ``help`` text of the call that makes the target; else the
        summary of the package that registers the entry point; else an empty string.
    """
    found = _described(entry.module, entry.attr, _IMPORTS)
    if found:
        return _first_sentence(found)
    metadata = entry.dist.metadata if entry.dist is not None else None
    return metadata["Summary"] if metadata is not None and "Summary" in metadata else package_of(entry)


def listed_summary(entry: EntryPoint) -> str:
    """Returns an entry point's summary as a list of several packages' parts shows it.

    Args:
        entry: The entry point.

    Returns:
        The summary, or why the entry point can't be loaded; then, for another package's, the package in parentheses.
    """
    missing = missing_module(entry)
    text = f"(unavailable: no module {missing!r})" if missing else summary(entry)
    return text if is_ours(entry) else f"{text} ({package_of(entry)})"


def missing_module(entry: EntryPoint) -> str | None:
    """Returns the first module on an entry point's path that is not installed.

    Args:
        entry: The entry point.

    Returns:
        The module's dotted name; None where every module is found.
    """
    parts = entry.module.split(".")
    names = (".".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    return next((name for name in names if find_module(name) is None), None)


def find_module(name: str) -> ModuleSpec | None:
    """Finds a module without importing its parents, which ``importlib.util.find_spec`` would do.

    Args:
        name: The module's dotted name.

    Returns:
        Its spec; None where it is not installed.
    """
    loaded: ModuleSpec | None = getattr(sys.modules.get(name), "__spec__", None)
    if loaded is not None:
        return loaded
    path = None
    if parent := name.rpartition(".")[0]:
        spec = find_module(parent)
        if spec is None or spec.submodule_search_locations is None:
            return None
        path = list(spec.submodule_search_locations)
    finders: list[_Finder] = list(sys.meta_path)
    return next((spec for finder in finders if (spec := finder.find_spec(name, path)) is not None), None)


def _described(module: str, name: str, imports: int) -> str:
    """The text that describes ``name`` in ``module``; empty where the source says nothing."""
    spec = find_module(module)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return ""
    stub = Path(spec.origin).with_suffix(".pyi")  # lists what a package loads lazily
    for file in (Path(spec.origin), stub):
        found = _in_file(file, module, spec.submodule_search_locations is not None, name, imports)
        if found:
            return found
    return ""


def _in_file(file: Path, module: str, package: bool, name: str, imports: int) -> str:
    first, rest = _split(name)
    for node in _parse(file):
        if isinstance(node, ast.ImportFrom) and imports:
            origin = next((alias.name for alias in node.names if (alias.asname or alias.name) == first), None)
            if origin is not None:
                inner = f"{origin}.{rest}" if rest else origin
                return _described(_absolute(node, module, package), inner, imports - 1)
    return _in_body(_parse(file), first, rest)


def _in_body(body: list[ast.stmt], name: str, rest: str) -> str:
    """Looks for ``name`` among statements, and for ``rest`` among those of the class that it is."""
    for node, after in pairwise([*body, None]):
        if isinstance(node, ast.ClassDef) and node.name == name and rest:
            return _in_body(node.body, *_split(rest)) or ast.get_docstring(node) or ""
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == name:
            return ast.get_docstring(node) or ""
        if isinstance(node, ast.Assign | ast.AnnAssign) and name in _targets(node):
            return _text(after) or _argument(node.value)
    return ""


def _split(name: str) -> tuple[str, str]:
    first, _, rest = name.partition(".")
    return first, rest


@cache
def _parse(file: Path) -> list[ast.stmt]:
    try:
        return ast.parse(file.read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return []


def _targets(node: ast.Assign | ast.AnnAssign) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _text(node: ast.stmt | None) -> str:
    """The docstring below an assignment."""
    value = node.value if isinstance(node, ast.Expr) else None
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""


def _argument(value: ast.expr | None) -> str:
    """The ``help`` or ``doc`` of the call that makes an object, else its first argument that reads like a sentence."""
    if not isinstance(value, ast.Call):
        return ""
    named = [keyword.value for keyword in value.keywords if keyword.arg in ("help", "doc")]
    texts = [a.value for a in (*named, *value.args) if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    return next((text for text in texts if " " in text), "")


def _absolute(node: ast.ImportFrom, module: str, package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    base = parts[: len(parts) - node.level + package]
    return ".".join([*base, *([node.module] if node.module else [])])


def _first_sentence(text: str) -> str:
    """The first sentence without the markup that docstrings have."""
    plain = re.sub(r":\w+:`~?([^`]+)`", r"\1", text).replace("``", "")
    paragraph = " ".join(plain.strip().partition("\n\n")[0].split())
    sentence, stop, _ = paragraph.partition(". ")
    return sentence + "." if stop else paragraph
