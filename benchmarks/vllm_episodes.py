"""Plays the same episodes over transformers and over vLLM: the outcomes, and how many episodes a minute.

    python benchmarks/vllm_episodes.py --model FOLDER --dtype float32 --suite injected-tools --suite atomic \
        --episodes 16 --json vllm_episodes.json

Three ways to play, with the same sensors, controllers and limits: over :class:`~homeostat.TransformersModel` one
episode after the other, over the same model ``--batch`` side by side, and over ``VLLMModel`` ``--batch`` side by side.
It runs where vLLM is installed. Start-up is not counted; a first episode warms every model up.

JSON, by suite: ``throughput_ratio``, episodes a minute of vLLM over those one by one (bar: 3 at 16 side by side);
``side_by_side_ratio``, the same of transformers; ``cpu_ratio``, processor time one by one over that of vLLM, with its
processes; ``different``, the episodes whose ending, success, steps or numbers of calls and tokens differ between vLLM
and transformers one by one; and the seconds of each.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from homeostat import Agent, TransformersModel
from homeostat.agent import AgentSpec
from homeostat.agent.loop.limits import LoopLimits
from homeostat.agent.vllm import VLLMModel
from homeostat.envs.harness import load_suite, make_env


def used() -> float:
    """The processor seconds of this process and of those that it has started and that still run."""
    me = psutil.Process()
    return sum(sum(one.cpu_times()[:2]) for one in (me, *me.children(recursive=True)))


def jobs_of(suite: Any) -> list[tuple[Any, Any]]:
    """Each episode's task, after a reset with its seed, and its environment."""
    found = []
    for case in suite.cases():
        env = make_env(suite.env, suite.split, suite.options)
        found.append((env.reset_task(case.task, seed=case.seed), env))
    return found


def outcomes(episodes: list[Any]) -> list[tuple[Any, ...]]:
    """What must not depend on the engine."""
    return [(one.ended, one.success, one.steps, one.calls, one.tokens) for one in episodes]


def timed(play: Callable[[], list[Any]]) -> tuple[list[tuple[Any, ...]], float, float]:
    """Outcomes, seconds by the clock, and processor seconds."""
    clock, cpu = time.perf_counter(), used()
    found = outcomes(play())
    return found, time.perf_counter() - clock, used() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="a folder")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--suite", action="append", required=True)
    parser.add_argument("--controllers", default="none")
    parser.add_argument("--episodes", type=int, default=16)
    parser.add_argument("--steps", type=int, default=2, help="the most steps of an episode")
    parser.add_argument("--tokens", type=int, default=32, help="the most tokens of an answer")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    folder = str(Path(args.model).expanduser())
    limits = LoopLimits(max_new_tokens=args.tokens)
    parts = AgentSpec(model="homeostat/nano", controllers=(args.controllers,)).build()
    models: dict[str, Any] = {"transformers": TransformersModel.load(folder, "cpu", args.dtype)}
    models["vllm"] = VLLMModel.load(folder, args.dtype, max_model_len=models["transformers"].context)
    agents = {name: Agent(model, parts.sensors, parts.cascade, limits=limits) for name, model in models.items()}
    result: dict[str, Any] = {"model": Path(folder).name, "dtype": args.dtype, "batch": args.batch}
    try:
        for name in args.suite:
            suite = load_suite(name, episodes=args.episodes)
            for agent in agents.values():
                agent.run_many(jobs_of(load_suite(name, episodes=1)), batch=1, max_steps=args.steps)
            jobs = jobs_of(suite)
            one = timed(lambda jobs=jobs: [agents["transformers"].run(*job, max_steps=args.steps) for job in jobs])
            print(f"{name}: transformers, one by one: {one[1]:.1f} s", file=sys.stderr, flush=True)
            jobs = jobs_of(suite)
            side = timed(
                lambda jobs=jobs: agents["transformers"].run_many(jobs, batch=args.batch, max_steps=args.steps)
            )
            print(f"{name}: transformers, side by side: {side[1]:.1f} s", file=sys.stderr, flush=True)
            jobs = jobs_of(suite)
            served = timed(lambda jobs=jobs: agents["vllm"].run_many(jobs, batch=args.batch, max_steps=args.steps))
            print(f"{name}: vllm, side by side: {served[1]:.1f} s", file=sys.stderr, flush=True)
            result[name] = {
                "episodes": len(jobs),
                "throughput_ratio": one[1] / served[1],
                "side_by_side_ratio": one[1] / side[1],
                "cpu_ratio": one[2] / served[2],
                "different": sum(a != b for a, b in zip(one[0], served[0], strict=True)),
                "different_side_by_side": sum(a != b for a, b in zip(one[0], side[0], strict=True)),
                "success": [sum(bool(row[1]) for row in way[0]) for way in (one, side, served)],
                "seconds": [round(way[1], 2) for way in (one, side, served)],
                "cpu_seconds": [round(way[2], 2) for way in (one, side, served)],
            }
    finally:
        models["vllm"].close()
    print(json.dumps(result))
    if args.json is not None:
        args.json.write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
