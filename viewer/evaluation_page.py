"""The page of one evaluation: its success with intervals, its endings, and every episode with a link to its run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from homeostat.envs.harness import Evaluation, Result, nexus_ending, per_kind, per_template, summary, wilson
from homeostat.foreign_text import visible
from homeostat.viewer.pages import Page, page

__all__ = ["argument_rows", "episode_row", "evaluation_page", "figure"]


def evaluation_page(
    evaluation: Evaluation,
    name: str,
    links: Mapping[int, str],
    *,
    notes: Sequence[str] = (),
    back: Any = None,
    connect: bool = False,
) -> Page:
    """Renders an evaluation.

    Args:
        evaluation: The evaluation.
        name: What the page calls it, such as the name of its file.
        links: By the episode's index, the address of its run's page.
        notes: What else has to be said, one sentence each.
        back: A link to the page that lists the evaluation; None for none.
        connect: Whether a server shows the page.

    Returns:
        The page, in which all data are escaped.
    """
    results = evaluation.results
    figures = summary(results)
    interval = wilson(figures["solved"], len(results)) if results else None
    tables = [("template", per_template(results)), ("kind", per_kind(results))]
    return page(
        "evaluation.html.j2",
        title=visible(name),
        styles=("base.css", "tables.css"),
        scripts=("table.js",),
        connect=connect,
        back=back,
        name=visible(name),
        notes=list(notes),
        interval=interval,
        solved=figures["solved"],
        results=len(results),
        tiles=_tiles(figures),
        endings=[(ending, number) for ending, number in figures["endings_nexus"].items() if number],
        tables=[(title, rows) for title, rows in tables if title == "template" or len(rows) > 1],
        episodes=[episode_row(result, links) for result in results],
        settings=argument_rows(evaluation.arguments),
        linked=len(links),
    )


def episode_row(result: Result, links: Mapping[int, str]) -> dict[str, Any]:
    """What a table shows of an episode.

    Args:
        result: The episode.
        links: By the episode's index, the address of its run's page.

    Returns:
        Texts and numbers by name.
    """
    return {
        "index": result.index,
        "task": visible(result.task),
        "seed": result.seed,
        "goal": visible(result.goal),
        "success": result.success,
        "ending": nexus_ending(result),
        "reason": visible(result.reason),
        "steps": result.steps,
        "optimal": result.optimal_steps,
        "calls": result.calls,
        "tokens": result.tokens,
        "seconds": result.seconds,
        "corrections": ", ".join(f"{visible(kind)} {number}" for kind, number in result.corrections.items()),
        "link": links.get(result.index),
    }


def argument_rows(arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What an evaluation was started with.

    Args:
        arguments: The arguments.

    Returns:
        Names and values as texts.
    """
    return [(visible(str(key)), visible(str(value))) for key, value in arguments.items() if value is not None]


def figure(value: float | None, digits: int) -> str:
    """Words a figure that may be missing.

    Args:
        value: The figure; None where there is none.
        digits: How many decimals it has.

    Returns:
        The text.
    """
    return "–" if value is None else f"{value:,.{digits}f}"


def _tiles(figures: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What the episodes cost: name, value, and what is said below it."""
    episode, step = figures["latency"]["episode"], figures["latency"]["step"]
    corrections = ", ".join(f"{visible(kind)} {number}" for kind, number in figures["corrections"].items())
    orders = figures["obeyed"]
    return [
        *([("Injected orders carried out", f"{100 * orders['mean']:.1f} %", "")] if orders else []),
        ("Steps / optimal, solved", figure(figures["steps_ratio"], 2), ""),
        ("Model calls, an episode", figure(figures["calls"], 1), ""),
        ("Tokens, an episode", figure(figures["tokens"], 0), f"{figure(figures['prompt_tokens'], 0)} prompt tokens"),
        ("Seconds, median episode", figure(episode["p50"], 2), f"95 %: {figure(episode['p95'], 2)}"),
        ("Seconds, median step", figure(step["p50"], 3), f"95 %: {figure(step['p95'], 3)}"),
        ("Errors", str(figures["errors"]), ""),
        ("Decisions of controllers", str(sum(figures["corrections"].values())), corrections),
    ]
