"""Episodes a minute with one Ray worker and with two: what a second process brings.

    python benchmarks/ray_workers.py --json ray_workers.json

Both runs go through Ray and play the same episodes with the same agent, and every worker has the same number of torch's
threads (``--threads``, 1), so that only the number of workers differs. The agent is the embedded model by default;
``--policy oracle --delay 0.3`` needs no model: each step then waits as for a remote one. The first results, two a
worker, are not counted: the clock starts with the last of them, so the start of Ray and the loading of the model are
not in the figures (``start_seconds`` gives them). Run it on a machine that does nothing else.
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
    """(episodes a minute, seconds until two results a worker were there, the results)."""
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
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--episodes", type=int, default=40)
    parser.add_argument("--model", default="homeostat/nano")
    parser.add_argument("--policy", choices=("oracle", "random"), help="instead of the model")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each step of the policy")
    parser.add_argument("--threads", type=int, default=1, help="torch's threads in each worker")
    options = parser.parse_args()
    if options.episodes < 10:
        parser.error(f"--episodes {options.episodes} leaves too few to time; give 10 or more")
    cases = load_suite("atomic", episodes=options.episodes, seed=1).cases()
    figures: dict[str, object] = {"episodes": len(cases), "cpus": os.cpu_count(), "threads": options.threads}
    figures["player"] = options.policy or options.model
    rates, outcomes = {}, {}
    for workers in (1, 2):
        rates[workers], start, results = measure(spec_for(options), cases, workers)
        outcomes[workers] = {r.index: (r.success, r.steps) for r in results}
        figures[f"episodes_per_minute_{workers}"] = rates[workers]
        figures[f"start_seconds_{workers}"] = start
        print(f"{workers} worker{'s' * (workers > 1)}: {rates[workers]:.1f} episodes a minute, {start:.1f} s to start")
    figures["speedup"] = rates[2] / rates[1]
    figures["same_outcomes"] = outcomes[1] == outcomes[2]
    print(f"speedup {figures['speedup']:.2f}; the same outcomes: {figures['same_outcomes']}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
