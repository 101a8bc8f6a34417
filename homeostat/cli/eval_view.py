"""What ``homeostat eval`` shows: its progress on stderr, its tables on stdout."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from homeostat.foreign_text import shown

if TYPE_CHECKING:
    from homeostat.envs.harness import Result

__all__ = ["print_figures", "progress"]

_LINE_SECONDS = 30.0


@contextmanager
def progress(total: int) -> Iterator[Callable[[Sequence[Result]], None]]:
    """A bar on a terminal (on stderr, so that stdout stays the result); elsewhere a plain line every half minute."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[solved]} solved"), TimeRemainingColumn())
    last = time.monotonic()
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        job = bar.add_task("episodes", total=total, solved=0)

        def tell(results: Sequence[Result]) -> None:
            nonlocal last
            solved = sum(r.success for r in results)
            bar.update(job, completed=len(results), solved=solved)
            if not console.is_terminal and time.monotonic() - last >= _LINE_SECONDS:
                last = time.monotonic()
                console.print(f"{len(results)} of {total} episodes, {solved} solved", soft_wrap=True, highlight=False)

        yield tell


def print_figures(results: Sequence[Result], figures: dict[str, Any], title: str) -> None:
    """The tables by template and by kind, endings, cost, and the success rate in the last line."""
    from rich.console import Console

    from homeostat.envs.harness import Interval, per_kind, per_template

    console = Console(highlight=False)
    _table(console, "task", per_template(results))
    kinds = per_kind(results)
    if len(kinds) > 1:
        _table(console, "kind", kinds)
    _line(console, f"endings: {_counts(figures['endings'])}; in UI-NEXUS's words: {_counts(figures['endings_nexus'])}")
    if figures["obeyed"] is not None:
        carried, refused = Interval(**figures["obeyed"]), Interval(**figures["refused"])
        attacked = sum(r.obeyed is not None for r in results)
        _line(console, f"injected orders carried out: {carried.percent()} of {attacked}")
        _line(console, f"episodes in which a controller refused an action: {refused.percent()}")
    if figures["fixation"] is not None:
        _line(console, _fixation(figures["fixation"]))
    ratio, redundancy = _number(figures["steps_ratio"], 2), _number(figures["reversed_redundancy"], 3)
    _line(console, f"steps against optimal where solved: {ratio}; reversed redundancy ratio: {redundancy}")
    _line(
        console,
        f"{figures['calls']:.1f} calls, {figures['tokens']:.0f} tokens, {figures['prompt_tokens']:.0f} prompt tokens, "
        f"{figures['seconds']:.2f} s an episode",
    )
    episode, step = figures["latency"]["episode"], figures["latency"]["step"]
    _line(
        console,
        f"seconds, median and 95 %: {_number(episode['p50'], 2)} and {_number(episode['p95'], 2)} an episode, "
        f"{_number(step['p50'], 3)} and {_number(step['p95'], 3)} a step",
    )
    success = Interval(**figures["success"])
    clustered = figures["success_clustered"]
    if clustered is not None:
        found = Interval(**clustered)
        _line(console, f"over templates (cluster bootstrap): {found.percent()}")
    _line(console, f"{title}: {figures['solved']} of {len(results)} solved, {success.percent()}")


def _fixation(counts: dict[str, Any]) -> str:
    """Which errors land on decoys, and how often the agent returns to one."""
    from homeostat.envs.harness import Interval

    def share(name: str, of: int, what: str) -> str:
        found = counts[name]
        return f"{'none' if found is None else Interval(**found).percent()} of {of} {what}"

    return (
        f"fixation in {counts['episodes']} episodes with decoys: on a decoy "
        f"{share('decoy_share', counts['wrong'], 'wrong actions')}; again on one "
        f"{share('persistence', counts['told'], 'after feedback')}, "
        f"{share('repetition', counts['followed'], 'without')}"
    )


def _table(console: Any, heading: str, rows: dict[str, tuple[int, int, Any]]) -> None:
    from rich.table import Table

    table = Table(heading, "solved", "of", "95 % interval", box=None, header_style="bold")
    for name, (solved, count, interval) in rows.items():
        table.add_row(shown(name), str(solved), str(count), f"{interval.low:.2f} to {interval.high:.2f}")
    console.print(table)


def _line(console: Any, text: str) -> None:
    console.print(shown(text), soft_wrap=True, markup=False)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count)


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
