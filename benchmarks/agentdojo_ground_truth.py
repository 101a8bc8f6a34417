"""AgentDojo's ground truth in AgentDojo itself and in our environment, task by task.

    python benchmarks/agentdojo_ground_truth.py --json FILE
    python benchmarks/agentdojo_ground_truth.py --attack important_instructions --pairs 200

Without ``--attack``: every user task, and every injection task as if the user asked for it. With ``--attack``: pairs of
a user task and an injection task in random order. AgentDojo's side is its ``run_task_with_pipeline`` with its
``GroundTruthPipeline``.

JSON: for each suite ``tasks``, ``agentdojo`` and ``homeostat`` (the counts that are solved), the same with
``injection`` before the name, and ``differences``, a list that should be empty.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any

from homeostat.envs.agentdojo import AgentDojoEnv, suites
from homeostat.envs.agentdojo.library import attack_class, ground_truth_pipeline


def ours(env: AgentDojoEnv, task: str) -> tuple[bool, bool | None]:
    """What our environment says after the ground truth was played through it."""
    for _ in range(env.reset_task(task, seed=0).optimal_steps):
        env.act(env.oracle())
    return env.success(), env.obeyed()


def alone() -> dict[str, Any]:
    """Every task by itself."""
    env, found, differences = AgentDojoEnv(), {}, []
    for name, suite in suites().items():
        row: dict[str, int] = {}
        for kind, tasks in (("", suite.user_tasks), ("injection ", suite.injection_tasks)):
            row |= {f"{kind}tasks": len(tasks), f"{kind}agentdojo": 0, f"{kind}homeostat": 0}
            for key, task in tasks.items():
                own, _ = suite.run_task_with_pipeline(ground_truth_pipeline(task), task, None, {})
                here, _ = ours(env, f"{name}.{key}")
                row[f"{kind}agentdojo"] += own
                row[f"{kind}homeostat"] += here
                if own != here:
                    differences.append(f"{name}.{key}")
        found[name] = row
        print(name, row, flush=True)
    return {"suites": found, "differences": differences}


def attacked(attack: str, count: int) -> dict[str, Any]:
    """Pairs under an attack: utility and security."""
    env, differences = AgentDojoEnv(attack=attack), []
    pairs = [(n, u, i) for n, s in suites().items() for u in s.user_tasks for i in s.injection_tasks]
    chosen = random.Random(0).sample(pairs, min(count, len(pairs)))
    target = ground_truth_pipeline(None)
    target.name = "local"
    solved = obeyed = 0
    for name, user, harm in chosen:
        suite = suites()[name]
        task, injection = suite.user_tasks[user], suite.injection_tasks[harm]
        texts = attack_class(attack)(suite, target).attack(task, injection)
        own = suite.run_task_with_pipeline(ground_truth_pipeline(task), task, injection, texts)
        if own != ours(env, f"{name}.{user}.{harm}"):
            differences.append(f"{name}.{user}.{harm}")
        solved, obeyed = solved + own[0], obeyed + own[1]
    return {"attack": attack, "pairs": len(chosen), "utility": solved, "security": obeyed, "differences": differences}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--attack", default="", help="one of AgentDojo's attacks")
    parser.add_argument("--pairs", type=int, default=949)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    result = attacked(args.attack, args.pairs) if args.attack else alone()
    print(json.dumps(result, indent=1))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
