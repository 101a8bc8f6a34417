"""Measures whether the phone simulator's memory stays constant over many random steps, each with a screenshot.

    python benchmarks/phone_memory.py --json phone_memory.json

Half as many steps are played first, because the cache of rendered words (20,000 of them) fills in that time.

JSON: ``megabytes`` is the resident memory in MiB at the start and after each tenth of the ``steps``. ``growth`` is the
last value divided by the first.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
from contextlib import suppress
from pathlib import Path

import psutil

from homeostat import actions as a
from homeostat.envs.phone import PhoneEnv
from homeostat.errors import ActionError

EPISODE = 100


def play(env: PhoneEnv, rng: random.Random, steps: int) -> None:
    for step in range(steps):
        if step % EPISODE == 0:
            env.reset_task(None, seed=rng.randrange(2**31))
        x, y = rng.random(), rng.random()
        action = rng.choice(
            (
                a.Click(point=(x, y)),
                a.Click(point=(x, y)),
                a.LongPress(point=(x, y)),
                a.Swipe(point=(x, y), to=(rng.random(), rng.random())),
                a.Type(text=rng.choice(("milk", "tea", "12"))),
                a.SystemButton(button=rng.choice(("Back", "Home"))),
                a.Open(app=rng.choice(list(env.device.apps))),
            )
        )
        with suppress(ActionError):
            env.act(action)
        env.observe()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="Write the figures to this JSON file.")
    parser.add_argument("--steps", type=int, default=100_000, help="The number of random steps.")
    args = parser.parse_args()
    env, rng, process = PhoneEnv(task=None, split="train", apps="all"), random.Random(0), psutil.Process()
    megabytes = []
    for steps in (args.steps // 2, *[args.steps // 10] * 10):
        play(env, rng, steps)
        gc.collect()
        megabytes.append(round(process.memory_info().rss / 2**20, 1))
    figures = {"steps": args.steps, "megabytes": megabytes, "growth": megabytes[-1] / megabytes[0]}
    print(json.dumps(figures, indent=1))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
