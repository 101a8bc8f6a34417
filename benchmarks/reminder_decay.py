"""Measures how long the effect of a reminder lasts, turn by turn, on matched episodes.

    python benchmarks/reminder_decay.py --pairs 60 --json reminder_decay.json

Joined goals of the phone (dev words, training templates) are played twice by the same model: once with the goal
restated at turn 3 (counted from 1), once without. ``GoalDrift`` measures the answer that was carried out: the KL
divergence from the same model with the goal shown again, in nats per token. The effect is the paired difference, with
minus without.

JSON: ``mean``, ``low`` and ``high`` are the effect at turns 3, 4, 5 and 6 with its 95 % interval (bootstrap over
``pairs``). ``size``, ``decay`` and ``half_life`` (in turns, with ``half_life_low`` and ``half_life_high``) are those of
the fitted impulse response. ``Remind.lasts`` should cover the half-life.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from homeostat.agent import Agent, TransformersModel
from homeostat.agent.events import Sense
from homeostat.controllers import Remind
from homeostat.envs.harness import load_suite, make_env
from homeostat.sensors import GoalDrift
from homeostat.sensors.impulse_response import impulse_response

TURN = 3


def drifts(agent: Agent, env: object, task: str, seed: int) -> list[float]:
    """Returns the goal drift of the attempt that each step carried out."""
    found: dict[int, float] = {}
    for event in agent.start(env.reset_task(task, seed=seed), env, seed=seed):  # type: ignore[attr-defined]
        if isinstance(event, Sense) and event.readings[0].judged:
            found[event.step] = event.readings[0].value
    return [found[step] for step in sorted(found)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=60, help="The number of pairs of episodes.")
    parser.add_argument(
        "--model",
        default="homeostat/nano",
        help="The model: a Hugging Face name, a folder, or the name of an embedded model.",
    )
    parser.add_argument("--json", type=Path, required=True, help="Write the figures to this JSON file.")
    args = parser.parse_args()
    model = TransformersModel.load(args.model)
    suite = load_suite("joined", split="dev", episodes=3 * args.pairs, seed=4)
    env = make_env(suite.env, suite.split, suite.options)
    sensors = [GoalDrift()]
    bare = Agent(model, sensors)
    reminded = Agent(model, sensors, [Remind(turns=(TURN,), unparsable=False, cooldown=1, lasts=1, budget=1)])
    treated, control = [], []
    for case in suite.cases():
        one, other = (drifts(agent, env, case.task, case.seed) for agent in (reminded, bare))
        if min(len(one), len(other)) >= TURN - 1 + 4 and len(treated) < args.pairs:
            treated.append(one)
            control.append(other)
    response = impulse_response(treated, control, TURN - 1, 4)
    for turn, (mean, low, high) in enumerate(zip(response.mean, response.low, response.high, strict=True), TURN):
        print(f"turn {turn}: {mean:+.4f} nats per token [{low:+.4f}, {high:+.4f}]")
    print(
        f"{response.pairs} pairs; half-life {response.half_life:.2f} turns "
        f"[{response.half_life_low:.2f}, {response.half_life_high:.2f}]"
    )
    told = {k: getattr(response, k) for k in ("size", "decay", "half_life", "half_life_low", "half_life_high", "pairs")}
    told |= {k: getattr(response, k).tolist() for k in ("mean", "low", "high")}
    args.json.write_text(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
