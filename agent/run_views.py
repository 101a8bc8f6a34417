"""A run to look at: its drift as a chart, its model calls as a table, its result as HTML for notebooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from homeostat.agent.events import Sense
from homeostat.agent.trace import Trace
from homeostat.errors import ConfigError
from homeostat.plots.figures import Chart
from homeostat.plots.lines import Panel, Series, drift, lines
from homeostat.plots.notebook import data_frame, table_html

if TYPE_CHECKING:
    from homeostat.agent.loop.result import Episode

__all__ = ["episode_html", "mean_chart", "trace_chart", "trace_table"]

_MOST = 20
"""The most decisions that a notebook shows."""


def trace_chart(trace: Trace, title: str = "") -> Chart:
    """Draws where the attention of a run went, step by step, and what its sensors said of it.

    Args:
        trace: The run.
        title: The title; "" names the run and its task.

    Returns:
        The chart: the mass on every span, and one panel for each sensor with its threshold and its alarms. A step's
        further attempts lie between its number and the next one.

    Raises:
        ConfigError: The run has neither masses nor readings, or matplotlib is not installed.
    """
    calls = [event for event in trace.attempts if event.candidate is None]
    places = _places(calls)
    masses: dict[str, tuple[list[float], list[float]]] = {}
    for place, call in zip(places, calls, strict=True):
        for label, mass in call.mass.items():
            x, y = masses.setdefault(label, ([], []))
            x.append(place)
            y.append(mass)
    readings = []
    for name in dict.fromkeys(reading.sensor for call in calls for reading in call.readings):
        found = [(p, r) for p, call in zip(places, calls, strict=True) for r in call.readings if r.sensor == name]
        judged = [(p, r) for p, r in found if r.judged]
        if not judged:
            continue
        values, alarms = [r.value for _, r in judged], [r.alarm for _, r in judged]
        readings.append((Series(name, [p for p, _ in judged], values, marked=alarms), judged[-1][1].threshold))
    if not masses and not readings:
        raise ConfigError(f"run {str(trace.folder)!r} has no attention and no readings to draw; run it with sensors")
    return drift(masses, readings, title=title or f"{trace.start.run}: {trace.start.task.name}")


def mean_chart(traces: Sequence[Trace], title: str = "") -> Chart:
    """Draws the mean over several runs, step by step, with 95 % intervals (Student's t over runs).

    Every run counts once in a step: with the mean over the step's attempts. Steps that only one run reached have no
    interval.

    Args:
        traces: The runs.
        title: The title; "" says how many runs there are.

    Returns:
        The chart: the attention mass on every span, and one panel for each sensor.

    Raises:
        ConfigError: The runs have neither masses nor readings, or matplotlib is not installed.
    """
    masses: dict[str, dict[int, list[float]]] = {}
    readings: dict[str, dict[int, list[float]]] = {}
    for trace in traces:
        calls = [event for event in trace.attempts if event.candidate is None]
        for step in sorted({call.step for call in calls}):
            here = [call for call in calls if call.step == step]
            for label in dict.fromkeys(label for call in here for label in call.mass):
                found = [call.mass[label] for call in here if label in call.mass]
                masses.setdefault(label, {}).setdefault(step, []).append(100 * sum(found) / len(found))
            judged = [reading for call in here for reading in call.readings if reading.judged]
            for name in dict.fromkeys(reading.sensor for reading in judged):
                values = [reading.value for reading in judged if reading.sensor == name]
                readings.setdefault(name, {}).setdefault(step, []).append(sum(values) / len(values))
    panels = [
        Panel(
            [_mean(name, found) for name, found in masses.items()],
            "step",
            "attention mass, %",
            "attention on each span",
            from_zero=True,
        )
    ] * bool(masses)
    panels += [Panel([_mean("", found)], "step", "value", name) for name, found in readings.items()]
    if not panels:
        raise ConfigError("the runs have no attention and no readings to draw; run them with sensors")
    return lines(panels, columns=min(3, len(panels)), title=title or f"mean of {len(traces)} runs, 95 % intervals")


def _mean(name: str, by_step: Mapping[int, Sequence[float]]) -> Series:
    """The mean at every step, with the interval of Student's t."""
    from scipy.stats import t

    steps = sorted(by_step)
    means, lows, highs = [], [], []
    for step in steps:
        values = np.array(by_step[step])
        error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0.0
        reach = error * float(t.ppf(0.975, len(values) - 1)) if len(values) > 1 else 0.0
        means.append(float(values.mean()))
        lows.append(means[-1] - reach)
        highs.append(means[-1] + reach)
    return Series(name, steps, means, lows, highs)


def _places(calls: Sequence[Sense]) -> list[float]:
    """step + k / n for the k-th of a step's n attempts."""
    count: dict[int, int] = {}
    for call in calls:
        count[call.step] = count.get(call.step, 0) + 1
    seen: dict[int, int] = {}
    places = []
    for call in calls:
        k = seen.get(call.step, 0)
        seen[call.step] = k + 1
        places.append(call.step + k / count[call.step])
    return places


def trace_table(trace: Trace) -> Any:
    """Makes a table of a run's model calls.

    Args:
        trace: The run.

    Returns:
        A ``pandas.DataFrame`` with one row for each model call: ``step``, ``attempt``, ``candidate``, ``text``,
        ``action``, ``tokens``, ``prompt_tokens``, ``seconds``, ``mass.LABEL`` for every span, and ``SENSOR``,
        ``SENSOR.alarm`` and ``SENSOR.threshold`` for every sensor. What a sensor did not judge is missing.

    Raises:
        ConfigError: pandas is not installed.
    """
    calls = trace.attempts
    columns: dict[str, list[Any]] = {
        "step": [call.step for call in calls],
        "attempt": [call.attempt for call in calls],
        "candidate": [call.candidate for call in calls],
        "text": [call.text for call in calls],
        "action": [None if call.action is None else call.action.kind for call in calls],
        "tokens": [call.cost for call in calls],
        "prompt_tokens": [call.prompt_tokens for call in calls],
        "seconds": [call.seconds for call in calls],
    }
    for label in dict.fromkeys(label for call in calls for label in call.mass):
        columns[f"mass.{label}"] = [call.mass.get(label) for call in calls]
    for name in dict.fromkeys(reading.sensor for call in calls for reading in call.readings):
        found = [next((r for r in call.readings if r.sensor == name and r.judged), None) for call in calls]
        columns[name] = [None if r is None else r.value for r in found]
        columns[f"{name}.alarm"] = [None if r is None else r.alarm for r in found]
        columns[f"{name}.threshold"] = [None if r is None else r.threshold for r in found]
    return data_frame(columns)


def episode_html(episode: Episode) -> str:
    """Writes an episode's result as HTML.

    Args:
        episode: The result.

    Returns:
        A fragment of HTML: the outcome, the costs, and the controllers' decisions.
    """
    judged = {True: "success", False: "not solved", None: "not judged"}[episode.success]
    costs = f"{episode.steps} steps, {episode.calls} model calls, {episode.tokens} tokens, {episode.seconds:.1f} s"
    rows = [
        ["goal", episode.task.goal],
        ["outcome", f"{judged}; ended: {episode.ended}{f' ({episode.reason})' if episode.reason else ''}"],
        ["costs", costs],
        ["folder", "" if episode.folder is None else str(episode.folder)],
    ]
    caption = f"Episode {episode.run}: {episode.task.name}, seed {episode.seed}"
    html = table_html(["", ""], [row for row in rows if row[1]], caption)
    decisions = [[d.step, d.attempt, d.controller, d.kind, d.cause] for d in episode.decisions]
    if not decisions:
        return html + table_html(["No controller intervened."], [])
    more = f"{len(decisions) - _MOST} more decisions are not shown." if len(decisions) > _MOST else ""
    return html + table_html(["step", "attempt", "controller", "decision", "cause"], decisions[:_MOST], note=more)
