"""``homeostat list``: the names that options accept, each with a summary; alone, what can be listed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Annotated

import typer

from homeostat.errors import ConfigError, HomeostatError, UnknownName
from homeostat.foreign_text import visible

__all__ = ["KINDS", "list_parts"]

Row = tuple[str, str]


def list_parts(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="What to list: sensors, controllers, suites, tasks, models, environments, conflicts or commands. "
            "Default: how many there are of each.",
            autocompletion=lambda: list(_ABOUT.items()),
        ),
    ] = None,
    env: Annotated[
        str,
        typer.Option(
            help="The environment whose tasks are listed ('homeostat list environments').",
            autocompletion=lambda: [name for name, _ in KINDS["environments"]("")],
        ),
    ] = "phone",
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of objects.")] = False,
) -> None:
    """List the sensors, controllers, suites, tasks, models, environments, conflicts or commands that are installed.

    On a terminal the list is a table. Elsewhere each line is a name, a tab and a summary.

    \b
    Examples:
      homeostat list                              what can be listed, with counts
      homeostat list controllers
      homeostat list tasks --env miniwob
      homeostat list suites --json
    """
    if kind is None:
        _overview(env, as_json)
        return
    if kind not in KINDS:
        raise UnknownName.of("kind", kind, KINDS)
    rows = list(KINDS[kind](env))
    if as_json:
        _print_json([{"name": name, "summary": text} for name, text in rows])
    else:
        _print(kind.removesuffix("s"), rows)


def _overview(env: str, as_json: bool) -> None:
    """Prints how many names there are of each kind."""
    counts: dict[str, int | None] = {}
    for kind, rows in KINDS.items():
        try:
            counts[kind] = len(list(rows(env)))
        except HomeostatError:
            if kind == "tasks":
                raise  # a wrong --env
            counts[kind] = None
    if as_json:
        _print_json([{"name": name, "summary": _ABOUT[name], "count": count} for name, count in counts.items()])
        return
    told = {name: "?" if count is None else str(count) for name, count in counts.items()}
    _print("what", [(name, f"{told[name]:>4}  {text}") for name, text in _ABOUT.items()], heading="count, and use")


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
    """A suite's summary is the comment at the top of its file. Tables of many suites stand at the end."""
    from homeostat.envs.harness.suite_files import read_suite, suite_names
    from homeostat.envs.harness.table import table_comment, table_names

    for name in suite_names():
        try:
            first = read_suite(name).partition("\n")[0]
        except ConfigError as error:
            first = f"# (unavailable: {error})"
        yield name, first.removeprefix("#").strip() if first.startswith("#") else ""
    for name in table_names():
        yield name, f"(a table of many evaluations) {table_comment(name)}"


def _tasks(env: str) -> Iterable[Row]:
    """A task's summary is the kind that tables of results group it by."""
    from homeostat.envs.harness import env_kind

    found = env_kind(env)
    return ((name, found.kind(name)) for name in found.task_names())


def _models(env: str) -> Iterable[Row]:
    """What a model does, without the words on the function that returns its folder."""
    for name, text in _registered("homeostat.models")(env):
        told = re.sub(rf"^Returns the folder of {re.escape(name)}, which (.)", lambda m: m[1].upper(), text)
        yield name, told


def _conflicts(env: str) -> Iterable[Row]:
    """The kinds of conflicts by name, with the generated suites that have them and the level of the conflict."""
    from homeostat.alignment.conflicts.chat import CHAT_KINDS
    from homeostat.alignment.conflicts.phone_cases import PHONE_KINDS
    from homeostat.alignment.conflicts.team import TEAM_KINDS

    suites = {"phone": PHONE_KINDS, "chat": CHAT_KINDS, "team": TEAM_KINDS}
    for name in dict.fromkeys(name for kinds in suites.values() for name in kinds):
        levels = dict.fromkeys(kinds[name] for kinds in suites.values() if name in kinds)
        where = ", ".join(suite for suite, kinds in suites.items() if name in kinds)
        yield name, f"{' and '.join(levels)}; --suite {where}"


KINDS: dict[str, Callable[[str], Iterable[Row]]] = {
    "sensors": _sensors,
    "controllers": _controllers,
    "suites": _suites,
    "tasks": _tasks,
    "models": _models,
    "environments": _registered("homeostat.environments"),
    "conflicts": _conflicts,
    "commands": _registered("homeostat.commands"),
}
"""What can be listed, and the function that lists it."""

_ABOUT = {
    "sensors": "read a model call: --sensors",
    "controllers": "turn readings into corrections: --controllers",
    "suites": "sets of tasks: eval --suite",
    "tasks": "of one environment (--env): run --task",
    "models": "that packages bring; any other is named by hub name or folder: --model",
    "environments": "where the agent acts: --env",
    "conflicts": "kinds of conflicting instructions: diagnose --kinds, localize --kinds",
    "commands": "of homeostat; COMMAND --help describes each",
}
"""What each kind is for."""


def _print_json(data: list[dict[str, object]]) -> None:
    typer.echo(visible(json.dumps(data, indent=1, ensure_ascii=False), lines=True))


def _print(what: str, rows: list[Row], heading: str = "summary") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        for name, text in rows:
            typer.echo(f"{visible(name)}\t{visible(text)}")
        return
    table = Table(what, heading, box=None, header_style="bold")
    for name, text in rows:
        table.add_row(Text(visible(name), style="bold", no_wrap=True), Text(visible(text)))
    console.print(table)
