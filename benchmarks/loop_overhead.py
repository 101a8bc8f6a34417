"""Measures what the control loop itself costs per step, besides the model and the environment.

    python benchmarks/loop_overhead.py --json loop.json

Whole episodes on the phone are timed. The time inside ``model.generate`` and inside the environment's own calls is
subtracted, and the rest is divided by the number of steps. The model is a double that says prepared lines and returns
attention masses of a realistic shape.

JSON, medians over rounds: ``milliseconds_per_step`` is for a run as ``homeostat run`` makes it, with a trace,
screenshots and an SQLite checkpoint after every node (bar: ≤ 15). ``milliseconds_per_step_memory`` is for a run without
a folder, as evaluations use. The keys with ``_cpu`` count processor time only, which other work on the machine affects
less. ``milliseconds_per_step_best`` is the fastest round on disk.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from homeostat.agent import VERBOSE, Agent
from homeostat.envs.core import Env
from homeostat.envs.phone import PhoneEnv
from homeostat.observation import Observation
from homeostat.sensors import AttentionDrift, Confidence
from homeostat.sensors.attempts import Attempt, SpanMass
from homeostat.sensors.chat.messages import Prompt

LABELS = ("system", "rules", "goal", "history", "screen", "output")
LAYERS, HEADS, TOKENS = 6, 4, 30


class Clock:
    """Adds up the time spent in the functions that it wraps."""

    def __init__(self) -> None:
        self.seconds = self.cpu = 0.0

    def wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            begin, cpu = time.perf_counter(), time.process_time()
            try:
                return call(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - begin
                self.cpu += time.process_time() - cpu

        return timed


class Canned:
    """A model double that taps and never terminates, so that an episode uses all its steps."""

    name = "canned"
    style = VERBOSE
    capabilities: frozenset[Any] = frozenset(("attention", "logprobs", "text"))

    def __init__(self) -> None:
        self.calls = 0
        random = np.random.default_rng(0)
        mass = random.dirichlet(np.ones(len(LABELS)), (TOKENS, LAYERS, HEADS)).astype(np.float32)
        self.spans = SpanMass(
            labels=LABELS,
            layers=tuple(range(LAYERS)),
            mass=mass,
            prompt_mass=mass[:1],
            lengths=np.array([80, 20, 12, 30, 160, TOKENS - 1]),
            visible=np.arange(300, 300 + TOKENS),
        )

    def generate(self, prompt: Prompt, **settings: Any) -> list[Attempt]:
        self.calls += 1
        place = [5 + self.calls * 37 % 150, 5 + self.calls * 53 % 150]
        call = {"name": "mobile_use", "arguments": {"action": "click", "coordinate": place}}
        text = f"<tool_call>{json.dumps(call)}</tool_call>"
        return [
            Attempt(
                text=text,
                tokens=tuple(range(TOKENS)),
                logprobs=(-0.05,) * TOKENS,
                entropy=(0.1,) * TOKENS,
                margin=(0.9,) * TOKENS,
                spans=self.spans,
                prompt_tokens=300,
            )
        ]


class Timed:
    """An environment whose calls are timed."""

    def __init__(self, env: Env, clock: Clock) -> None:
        for name in ("reset_task", "act", "success", "snapshot", "restore"):
            setattr(self, name, clock.wrap(getattr(env, name)))
        self._observe = clock.wrap(env.observe)

    def observe(self) -> Observation:
        seen: Observation = self._observe()
        return seen


def measure(steps: int, folder: Path | None) -> tuple[float, float]:
    """Returns the loop's own milliseconds per step of one episode: wall-clock time and processor time."""
    clock = Clock()
    env: Any = Timed(PhoneEnv(task=None), clock)
    model: Any = Canned()
    model.generate = clock.wrap(model.generate)
    agent = Agent(model, [AttentionDrift(), Confidence()])
    begin, cpu = time.perf_counter(), time.process_time()
    episode = agent.run("Tap about", env, max_steps=steps, run_folder=folder)
    whole, worked = time.perf_counter() - begin, time.process_time() - cpu
    assert episode.steps == steps, episode
    return 1000 * (whole - clock.seconds) / steps, 1000 * (worked - clock.cpu) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="Write the figures to this JSON file.")
    parser.add_argument("--steps", type=int, default=40, help="The number of steps of an episode.")
    parser.add_argument("--rounds", type=int, default=7, help="The number of episodes of each kind.")
    options = parser.parse_args()
    disk, memory = [], []
    with tempfile.TemporaryDirectory() as folder:
        measure(3, None)  # imports and first compilations
        for number in range(options.rounds):
            disk.append(measure(options.steps, Path(folder) / str(number)))
            memory.append(measure(options.steps, None))
    figures = {
        "milliseconds_per_step": statistics.median(clock for clock, _ in disk),
        "milliseconds_per_step_memory": statistics.median(clock for clock, _ in memory),
        "milliseconds_per_step_cpu": statistics.median(cpu for _, cpu in disk),
        "milliseconds_per_step_memory_cpu": statistics.median(cpu for _, cpu in memory),
        "milliseconds_per_step_best": min(disk)[0],
        "steps": options.steps,
        "rounds": options.rounds,
    }
    print(json.dumps(figures, indent=2))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
