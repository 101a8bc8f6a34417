"""How fast MiniWoB++ pages are: steps a second, each with a screenshot and the DOM, in one headless Chromium.

    python benchmarks/miniwob_speed.py --json miniwob_speed.json

The oracle plays; only its actions and the looks after them are timed. ``tasks_reset`` counts the tasks, of all 128,
whose page starts and is not blank. ``phone_steps_per_second`` is the simulator's, measured as in ``phone_speed.py``
and in the same run; ``phone_ratio``: how many times as fast that is.
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
    parser.add_argument("--json", type=Path)
    parser.add_argument("--episodes", type=int, default=5)
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
