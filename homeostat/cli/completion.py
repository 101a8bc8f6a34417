"""Completes the values of options in a shell: names of suites, tasks, controllers, sensors, models and environments.

The names are those of ``homeostat list``, with their summaries where the shell shows such. Nothing imports torch, and a
name that can't be found out leaves the shell with nothing to offer, never with an error. Where names are given with
commas, the last one is completed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from homeostat.foreign_text import visible

__all__ = ["LOADING", "completes", "completes_several", "run_ids"]

Offer = list[tuple[str, str]]
LOADING = {
    "device": ("cpu", "cuda", "mps"),
    "dtype": ("float32", "bfloat16", "float16"),
    "quantization": ("4bit", "8bit"),
}
"""What the options that say how a model is loaded take."""


def completes(kind: str, *more: str) -> Callable[[Any, list[str], str], Offer]:
    """Makes what typer calls to complete one name.

    Args:
        kind: What is named, as ``homeostat list`` calls it: ``"suites"``, ``"models"`` and so on; "" for nothing of it.
        more: Further values that the option takes.

    Returns:
        A function for the ``autocompletion`` of an option.
    """

    def offered(ctx: Any, args: list[str], incomplete: str) -> Offer:
        return [row for row in _rows(kind, ctx, more) if row[0].startswith(incomplete)]

    return offered


def completes_several(kind: str, *more: str) -> Callable[[Any, list[str], str], Offer]:
    """Makes what typer calls to complete the last of several names with commas.

    Args:
        kind: What is named, as ``homeostat list`` calls it.
        more: Further values that the option takes.

    Returns:
        A function for the ``autocompletion`` of an option.
    """

    def offered(ctx: Any, args: list[str], incomplete: str) -> Offer:
        before, comma, last = incomplete.rpartition(",")
        taken = set(before.split(","))
        found = [row for row in _rows(kind, ctx, more) if row[0].startswith(last) and row[0] not in taken]
        return [(f"{before}{comma}{name}", text) for name, text in found]

    return offered


def run_ids(ctx: Any, args: list[str], incomplete: str) -> Offer:
    """Completes a run: the folders under ``--runs``, the newest first.

    Args:
        ctx: The context of the command line.
        args: Not used.
        incomplete: What was typed so far.

    Returns:
        The folders with what they are.
    """
    runs = Path((ctx.params.get("runs") if ctx is not None else None) or "runs")
    try:
        found = sorted((path for path in runs.iterdir() if (path / "run.json").is_file()), reverse=True)
    except OSError:
        return []
    return [(str(path), "a run") for path in found if str(path).startswith(incomplete)]


def _rows(kind: str, ctx: Any, more: Iterable[str]) -> Offer:
    from homeostat.cli.list import KINDS

    params = ctx.params if ctx is not None else {}
    env = params.get("env") or "phone"
    try:
        found = list(KINDS[kind](env)) if kind else []
    except Exception:  # a plugin's fault, a wrong --env: the command itself says so, a completion can't
        found = []
    return [(visible(name), visible(text)) for name, text in [*((one, "") for one in more), *found]]
