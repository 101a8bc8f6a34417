"""Measures what the noise filter of ``homeostat mine`` does to the pairs: how many it drops, and how many were right.

    python benchmarks/mined_noise.py --atomic 60 --joined 30 --json noise.json

Nano plays atomic tasks with reminders on calibrated alarms (sources ``corrected`` and ``drift``) and joined goals with
the planner (source ``loop``), with training words. The pairs of each source are mined with no filter, with each stage
alone, and with both. The phone's own solution then judges every pair: the episode is replayed up to the pair's step,
and chosen and rejected answer are each tried. A pair is *right* if the solution needs fewer further actions after the
chosen answer than after the rejected one, *wrong* if it needs more, and a *tie* otherwise. A goal that can't be reached
any more counts as infinitely far.

JSON: ``rows``, each with ``source``, ``filter``, ``pairs``, ``right``, ``wrong``, ``tie``, and ``precision`` (right /
pairs, with Wilson's interval).
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from homeostat.agent import AgentSpec
from homeostat.agent.runner import AgentRunner
from homeostat.agent.trace import Trace
from homeostat.alignment import complaint_pairs, corrected_pairs, loop_pairs, read_traces
from homeostat.alignment.preference.noise import NoiseFilter
from homeostat.alignment.preference.pairs import Pair
from homeostat.alignment.preference.steps import Step, steps_of
from homeostat.envs.harness import load_suite, make_env, wilson
from homeostat.envs.phone.oracle_rollout import remaining
from homeostat.errors import ActionError

FILTERS = {
    "none": NoiseFilter(dwell=None, burst=None),
    "brief": NoiseFilter(burst=None),
    "burst": NoiseFilter(dwell=None),
    "both": NoiseFilter(),
}


def played(suite: str, episodes: int, controllers: str, folder: Path) -> tuple[list[Trace], Any, Any]:
    """The traces of some episodes, the model that played them, and a phone to judge on."""
    chosen = load_suite(suite, split="train", seed=11, episodes=episodes)
    options = dict(chosen.options)
    runner = AgentRunner(AgentSpec(controllers=(controllers,)), split="train", options=options, traces=str(folder))
    for index, case in enumerate(chosen.cases()):
        runner.run(index, case)
    return read_traces([folder]), runner.agent.model, make_env("phone", "train", options)


def tried(env: Any, step: Step, text: str) -> float:
    """How many actions the solution needs after an answer; infinity if it does not reach the end any more."""
    action, before = step.parse(text), env.snapshot()
    if action is not None:
        with suppress(ActionError):
            env.act(action)
    left = remaining(env)
    env.resume(before)
    return math.inf if left is None else left


def judged(env: Any, trace: Trace, style: Any, pairs: Sequence[Pair]) -> Iterator[tuple[str, float]]:
    """By the digest of a pair, how many actions fewer the solution needs after chosen than after rejected."""
    env.reset_task(trace.start.task.name, seed=trace.start.task.seed)
    for step in steps_of(trace, style):
        for pair in pairs:
            if pair.kind == "loop":
                here = Pair(step.whole_goal_prompt(), pair.chosen, pair.rejected)
            else:
                here = step.pair(pair.chosen, pair.rejected, pair.kind)
            if here.digest == pair.digest:
                chosen, rejected = (tried(env, step, text) for text in (pair.chosen, pair.rejected))
                yield pair.digest, 0.0 if chosen == rejected else rejected - chosen
        if step.was_done and step.act is not None and step.act.action is not None and env.status is None:
            try:
                env.act(step.act.action)
            except ActionError:
                return


def rows_of(
    source: str, traces: Sequence[Trace], env: Any, style: Any, mine: Callable[[Trace, NoiseFilter], list[Pair]]
) -> list[dict[str, Any]]:
    mined = {
        name: [(trace, pair) for trace in traces for pair in mine(trace, noise)] for name, noise in FILTERS.items()
    }
    better: dict[str, float] = {}
    for trace in traces:
        better.update(judged(env, trace, style, [pair for at, pair in mined["none"] if at is trace]))
    rows = []
    for name, found in mined.items():
        values = [better[pair.digest] for _, pair in found if pair.digest in better]
        right, wrong = sum(v > 0 for v in values), sum(v < 0 for v in values)
        row = {"source": source, "filter": name, "pairs": len(values), "right": right, "wrong": wrong}
        precision = wilson(right, len(values)).as_dict() if values else None
        rows.append(row | {"tie": len(values) - right - wrong, "precision": precision})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--atomic", type=int, default=60, help="Atomic episodes, for the sources corrected and drift.")
    parser.add_argument("--joined", type=int, default=30, help="Joined episodes, for the source loop.")
    parser.add_argument("--controllers", default="remind", help="The controllers on the atomic episodes.")
    parser.add_argument("--json", type=Path, help="Write the figures to this JSON file.")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        traces, model, env = played("atomic", options.atomic, options.controllers, Path(folder, "atomic"))
        rows += rows_of(
            "corrected", traces, env, model.style, lambda t, noise: list(corrected_pairs(t, model.style, noise))
        )
        rows += rows_of(
            "drift", traces, env, model.style, lambda t, noise: list(complaint_pairs(t, model.style, model, 0, noise))
        )
        traces, model, env = played("joined", options.joined, "decompose", Path(folder, "joined"))
        rows += rows_of(
            "loop", traces, env, model.style, lambda t, noise: list(loop_pairs([t], model.style, model, noise))
        )
    table = Table("source", "filter", "pairs", "right", "tie", "wrong", "precision")
    for row in rows:
        found = row["precision"]
        shown = "–" if found is None else f"{found['mean']:.0%} [{found['low']:.0%}, {found['high']:.0%}]"
        table.add_row(row["source"], row["filter"], *(str(row[k]) for k in ("pairs", "right", "tie", "wrong")), shown)
    Console(width=100).print(table)
    if options.json:
        options.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
