"""How far decomposition can go with this executor: nano's own planner against one that knows every part and value.

    python benchmarks/perfect_planner.py --episodes 60 --json perfect_planner.json

The perfect planner is no model: it hands over the parts that the task itself was made of, every carried value already
filled in. What is then still missing is the executor's. The episodes are those of the suites (test words), seed 2,
which the evidence's table does not use.
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
    """Answers with the parts of the task that ``env`` plays."""

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
    parser.add_argument("--episodes", type=int, default=60)
    parser.add_argument("--model", default="homeostat/nano")
    parser.add_argument("--json", type=Path, required=True)
    args = parser.parse_args()
    model = TransformersModel.load(args.model)
    rows = [play(kind, args.episodes, model, perfect=p) for kind in KINDS for p in (False, True)]
    for row in rows:
        low, high = row["success"]["low"], row["success"]["high"]
        done, parts = row["parts"]
        print(
            f"{row['kind']:14} {'perfect planner' if row['perfect'] else 'its own planner':16} {row['solved']} of "
            f"{args.episodes} [{100 * low:.1f}, {100 * high:.1f}], parts done {100 * done / parts:.0f} % of {parts}"
        )
    args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
