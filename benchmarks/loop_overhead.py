"""Measures what the control loop itself costs per step, besides the model and the environment.

    python benchmarks/loop_overhead.py --json loop.json

Whole episodes on the phone are timed. The time inside ``model.generate`` and inside the environment's own calls is
subtracted, and the rest is divided by the number of steps. The model is a double that says prepared lines and returns
attention masses of a realistic shape.

Beside it, in the same rounds, runs what a user of LangGraph would write: a graph with one node, which makes the next
step of the same state, with a checkpoint after it (``SqliteSaver``, in WAL mode, with LangGraph's own serialiser and
``durability="sync"``). The values of its states are those of the run before: its actions, readings and decision. It
writes no trace, no screenshots and no snapshots.

JSON, medians over rounds: ``milliseconds_per_step`` is for a run as ``homeostat run`` makes it on the phone, with a
trace, screenshots, snapshots and checkpoints (bar: ≤ 5), ``milliseconds_per_step_langgraph`` for the bare graph, and
``loop_ratio`` is the ratio of the two (bar: ≤ 1.5). ``milliseconds_per_step_device`` is for an environment
that can't be put back, for which every action is also written to a log before and after it.
``milliseconds_per_step_memory`` is for a run without a folder, as evaluations use. The keys with ``_cpu`` count
processor time only, which other work on the machine affects less. ``milliseconds_per_step_best`` is the fastest round
on disk, and ``loop_ratio_best`` the ratio of the fastest rounds. ``load`` is the machine's load average at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph

from homeostat.agent import VERBOSE, Agent
from homeostat.agent.loop.checkpoint import serializer
from homeostat.agent.loop.episode import stored_run
from homeostat.agent.loop.state import EpisodeState
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
    """An environment whose calls are timed.

    Attributes:
        restores: Whether the loop is told that the environment can be put back.
    """

    def __init__(self, env: Env, clock: Clock, restores: bool) -> None:
        for name in ("reset_task", "act", "success", "snapshot", "restore"):
            setattr(self, name, clock.wrap(getattr(env, name)))
        self._observe = clock.wrap(env.observe)
        self.restores = restores

    def observe(self) -> Observation:
        seen: Observation = self._observe()
        return seen


Times = tuple[float, float]
"""Milliseconds per step: wall-clock time and processor time."""


def measure(steps: int, folder: Path | None, restores: bool = True) -> Times:
    """Returns the loop's own time per step of one episode."""
    clock = Clock()
    env: Any = Timed(PhoneEnv(task=None), clock, restores)
    model: Any = Canned()
    model.generate = clock.wrap(model.generate)
    agent = Agent(model, [AttentionDrift(), Confidence()])
    begin, cpu = time.perf_counter(), time.process_time()
    episode = agent.run("Tap about", env, max_steps=steps, run_folder=folder)
    whole, worked = time.perf_counter() - begin, time.process_time() - cpu
    assert episode.steps == steps, episode
    return 1000 * (whole - clock.seconds) / steps, 1000 * (worked - clock.cpu) / steps


def bare(state: EpisodeState, file: Path) -> Times:
    """Returns the time per step of a LangGraph graph of one node that makes the steps of an episode's last state."""
    steps, done = state.step, state.subtask

    def step(now: EpisodeState) -> dict[str, Any]:
        n = now.step + 1

        def until_here(items: tuple[Any, ...]) -> tuple[Any, ...]:
            return items[: n * len(items) // steps]

        grown = {name: until_here(getattr(done, name)) for name in ("history", "acted", "tried")}
        return {
            "step": n,
            "phase": state.phase,
            "subtask": done.model_copy(update={"steps": n, **grown}),
            "now": state.now.model_copy(),
            "proposal": state.proposal,
            "readings": state.readings,
            "decision": state.decision,
            "decisions": until_here(state.decisions),
            "costs": state.costs.model_copy(update={"calls": n}),
            "emitted": n * state.emitted // steps,
            "snapshot": state.snapshot,
        }

    graph = StateGraph(EpisodeState)
    graph.add_node("step", step)
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", lambda now: "step" if now.step < steps else END, ["step", END])
    first = EpisodeState(
        run=state.run, task=state.task, judged=state.judged, seed=state.seed, instruction=state.instruction
    )
    config: Any = {"configurable": {"thread_id": "bare"}, "recursion_limit": steps + 1}
    begin, cpu = time.perf_counter(), time.process_time()
    with closing(sqlite3.connect(file, check_same_thread=False)) as connection:
        saver = SqliteSaver(connection, serde=serializer())
        saver.setup()
        connection.execute("PRAGMA synchronous=NORMAL")
        stream = graph.compile(checkpointer=saver).stream(first, config, stream_mode="updates", durability="sync")
        parts = sum(1 for _ in stream)
        kept = connection.execute("SELECT count(*) FROM checkpoints").fetchone()[0]
    times = time.perf_counter() - begin, time.process_time() - cpu
    assert parts == steps
    assert kept > steps
    return 1000 * times[0] / steps, 1000 * times[1] / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="Write the figures to this JSON file.")
    parser.add_argument("--steps", type=int, default=40, help="The number of steps of an episode.")
    parser.add_argument("--rounds", type=int, default=7, help="The number of episodes of each kind.")
    options = parser.parse_args()
    disk, device, memory, plain = [], [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measure(3, folder / "first")  # imports and first compilations
        bare(stored_run(folder / "first").state, folder / "first.sqlite")
        for number in range(options.rounds):
            disk.append(measure(options.steps, folder / str(number)))
            plain.append(bare(stored_run(folder / str(number)).state, folder / f"{number}.sqlite"))
            device.append(measure(options.steps, folder / f"device {number}", restores=False))
            memory.append(measure(options.steps, None))
    figures: dict[str, float] = {}
    for name, runs in (("", disk), ("_langgraph", plain), ("_device", device), ("_memory", memory)):
        figures[f"milliseconds_per_step{name}"] = statistics.median(clock for clock, _ in runs)
        figures[f"milliseconds_per_step{name}_cpu"] = statistics.median(cpu for _, cpu in runs)
    for which in ("", "_cpu"):
        ours, theirs = (figures[f"milliseconds_per_step{name}{which}"] for name in ("", "_langgraph"))
        figures[f"loop_ratio{which}"] = ours / theirs
    figures |= {
        "milliseconds_per_step_best": min(disk)[0],
        "loop_ratio_best": min(disk)[0] / min(plain)[0],
        "load": os.getloadavg()[0],
        "steps": options.steps,
        "rounds": options.rounds,
    }
    print(json.dumps(figures, indent=2))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
