"""``homeostat list``: the names that options accept, each with a summary."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Annotated

import typer

from homeostat.errors import ConfigError, UnknownName
from homeostat.foreign_text import visible

__all__ = ["KINDS", "list_parts"]

Row = tuple[str, str]


def list_parts(
    kind: Annotated[
        str,
        typer.Argument(
            help="What to list: sensors, controllers, suites, tasks, models, environments or commands.",
            autocompletion=lambda: list(KINDS),
        ),
    ],
    env: Annotated[str, typer.Option(help="The environment whose tasks are listed.")] = "phone",
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of objects.")] = False,
) -> None:
    """List the sensors, controllers, suites, tasks, models, environments or commands that are installed.

    On a terminal the list is a table. Elsewhere each line is a name, a tab and a summary.
    """
    if kind not in KINDS:
        raise UnknownName.of("kind", kind, KINDS)
    rows = list(KINDS[kind](env))
    if as_json:
        found = [{"name": name, "summary": text} for name, text in rows]
        typer.echo(visible(json.dumps(found, indent=1, ensure_ascii=False), lines=True))
    else:
        _print(kind.removesuffix("s"), rows)


def _registered(group: str) -> Callable[[str], Iterable[Row]]:
    """Lists an entry-point group without importing anything of it."""

    def rows(env: str) -> Iterable[Row]:
        from homeostat.plugins import plugins
        from homeostat.summaries import listed_summary

        return ((name, listed_summary(entry)) for name, entry in plugins(group).items())

    return rows


def _sensors(env: str) -> Iterable[Row]:
    """The registered sensors, and among ours the one that is learned for each model."""
    for name, text in _registered("homeostat.sensors")(env):
        yield name, text
        if name == "confidence":  # the next one in alphabetical order
            yield "conflict_probe", "Alarms where instructions contradict each other; made by fit-probe (--probe)."


def _controllers(env: str) -> Iterable[Row]:
    from homeostat.controllers import controller_names

    return controller_names().items()


def _suites(env: str) -> Iterable[Row]:
    """A suite's summary is the comment at the top of its file."""
    from homeostat.envs.harness.suite_files import read_suite, suite_names

    for name in suite_names():
        try:
            first = read_suite(name).partition("\n")[0]
        except ConfigError as error:
            first = f"# (unavailable: {error})"
        yield name, first.removeprefix("#").strip() if first.startswith("#") else ""


def _tasks(env: str) -> Iterable[Row]:
    """A task's summary is the kind that tables of results group it by."""
    from homeostat.envs.harness import env_kind

    found = env_kind(env)
    return ((name, found.kind(name)) for name in found.task_names())


KINDS: dict[str, Callable[[str], Iterable[Row]]] = {
    "sensors": _sensors,
    "controllers": _controllers,
    "suites": _suites,
    "tasks": _tasks,
    "models": _registered("homeostat.models"),
    "environments": _registered("homeostat.environments"),
    "commands": _registered("homeostat.commands"),
}
"""What can be listed, and the function that lists it."""


def _print(heading: str, rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        for name, text in rows:
            typer.echo(f"{visible(name)}\t{visible(text)}")
        return
    table = Table(heading, "summary", box=None, header_style="bold")
    for name, text in rows:
        table.add_row(Text(visible(name), style="bold", no_wrap=True), Text(visible(text)))
    console.print(table)
