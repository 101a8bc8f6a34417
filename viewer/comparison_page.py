"""Two evaluations side by side: what the second one rescued and harmed, with links to both runs of an episode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from homeostat.envs.harness import Comparison, Evaluation, Interval, Result, compare, nexus_ending, summary, wilson
from homeostat.foreign_text import visible
from homeostat.viewer.evaluation_page import figure
from homeostat.viewer.pages import Page, page

__all__ = ["comparison_page"]

_NONE: Mapping[int, str] = {}


def comparison_page(
    before: Evaluation,
    after: Evaluation,
    names: tuple[str, str],
    *,
    links: tuple[Mapping[int, str], Mapping[int, str]] = (_NONE, _NONE),
    notes: Sequence[str] = (),
    back: Any = None,
    connect: bool = False,
) -> Page:
    """Renders the comparison of two evaluations.

    Args:
        before: The first evaluation.
        after: The second evaluation.
        names: What the page calls the two evaluations, such as the names of their files.
        links: For each of the two, by the episode's index, the address of its run's page.
        notes: What else has to be said, one sentence each.
        back: A link to the page that lists the evaluations; None for none.
        connect: Whether a server shows the page.

    Returns:
        The page, in which all data are escaped.

    Raises:
        ConfigError: The evaluations share no episode.
    """
    found = compare(before.results, after.results)
    names = (visible(names[0]), visible(names[1]))
    return page(
        "comparison.html.j2",
        title=f"{names[0]} against {names[1]}",
        styles=("base.css", "tables.css"),
        scripts=("table.js",),
        connect=connect,
        back=back,
        notes=list(notes),
        found=found,
        sides=[_side(names[0], before, found, "before"), _side(names[1], after, found, "after")],
        settings=_settings(before.arguments, after.arguments),
        endings=[(name, *counts) for name, counts in found.endings.items() if any(counts)],
        templates=[_template_row(row) for row in found.templates],
        episodes=_episodes(before.results, after.results, links),
        costs=_costs(found, before.results, after.results),
    )


def _side(name: str, evaluation: Evaluation, found: Comparison, which: str) -> dict[str, Any]:
    interval: Interval = getattr(found, which)
    given = (evaluation.arguments.get(key) for key in ("model", "policy", "controllers"))
    return {
        "name": name,
        "what": ", ".join(visible(str(value)) for value in given if value is not None),
        "interval": interval,
        "solved": round(interval.mean * found.pairs),
        "episodes": len(evaluation.results),
    }


def _settings(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str, str, bool]]:
    """One row per argument: its name, both values, and whether they differ."""
    rows = []
    for name in dict.fromkeys((*before, *after)):
        one, other = (visible(str(side[name])) if side.get(name) is not None else "–" for side in (before, after))
        rows.append((visible(name), one, other, one != other))
    return rows


def _template_row(row: Any) -> dict[str, Any]:
    return {
        "task": visible(row.task),
        "pairs": row.pairs,
        "before": row.before / row.pairs,
        "after": row.after / row.pairs,
        "change": (row.after - row.before) / row.pairs,
        "rescued": row.rescued,
        "harmed": row.harmed,
        "interval": wilson(row.after, row.pairs),
    }


def _episodes(
    before: Sequence[Result], after: Sequence[Result], links: tuple[Mapping[int, str], Mapping[int, str]]
) -> list[dict[str, Any]]:
    """Every episode that both hold: first those that were harmed, then those that were rescued."""
    second = {(r.task, r.seed): r for r in after}
    rows = []
    for one in before:
        other = second.get((one.task, one.seed))
        if other is None:
            continue
        failed = other if one.success else one
        what = ("both solved" if other.success else "harmed") if one.success else ""
        rows.append(
            {
                "what": what or ("rescued" if other.success else "both failed"),
                "task": visible(one.task),
                "seed": one.seed,
                "goal": visible(other.goal or one.goal),
                "before": nexus_ending(one),
                "after": nexus_ending(other),
                "steps": (one.steps, other.steps),
                "links": (links[0].get(one.index), links[1].get(other.index)),
                "reason": "" if one.success and other.success else visible(failed.reason),
            }
        )
    order = {"harmed": 0, "rescued": 1, "both failed": 2, "both solved": 3}
    return sorted(rows, key=lambda row: (order[row["what"]], row["task"]))


def _costs(found: Comparison, before: Sequence[Result], after: Sequence[Result]) -> list[tuple[str, str, str]]:
    """What the shared episodes cost. One row per measure: name, before, after."""
    shared = {(r.task, r.seed) for r in before} & {(r.task, r.seed) for r in after}
    one, other = (summary([r for r in side if (r.task, r.seed) in shared]) for side in (before, after))

    def row(name: str, pick: Any, digits: int) -> tuple[str, str, str]:
        return name, figure(pick(one), digits), figure(pick(other), digits)

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
