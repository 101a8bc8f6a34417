"""Measures how far decomposition can go with this executor: its own plans against those of a perfect planner.

    python benchmarks/perfect_planner.py --episodes 60 --json perfect_planner.json

The perfect planner is not a model. It returns the subtasks that the task was built from, with every carried value
already filled in. What still fails is due to the executor. The episodes are those of the compositional suites (test
words) with seed 2, which the table in docs/evidence.md does not use.

JSON, one row for each suite (``kind``) and planner (``perfect`` or not): the number of ``solved`` episodes, ``success``
with Wilson's interval, and ``parts``, the number of subtasks that were done and the number of all subtasks.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from homeostat.agent import Agent, TransformersModel
from homeostat.agent.prompts import PromptStyle
from homeostat.controllers import Decompose
from homeostat.envs.harness import load_suite, make_env, wilson
from homeostat.sensors.attempts import Attempt
from homeostat.sensors.chat.messages import Prompt

KINDS = ("concatenation", "transition", "deepdive")


class PerfectPlanner:
    """Answers with the subtasks of the environment's present task."""

    name = "perfect"
    capabilities: frozenset[Any] = frozenset()

    def __init__(self, env: Any, style: PromptStyle) -> None:
        self.env, self.style = env, style

    def generate(self, prompt: Prompt, **settings: Any) -> list[Attempt]:
        return [Attempt(text=json.dumps({"parts": self.env.info.parts}))]


def play(kind: str, episodes: int, model: TransformersModel, *, perfect: bool) -> dict[str, Any]:
    suite = load_suite(kind, episodes=episodes, seed=2)
    env = make_env(suite.env, suite.split, suite.options)
    planner: Any = PerfectPlanner(env, model.style) if perfect else None
    agent = Agent(model, controllers=[Decompose()], planner=planner)
    solved, parts, done = 0, 0, 0
    for case in suite.cases():
        episode = agent.run(env.reset_task(case.task, seed=case.seed), env, seed=case.seed)
        checks = env.subtasks()
        solved += bool(episode.success)
        parts += len(checks)
        done += sum(checks)
    success = wilson(solved, episodes)
    return {"kind": kind, "perfect": perfect, "solved": solved, "success": success.as_dict(), "parts": [done, parts]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=60, help="The number of episodes of each suite.")
    parser.add_argument(
        "--model",
        default="homeostat/nano",
        help="The model: a Hugging Face name, a folder, or the name of an embedded model.",
    )
    parser.add_argument("--json", type=Path, required=True, help="Write the figures to this JSON file.")
    args = parser.parse_args()
    model = TransformersModel.load(args.model)
    rows = [play(kind, args.episodes, model, perfect=p) for kind in KINDS for p in (False, True)]
    for row in rows:
        low, high = row["success"]["low"], row["success"]["high"]
        done, parts = row["parts"]
        print(
            f"{row['kind']:14} {'perfect planner' if row['perfect'] else 'its own planner':16} {row['solved']} of "
            f"{args.episodes} [{100 * low:.1f}, {100 * high:.1f}], subtasks done {100 * done / parts:.0f} % of {parts}"
        )
    args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
