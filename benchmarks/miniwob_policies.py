"""Measures what chance and the oracle achieve on MiniWoB++, by the pages' own rewards, on seeds of the test split.

    python benchmarks/miniwob_policies.py --seeds 10 --json miniwob_policies.json

The oracle plays the 56 tasks that it knows. Chance clicks on elements that look clickable, at most 10 steps, on the 16
click tasks. An episode is solved if the page's raw reward is above 0.

JSON: ``oracle`` and ``random`` have a ``total`` (``solved``, ``episodes``, and Wilson's interval ``mean``, ``low``,
``high``) and the same for each of the ``tasks``, with the episodes of ``full_reward`` and the mean number of ``steps``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from homeostat.envs.harness import wilson
from homeostat.envs.miniwob import CLICK, ORACLES, MiniWobEnv, RandomPolicy, oracle_policy, play
from homeostat.envs.miniwob.seeds import SEEDS

RANDOM_STEPS = 10


def measure(env: MiniWobEnv, task: str, seeds: int, chance: bool) -> dict[str, float]:
    first = SEEDS["test"].start
    env.max_steps = RANDOM_STEPS if chance else 30
    played = [play(env, RandomPolicy(s) if chance else oracle_policy, task, first + s) for s in range(seeds)]
    return {
        "solved": sum(p.success for p in played),
        "full_reward": sum(p.reward >= 1 for p in played),
        "episodes": seeds,
        "steps": sum(p.steps for p in played) / seeds,
    }


def total(rows: dict[str, dict[str, float]]) -> dict[str, float]:
    solved, episodes = (int(sum(row[key] for row in rows.values())) for key in ("solved", "episodes"))
    return {"solved": solved, "episodes": episodes} | wilson(solved, episodes).as_dict()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="Write the figures to this JSON file.")
    parser.add_argument("--seeds", type=int, default=10, help="The number of episodes per task.")
    args = parser.parse_args()
    env, figures = MiniWobEnv(), dict[str, dict]()
    try:
        for name, tasks, chance in (("oracle", ORACLES, False), ("random", CLICK, True)):
            rows = {}
            for task in tasks:
                rows[task] = measure(env, task, args.seeds, chance)
                print(name, task, rows[task], flush=True)
            figures[name] = {"total": total(rows), "tasks": rows}
    finally:
        env.close()
    weak = {task: row["solved"] for task, row in figures["oracle"]["tasks"].items() if row["solved"] < row["episodes"]}
    print(
        json.dumps({"oracle": figures["oracle"]["total"], "random": figures["random"]["total"], "weak": weak}, indent=1)
    )
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
