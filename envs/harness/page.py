"""Two evaluations side by side on one static HTML page, without network access, in the system's light or dark theme."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from homeostat.envs.harness.comparison import Comparison, Evaluation, Flip, compare
from homeostat.envs.harness.export import write_text
from homeostat.envs.harness.measures import summary
from homeostat.envs.harness.results import Result, nexus_ending
from homeostat.envs.harness.statistics import Interval, wilson

__all__ = ["comparison_page", "write_page"]


def write_page(before: Evaluation, after: Evaluation, path: Path, names: tuple[str, str]) -> None:
    """Writes :func:`comparison_page` to a file.

    Args:
        before: The first evaluation.
        after: The second evaluation.
        path: The file.
        names: What the page calls the two evaluations.

    Raises:
        ConfigError: The evaluations share no episode, or the file can't be written.
    """
    write_text(comparison_page(before, after, names), path, "--html")


def comparison_page(before: Evaluation, after: Evaluation, names: tuple[str, str]) -> str:
    """Renders the comparison of two evaluations.

    Args:
        before: The first evaluation.
        after: The second evaluation.
        names: What the page calls the two evaluations, such as the names of their files.

    Returns:
        The page's HTML, in which all data are escaped.

    Raises:
        ConfigError: The evaluations share no episode.
    """
    from jinja2 import Environment, StrictUndefined

    found = compare(before.results, after.results)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["percent"] = _percent
    environment.filters["points"] = _points
    source = (files("homeostat.envs.harness") / "page.html.j2").read_text(encoding="utf-8")
    sides = [
        _side(names[0], before, found, "before"),
        _side(names[1], after, found, "after"),
    ]
    return environment.from_string(source).render(
        found=found,
        sides=sides,
        settings=_settings(before.arguments, after.arguments),
        endings=[(name, *counts) for name, counts in found.endings.items() if any(counts)],
        templates=[_template_row(row) for row in found.templates],
        flips=[_flip(pair) for pair in sorted(found.flips, key=lambda p: (p.after.success, p.before.task))],
        costs=_costs(found, before.results, after.results),
    )


def _side(name: str, evaluation: Evaluation, found: Comparison, which: str) -> dict[str, Any]:
    interval: Interval = getattr(found, which)
    return {
        "name": name,
        "what": ", ".join(
            str(evaluation.arguments[k]) for k in ("model", "policy", "controllers") if _is_given(evaluation, k)
        ),
        "interval": interval,
        "solved": round(interval.mean * found.pairs),
        "episodes": len(evaluation.results),
    }


def _is_given(evaluation: Evaluation, key: str) -> bool:
    return evaluation.arguments.get(key) is not None


def _settings(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str, str, bool]]:
    """One row per argument: its name, both values, and whether they differ."""
    rows = []
    for name in dict.fromkeys((*before, *after)):
        one, other = (str(side[name]) if side.get(name) is not None else "–" for side in (before, after))
        rows.append((name, one, other, one != other))
    return rows


def _template_row(row: Any) -> dict[str, Any]:
    return {
        "task": row.task,
        "pairs": row.pairs,
        "before": row.before / row.pairs,
        "after": row.after / row.pairs,
        "change": (row.after - row.before) / row.pairs,
        "rescued": row.rescued,
        "harmed": row.harmed,
        "interval": wilson(row.after, row.pairs),
    }


def _flip(pair: Flip) -> dict[str, Any]:
    return {
        "rescued": pair.after.success,
        "task": pair.before.task,
        "seed": pair.before.seed,
        "goal": pair.after.goal or pair.before.goal,
        "before": nexus_ending(pair.before),
        "after": nexus_ending(pair.after),
        "reason": pair.before.reason if pair.after.success else pair.after.reason,
    }


def _costs(found: Comparison, before: Sequence[Result], after: Sequence[Result]) -> list[tuple[str, str, str]]:
    """What the shared episodes cost. One row per measure: name, before, after."""
    shared = {(r.task, r.seed) for r in before} & {(r.task, r.seed) for r in after}
    one, other = (summary([r for r in side if (r.task, r.seed) in shared]) for side in (before, after))

    def row(name: str, pick: Any, digits: int) -> tuple[str, str, str]:
        return name, _number(pick(one), digits), _number(pick(other), digits)

    return [
        row("steps / optimal steps, solved episodes", lambda s: s["steps_ratio"], 2),
        row("reversed redundancy ratio", lambda s: s["reversed_redundancy"], 3),
        row("model calls per episode", lambda s: s["calls"], 1),
        row("tokens generated per episode", lambda s: s["tokens"], 0),
        row("prompt tokens per episode", lambda s: s["prompt_tokens"], 0),
        row("seconds per episode, median", lambda s: s["latency"]["episode"]["p50"], 2),
        row("seconds per episode, 95 %", lambda s: s["latency"]["episode"]["p95"], 2),
        row("seconds per step, median", lambda s: s["latency"]["step"]["p50"], 3),
        row("seconds per step, 95 %", lambda s: s["latency"]["step"]["p95"], 3),
    ]


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _points(value: float) -> str:
    """A difference of shares in percentage points, with its sign (a typographic minus; none for zero)."""
    text = f"{100 * value:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", "−")
