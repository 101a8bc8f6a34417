"""Tables of evaluations. Rows are controllers, columns are suites, and every cell is paired with the bare model's.

A table is a YAML file, or the name of one that ships with the package (``evidence``). Each cell is an evaluation of its
own with its own journal, so an interrupted table continues where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from homeostat.data_files import DataError, parse_yaml
from homeostat.envs.harness.comparison import Comparison, compare
from homeostat.envs.harness.results import Result
from homeostat.envs.harness.statistics import Interval, wilson
from homeostat.envs.harness.suite import load_suite
from homeostat.errors import ConfigError

__all__ = ["BARE", "Cell", "Table", "cell", "is_table", "load_table", "markdown", "table_comment", "table_names"]

BARE = "none"
"""The row without controllers, which all others are compared with."""
Names = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1, strict=False)]


class Table(BaseModel):
    """Which cells a table has. All use one seed, so that the cells of a column play the same episodes.

    Attributes:
        name: The table's name.
        rows: Controllers as :class:`Suite` takes them; ``none`` is among them.
        columns: Suites.
        episodes: The number of episodes of a cell.
        headline: The rows whose cells have more episodes.
        headline_episodes: The number of episodes of a cell in these rows.
        seed: The suites' seed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    rows: Names
    columns: Names
    episodes: int = Field(default=60, ge=1)
    headline: Annotated[tuple[str, ...], Field(strict=False)] = ()
    headline_episodes: int = Field(default=200, ge=1)
    seed: int = 1

    def episodes_of(self, row: str) -> int:
        """Returns the number of episodes of a row's cells.

        Args:
            row: The row.

        Returns:
            The number of episodes.
        """
        return self.headline_episodes if row in self.headline else self.episodes


@dataclass(frozen=True)
class Cell:
    """The figures of one row in one column.

    Attributes:
        row: The controllers.
        column: The suite.
        episodes: The number of episodes.
        success: The share of solved episodes.
        change: The comparison with the bare model on the same episodes. None: this cell is the bare model's.
        triggered: The share of episodes in which a controller intervened.
        tokens: The number of generated tokens, mean per episode.
        read: The number of computed prompt tokens, mean per episode.
        seconds: The duration in seconds, mean per episode.
    """

    row: str
    column: str
    episodes: int
    success: Interval
    change: Comparison | None
    triggered: float
    tokens: float
    read: float
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Returns the figures as plain data."""
        change = None if self.change is None else self.change.as_dict()
        costs = {name: getattr(self, name) for name in ("triggered", "tokens", "read", "seconds")}
        place = {"row": self.row, "column": self.column, "episodes": self.episodes}
        return place | {"success": self.success.as_dict(), "change": change} | costs


def table_names() -> tuple[str, ...]:
    """Returns the names of the tables that ship with the package."""
    return tuple(sorted(f.name.removesuffix(".yaml") for f in _folder().iterdir() if f.name.endswith(".yaml")))


def table_comment(name: str) -> str:
    """Returns the comment at the top of a table that ships with the package.

    Args:
        name: The table's name.

    Returns:
        The first line without its mark; "" where there is no comment.
    """
    first = (_folder() / f"{name}.yaml").read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def is_table(name: str) -> bool:
    """Whether a name is that of a table.

    Args:
        name: A name, or the path of a YAML file.

    Returns:
        True for a table that ships with the package, and for a YAML file with the key ``columns``.
    """
    if name in table_names():
        return True
    path = Path(name)
    return path.suffix in (".yaml", ".yml") and path.is_file() and "columns" in (_mapping(path.read_text()) or {})


def load_table(name: str) -> Table:
    """Loads a table.

    Args:
        name: The name of a table that ships with the package, or the path of a YAML file.

    Returns:
        The table.

    Raises:
        UnknownName: A column is no suite.
        ConfigError: A value can't be used, or the row ``none`` is missing.
    """
    shipped = name in table_names()
    text = (_folder() / f"{name}.yaml").read_text() if shipped else Path(name).read_text(encoding="utf-8")
    data = {"name": name if shipped else Path(name).stem} | (_mapping(text) or {})
    try:
        table = Table.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"table {name!r}: {where} is {first.get('input')!r}: {first['msg']}; change it") from None
    if BARE not in table.rows:
        raise ConfigError(f"table {name!r} has no row {BARE!r} to compare with; add it")
    for column in table.columns:
        load_suite(column)
    return table


def cell(row: str, column: str, results: Sequence[Result], bare: Sequence[Result] | None) -> Cell:
    """Computes the figures of one cell.

    Args:
        row: The controllers.
        column: The suite.
        results: The cell's episodes.
        bare: The bare model's episodes of the same column. None: the cell is the bare model's.

    Returns:
        The figures.
    """

    def mean(name: str) -> float:
        return float(sum(getattr(r, name) for r in results)) / len(results)

    return Cell(
        row,
        column,
        len(results),
        wilson(sum(r.success for r in results), len(results)),
        None if bare is None else compare(bare, results),
        sum(any(n for kind, n in r.corrections.items() if kind != "hold") for r in results) / len(results),
        mean("tokens"),
        mean("prompt_tokens"),
        mean("seconds"),
    )


def markdown(table: Table, cells: Mapping[tuple[str, str], Cell]) -> str:
    """Renders one Markdown table per column, with the rows that have been played.

    Args:
        table: The table.
        cells: The cells so far by (row, column).

    Returns:
        The Markdown text.
    """
    lines = []
    for column in table.columns:
        found = [cells[row, column] for row in table.rows if (row, column) in cells]
        if not found:
            continue
        lines += [
            f"**{column}**",
            "",
            "| controllers | solved | gain over bare (paired) | rescue | harm | triggered | written, read | seconds |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for one in found:
            change = one.change
            paired = ["", "", ""]
            if change is not None:
                paired = [_points(change.gain), change.rescue.percent(), change.harm.percent()]
            costs = [f"{100 * one.triggered:.0f} %", f"{one.tokens:.0f}, {one.read:,.0f}", f"{one.seconds:.2f}"]
            solved = f"{round(one.success.mean * one.episodes)} of {one.episodes}, {one.success.percent()}"
            lines.append("| " + " | ".join([one.row, solved, *paired, *costs]) + " |")
        lines.append("")
    return "\n".join(lines)


def _points(gain: Interval) -> str:
    return f"{100 * gain.mean:+.1f} [{100 * gain.low:.1f}, {100 * gain.high:.1f}]"


def _mapping(text: str) -> dict[str, Any] | None:
    try:
        data = parse_yaml(text)
    except DataError:
        return None
    return data if isinstance(data, dict) else None


def _folder() -> Any:
    return files("homeostat.envs.harness") / "tables"
