"""Tables of evaluations: rows of controllers, columns of suites, every cell paired with the bare model's.

A table is a YAML file or a name that ships with the package (``evidence``). Each cell is an evaluation of its own,
with its own journal, so a table that is killed goes on where it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from homeostat.envs.harness.comparison import Comparison, compare
from homeostat.envs.harness.results import Result
from homeostat.envs.harness.statistics import Interval, wilson
from homeostat.envs.harness.suite import load_suite
from homeostat.errors import ConfigError

__all__ = ["BARE", "Cell", "Table", "cell", "is_table", "load_table", "markdown", "table_names"]

BARE = "none"
Names = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1, strict=False)]


class Table(BaseModel):
    """Which cells there are: ``rows`` (controllers, ``none`` among them) on ``columns`` (suites).

    ``episodes`` a cell; ``headline_episodes`` in the rows of ``headline``. All with one ``seed``, so that cells of a
    column play the same episodes.
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
        """How many episodes a row's cells have."""
        return self.headline_episodes if row in self.headline else self.episodes


@dataclass(frozen=True)
class Cell:
    """One row on one column: success, what changed against the bare model on the same episodes (None for itself), and
    what it cost.

    ``triggered``: the share of episodes with a decision of a controller; ``tokens`` written and ``read`` (computed for
    prompts) and ``seconds``, means over episodes.
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
        """Plain numbers."""
        change = None if self.change is None else self.change.as_dict()
        costs = {name: getattr(self, name) for name in ("triggered", "tokens", "read", "seconds")}
        place = {"row": self.row, "column": self.column, "episodes": self.episodes}
        return place | {"success": self.success.as_dict(), "change": change} | costs


def table_names() -> tuple[str, ...]:
    """The tables that ship with the package."""
    return tuple(sorted(f.name.removesuffix(".yaml") for f in _folder().iterdir() if f.name.endswith(".yaml")))


def is_table(name: str) -> bool:
    """Whether this names a shipped table, or a YAML file with ``columns``."""
    if name in table_names():
        return True
    path = Path(name)
    return path.suffix in (".yaml", ".yml") and path.is_file() and "columns" in (_mapping(path.read_text()) or {})


def load_table(name: str) -> Table:
    """A shipped table, or the one in a YAML file. Raises :class:`ConfigError` naming what is wrong with it."""
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
    """The figures of one cell; ``bare``: the bare model's results of the same column."""

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
    """One table a column, the rows that have been played, as Markdown."""
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
    import yaml

    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError:
        return None
    return data if isinstance(data, dict) else None


def _folder() -> Any:
    return files("homeostat.envs.harness") / "tables"
