"""Measures how fast MiniWoB++ pages are, in steps per second, against the phone simulator.

    python benchmarks/miniwob_speed.py --json miniwob_speed.json

A step includes a screenshot and the DOM, in one headless Chromium. The oracle plays; only its actions and the following
observations are timed. The phone is measured in the same run, as in ``phone_speed.py``.

JSON: ``steps_per_second`` is MiniWoB++'s and ``phone_steps_per_second`` the simulator's. ``phone_ratio`` says how many
times as fast the simulator is (bar: ≥ 50). ``seconds_per_reset`` is the mean time to load a page. ``tasks_reset``
counts those of the 128 ``tasks`` whose page starts and is not blank; ``not_reset`` lists the others.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

from phone_speed import record, replay

from homeostat.envs.miniwob import MiniWobEnv, oracle_policy, task_names
from homeostat.errors import EnvError

LONG = ("ascending-numbers", "click-button-sequence", "click-checkboxes-large", "enter-password", "login-user")


def steps_per_second(env: MiniWobEnv, episodes: int) -> float:
    seconds, steps = 0.0, 0
    for task in LONG:
        for seed in range(episodes):
            env.reset_task(task, seed=seed)
            env.observe()
            while not env.ended:
                action = oracle_policy(env)
                begun = time.perf_counter()
                env.act(action)
                env.observe()
                if not env.ended:  # the last look is at a kept screen
                    seconds += time.perf_counter() - begun
                    steps += 1
    return steps / seconds


def resets(env: MiniWobEnv) -> tuple[list[str], float]:
    begun, failed = time.perf_counter(), list[str]()
    for task in task_names():
        try:
            info = env.reset_task(task, seed=1)
            if not info.goal or env.observe().screenshot.std() < 1:
                failed.append(task)
        except EnvError as error:
            failed.append(f"{task}: {error}")
    return failed, (time.perf_counter() - begun) / len(task_names())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="Write the figures to this JSON file.")
    parser.add_argument("--episodes", type=int, default=5, help="The number of timed episodes per task.")
    args = parser.parse_args()
    env, recorded = MiniWobEnv(), record(120)
    try:
        speed = steps_per_second(env, args.episodes)
        failed, seconds = resets(env)
    finally:
        env.close()
    phone = statistics.median(replay(recorded, 1) for _ in range(5))
    figures = {
        "steps_per_second": speed,
        "phone_steps_per_second": phone,
        "phone_ratio": phone / speed,
        "seconds_per_reset": seconds,
        "tasks_reset": len(task_names()) - len(failed),
        "tasks": len(task_names()),
        "not_reset": failed,
    }
    print(json.dumps(figures, indent=1))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
