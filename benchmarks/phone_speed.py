"""Measures how fast the phone simulator is, in steps per second with a screenshot each, on one core.

    python benchmarks/phone_speed.py --json phone_speed.json

The oracle's episodes are recorded first. Then their actions are replayed on the phone with a screenshot after each, so
the figures contain neither the oracle nor the drawing of tasks.

JSON: ``steps_per_second`` is the median over rounds (bar: ≥ 1000) and ``steps_per_second_min`` the slowest round.
``steps_per_second_4x`` and ``steps_per_second_4x_min`` are the same at four times the screen's size.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

from homeostat.envs.harness import load_suite
from homeostat.envs.phone import PhoneEnv


def record(episodes: int) -> list[tuple[dict, list]]:
    env, recorded = PhoneEnv(split="test", adverts=0), []
    for spec in load_suite("atomic", episodes=episodes, seed=0).cases():
        info = env.reset_task(spec.task, seed=spec.seed)
        start, actions = env.device.snapshot(), []
        while env.status is None and env.steps < info.max_steps:
            actions.append(env.oracle())
            env.act(actions[-1])
        recorded.append((start, actions))
    return recorded


def replay(recorded: list[tuple[dict, list]], scale: int) -> float:
    device, seconds, steps = PhoneEnv().device, 0.0, 0
    for start, actions in recorded:
        device.restore(start)
        begun = time.perf_counter()
        for action in actions:
            device.act(action)
            device.observe(scale)
        seconds += time.perf_counter() - begun
        steps += len(actions)
    return steps / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="Write the figures to this JSON file.")
    parser.add_argument("--episodes", type=int, default=120, help="The number of recorded episodes.")
    parser.add_argument("--rounds", type=int, default=5, help="How often they are replayed.")
    args = parser.parse_args()
    recorded = record(args.episodes)
    figures = {}
    for name, scale in (("steps_per_second", 1), ("steps_per_second_4x", 4)):
        rounds = [replay(recorded, scale) for _ in range(args.rounds)]
        figures[name] = statistics.median(rounds)
        figures[f"{name}_min"] = min(rounds)
    print(json.dumps(figures, indent=1))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
