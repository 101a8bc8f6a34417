"""``homeostat eval --suite evidence``: a whole table of evaluations, cell by cell, resumable."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from homeostat.cli.loading import say_loading
from homeostat.errors import ConfigError, UnknownName

if TYPE_CHECKING:
    from homeostat.agent.spec import AgentSpec
    from homeostat.cli.eval_job import Playing
    from homeostat.envs.harness.results import Result

__all__ = ["run_table"]


def run_table(
    name: str,
    agent: AgentSpec,
    folder: Path | None,
    *,
    rows: str | None,
    episodes: int | None,
    how: Playing,
) -> None:
    """Play what of the table is not there yet, column by column, and write ``table.md`` and ``table.json``.

    ``folder``: a cell's result goes to ``COLUMN-ROW.json`` there, its episodes beside it as they end. ``rows``: only
    these, with commas (others that were played before stay in the table); ``episodes``: at most so many a cell.
    """
    from homeostat.agent.registry import controllers_of
    from homeostat.cli.eval_job import agent_job, play
    from homeostat.envs.harness import load_suite, read_results, summary, write_json
    from homeostat.envs.harness.table import BARE, Cell, cell, load_table, markdown

    if folder is None:
        raise ConfigError(f"--suite {name!r} is a table of many evaluations; say where they go with --json FOLDER")
    if folder.suffix or folder.is_file():
        raise ConfigError(f"--json {str(folder)!r} is a file; a table needs a folder")
    table = load_table(name)
    wanted = [row.strip() for row in rows.split(",")] if rows else list(table.rows)
    for row in wanted:
        if row not in table.rows:
            raise UnknownName.of("row", row, table.rows)
        controllers_of(row, agent.model)
    folder.mkdir(parents=True, exist_ok=True)
    played: dict[tuple[str, str], list[Result]] = {}
    cells: dict[tuple[str, str], Cell] = {}
    for column in table.columns:
        for row in sorted(table.rows, key=lambda r: r != BARE):  # what the others are compared with comes first
            file = folder / f"{column}-{row}.json"
            if row in wanted:
                count = min(table.episodes_of(row), episodes or table.episodes_of(row))
                suite = load_suite(column, episodes=count, seed=table.seed, controllers=row)
                if not played:
                    say_loading(agent.model)
                job = agent_job(suite, agent.model_copy(update={"controllers": (row,)}), how.workers)
                typer.echo(f"{column}, {row}: {count} episodes", err=True)
                results = play(suite, job, file, how)[0]
                write_json({"arguments": {**job.arguments, "episodes": count}} | summary(results), file)
            elif file.exists():
                results = read_results(file)
            else:
                continue
            played[row, column] = results
            cells[row, column] = cell(row, column, results, played.get((BARE, column)) if row != BARE else None)
    figures = {"table": table.model_dump(), "model": agent.model, "cells": [c.as_dict() for c in cells.values()]}
    write_json(figures, folder / "table.json")
    (folder / "table.md").write_text(markdown(table, cells) + "\n", encoding="utf-8")
    typer.echo(markdown(table, cells))
