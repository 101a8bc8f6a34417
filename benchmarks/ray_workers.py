"""Measures episodes per minute with one Ray worker and with two: what a second process brings.

    python benchmarks/ray_workers.py --json ray_workers.json

Both runs use Ray and play the same episodes with the same agent, and every worker has the same number of torch threads
(``--threads``), so only the number of workers differs. By default the agent is the embedded model. With
``--policy oracle --delay 0.3`` no model is needed; each step then waits as for a remote one. The first results, two per
worker, are not counted: the clock starts with the last of them, so the figures contain neither the start of Ray nor the
loading of the model. Run it on a machine that does nothing else.

JSON: ``episodes_per_minute_1`` and ``episodes_per_minute_2``, ``start_seconds_1`` and ``start_seconds_2`` (until the
clock starts), ``speedup`` (two workers against one), ``same_outcomes`` (whether both runs had the same results), and
the setting: ``episodes``, ``cpus``, ``threads``, ``player``.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

from homeostat.envs.harness import Case, Result, RunnerSpec, load_suite, policy_spec
from homeostat.envs.harness.workers import run_on_ray


def measure(spec: RunnerSpec, cases: list[Case], workers: int) -> tuple[float, float, list[Result]]:
    """Returns episodes per minute, the seconds until two results per worker were there, and the results."""
    results, times, begun, skipped = [], [], time.perf_counter(), 2 * workers
    for result in run_on_ray(spec, list(enumerate(cases)), workers=workers):
        results.append(result)
        times.append(time.perf_counter())
    first = times[skipped - 1]
    return 60 * (len(times) - skipped) / (times[-1] - first), first - begun, results


def spec_for(options: argparse.Namespace) -> RunnerSpec:
    if options.policy:
        return policy_spec(options.policy, delay=options.delay)
    from homeostat.agent.runner import runner_spec
    from homeostat.agent.spec import AgentSpec

    return runner_spec(AgentSpec(model=options.model, controllers=("none",), sensors=()), threads=options.threads)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="Write the figures to this JSON file.")
    parser.add_argument("--episodes", type=int, default=40, help="The number of episodes; at least 10.")
    parser.add_argument(
        "--model",
        default="homeostat/nano",
        help="The model: a Hugging Face name, a folder, or the name of an embedded model.",
    )
    parser.add_argument("--policy", choices=("oracle", "random"), help="Play this policy instead of the model.")
    parser.add_argument("--delay", type=float, default=0.0, help="Seconds to wait before each step of the policy.")
    parser.add_argument("--threads", type=int, default=1, help="The number of torch threads in each worker.")
    options = parser.parse_args()
    if options.episodes < 10:
        parser.error(f"--episodes {options.episodes} is too few to measure a rate; give 10 or more")
    cases = load_suite("atomic", episodes=options.episodes, seed=1).cases()
    figures: dict[str, object] = {"episodes": len(cases), "cpus": os.cpu_count(), "threads": options.threads}
    figures["player"] = options.policy or options.model
    rates, outcomes = {}, {}
    for workers in (1, 2):
        rates[workers], start, results = measure(spec_for(options), cases, workers)
        outcomes[workers] = {r.index: (r.success, r.steps) for r in results}
        figures[f"episodes_per_minute_{workers}"] = rates[workers]
        figures[f"start_seconds_{workers}"] = start
        print(
            f"{workers} worker{'s' * (workers > 1)}: {rates[workers]:.1f} episodes per minute, {start:.1f} s to start"
        )
    figures["speedup"] = rates[2] / rates[1]
    figures["same_outcomes"] = outcomes[1] == outcomes[2]
    print(f"speedup {figures['speedup']:.2f}; the same outcomes: {figures['same_outcomes']}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
