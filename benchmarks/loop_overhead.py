"""What the loop itself costs per step, beside the model and the environment.

    python benchmarks/loop_overhead.py --json loop.json

Whole episodes are timed, the time inside ``model.generate`` and inside the environment's own calls is taken off, and
the rest divided by the steps. ``milliseconds_per_step`` is a run as ``homeostat run`` makes it (trace, screenshots and
an SQLite checkpoint after every node); ``milliseconds_per_step_memory`` is one without a folder, as evaluations use.
The model is a double that says prepared lines with attention masses of a real attempt's shape; the environment is the
phone simulator. Figures are medians over rounds; those in ``_cpu`` count processor time only, which a busy machine
stretches less.
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
    """Adds up the time spent in what it wraps."""

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
    """Taps about the screen; never terminates, so an episode uses all its steps."""

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
    """Milliseconds of the loop's own per step of one episode: on the clock, and of processor time."""
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
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=7)
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
