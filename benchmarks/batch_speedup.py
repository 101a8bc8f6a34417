"""Measures episodes a minute, one by one and side by side, with the same model, episodes and limits in one run.

    python benchmarks/batch_speedup.py --model homeostat/nano --suite atomic --episodes 32 --json nano.json
    python benchmarks/batch_speedup.py --model FOLDER --dtype bfloat16 --suite injected-tools --steps 3 --tokens 64 \
        --json llm.json

One by one, :meth:`homeostat.Agent.run` plays an episode after the other, and its model keeps the keys and values of the
call before. Side by side, :meth:`homeostat.Agent.run_many` plays ``--batch`` at a time. Both have the same sensors and
controllers. The bars are ≥ 4 for language models and ≥ 2.5 for nano, with 8 episodes at a time.

JSON: ``batch_speedup`` is the ratio of episodes a minute; ``one_by_one`` and ``side_by_side`` hold the seconds of every
round (the fastest counts), ``different`` the number of episodes whose actions differ, ``rows`` the mean number of calls
of a batch, and ``load`` the machine's load average before and after.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from homeostat import Agent, TransformersModel
from homeostat.agent import AgentSpec
from homeostat.agent.loop.episode import Episode
from homeostat.agent.loop.limits import LoopLimits
from homeostat.envs.harness import Case, load_suite, make_env


def made(suite: Any, case: Case) -> tuple[Any, Any]:
    """An episode's task and environment."""
    env = make_env(suite.env, suite.split, suite.options)
    return env.reset_task(case.task, seed=case.seed), env


def outcome(episode: Episode, env: Any) -> tuple[Any, ...]:
    """What must not depend on how the episodes are played."""
    return (episode.ended, episode.success, episode.steps, episode.calls, episode.tokens)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="homeostat/nano")
    parser.add_argument("--dtype", default=None, help="for example bfloat16")
    parser.add_argument("--suite", default="atomic")
    parser.add_argument("--controllers", default="none")
    parser.add_argument("--episodes", type=int, default=16)
    parser.add_argument("--steps", type=int, default=None, help="the most steps of an episode")
    parser.add_argument("--tokens", type=int, default=64, help="the most tokens of an answer")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    load = [os.getloadavg()[0]]
    model = TransformersModel.load(str(Path(args.model).expanduser()), None, args.dtype)
    parts = AgentSpec(model="homeostat/nano", controllers=(args.controllers,)).build()
    agent = Agent(model, parts.sensors, parts.cascade, limits=LoopLimits(max_new_tokens=args.tokens))
    suite = load_suite(args.suite, episodes=args.episodes)
    cases = suite.cases()

    def one_by_one() -> list[tuple[Any, ...]]:
        found = []
        for case in cases:
            task, env = made(suite, case)
            found.append(outcome(agent.run(task, env, seed=case.seed, max_steps=args.steps), env))
        return found

    def side_by_side() -> list[tuple[Any, ...]]:
        jobs = [made(suite, case) for case in cases]
        played = agent.run_many(jobs, batch=args.batch, max_steps=args.steps)
        return [outcome(episode, env) for episode, (_, env) in zip(played, jobs, strict=True)]

    seconds: dict[str, list[float]] = {"one_by_one": [], "side_by_side": []}
    results: dict[str, list[tuple[Any, ...]]] = {}
    for _ in range(args.rounds):
        for name, play in (("one_by_one", one_by_one), ("side_by_side", side_by_side)):
            model.forget()
            begun = time.perf_counter()
            results[name] = play()
            seconds[name].append(time.perf_counter() - begun)
            print(f"{name}: {len(cases) / seconds[name][-1] * 60:.1f} episodes a minute", file=sys.stderr, flush=True)
    both = zip(results["one_by_one"], results["side_by_side"], strict=True)
    result = {
        "batch_speedup": min(seconds["one_by_one"]) / min(seconds["side_by_side"]),
        "different": sum(one != other for one, other in both),
        "episodes": len(cases),
        "steps": sum(row[2] for row in results["one_by_one"]),
        "calls": sum(row[3] for row in results["one_by_one"]),
        "tokens": sum(row[4] for row in results["one_by_one"]),
        **seconds,
        "batch": args.batch,
        "load": [*load, os.getloadavg()[0]],
    }
    print(json.dumps(result))
    if args.json is not None:
        args.json.write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
