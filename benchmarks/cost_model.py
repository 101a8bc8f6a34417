"""Fits a formula to every cost of a run, and checks it at three sizes that it was not fitted to.

    OMP_NUM_THREADS=1 python benchmarks/cost_model.py --json cost_model.json --plot docs/plots/cost_model.png

Sizes are L layers, N tokens of each prompt, B prompts in a batch, n steps of an episode, and E episodes. The formulas
are those of the work that is done, with coefficients ≥ 0 that minimise the squared relative error:

- prefill: a + L (b B N + c B N²), also with the probe on all layers, with a gain, and with a target mass;
- a decoded token of all prompts: a + L (b + c B + d B N), also with the probe;
- episodes on disk, one after the other, without the model and the environment: E (a + b n + c n²), because each
  checkpoint holds the episode so far;
- one checkpoint of the state after n steps: a + b n, in time and in bytes.

The model is a small Qwen2 with random weights (hidden size 256, 4 heads on 2 key heads, float32, one thread). Its
coefficients hold for it and for this machine. What carries over is how costs grow. Time is processor time. All sizes
are measured in turn, ``--rounds`` times, and the fastest counts, so that other work on the machine slows none of them
alone.

JSON, for each cost: ``coefficients``, ``fit_error`` (median over the sizes of the fit), ``held_out`` with measured and
predicted values, and ``largest_error`` among these. Errors are relative to the measured value.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import loop_overhead
import numpy as np
import torch
from langgraph.checkpoint.base import empty_checkpoint
from probe_overhead import prompt_spans
from scipy.optimize import nnls
from transformers import Qwen2Config, Qwen2ForCausalLM

from homeostat.agent.loop.checkpoint import serializer, sqlite_saver
from homeostat.agent.loop.episode import stored_run
from homeostat.sensors import Actuator, watch

Size = tuple[int, ...]
# (layers, tokens, prompts)
MODEL_SIZES = [(2, 128, 1), (2, 1024, 2), (2, 512, 4), (4, 256, 1), (4, 512, 2), (4, 1024, 1), (4, 128, 4)]
MODEL_SIZES += [(8, 128, 2), (8, 512, 1), (8, 1024, 1), (8, 256, 4)]
MODEL_HELD_OUT = [(3, 768, 2), (6, 1536, 1), (8, 2048, 2)]
# (steps, episodes)
EPISODE_SIZES = [(5, 1), (10, 1), (20, 1), (40, 1), (10, 2), (20, 2)]
EPISODE_HELD_OUT = [(15, 3), (30, 2), (80, 1)]
STEER = {"gain": (Actuator("goal", gain=3.0),), "target": (Actuator("goal", target=0.2, raise_only=True),)}
TOKENS = 16


@dataclass(frozen=True)
class Cost:
    """One cost.

    Attributes:
        terms: From a size, the factors of the coefficients.
        measure: Measures the cost at a size.
        sizes: The sizes that the formula is fitted to.
        held_out: The sizes that check it.
    """

    terms: Callable[[Size], list[float]]
    measure: Callable[[Size], float]
    sizes: Sequence[Size]
    held_out: Sequence[Size]

    def report(self, rounds: int) -> dict[str, Any]:
        """Measures, fits and checks."""
        best: dict[Size, float] = {}
        for number in range(rounds + 1):
            for size in (*self.sizes, *self.held_out):
                value = self.measure(size)
                if number:  # the first round fills caches
                    best[size] = min(value, best.get(size, value))
        fitted, held_out = ([(size, best[size]) for size in some] for some in (self.sizes, self.held_out))
        rows = np.array([self.terms(size) for size, _ in fitted]) / np.array([[value] for _, value in fitted])
        weights, _ = nnls(rows, np.ones(len(rows)))

        def points(measured: list[tuple[Size, float]]) -> list[dict[str, Any]]:
            found = []
            for size, value in measured:
                predicted = float(np.dot(self.terms(size), weights))
                error = predicted / value - 1
                found.append({"size": size, "measured": value, "predicted": predicted, "error": error})
            return found

        checks, own = points(held_out), points(fitted)
        return {
            "coefficients": dict(zip("abcd", weights.tolist(), strict=False)),
            "fit_error": statistics.median(abs(p["error"]) for p in own),
            "largest_error": max(abs(p["error"]) for p in checks),
            "held_out": checks,
            "fitted": own,
        }


class Models:
    """Times a model of each depth."""

    def __init__(self) -> None:
        self._built: dict[int, Any] = {}

    def _model(self, layers: int) -> Any:
        if layers not in self._built:
            torch.manual_seed(0)
            config = Qwen2Config(
                hidden_size=256, intermediate_size=1024, num_hidden_layers=layers, num_attention_heads=4,
                num_key_value_heads=2, vocab_size=1024, max_position_embeddings=4096,
            )  # fmt: skip
            self._built[layers] = Qwen2ForCausalLM(config).eval()
        return self._built[layers]

    @torch.inference_mode()
    def time(self, size: Size, variant: str, what: str) -> float:
        """Measures the prefill, or a token after it."""
        layers, length, batch = size
        model = self._model(layers)
        ids = torch.randint(0, 1024, (batch, length), generator=torch.Generator().manual_seed(length))
        with nullcontext() if variant == "plain" else watch(model) as probe:
            begun = time.process_time()
            if probe is not None:
                probe.start([prompt_spans(length)] * batch, steer=STEER.get(variant, ()))
            out = model(ids, logits_to_keep=1, use_cache=True)
            middle = time.process_time()
            if what == "prefill":
                return middle - begun
            for _ in range(TOKENS):
                step = out.logits[:, -1:].argmax(-1)
                out = model(step, past_key_values=out.past_key_values)
            if probe is not None:
                probe.results()
            end = time.process_time()
        return (end - middle) / TOKENS


def episodes(folder: Path, size: Size) -> float:
    """Measures episodes one after the other, without the model and the environment."""
    steps, count = size
    with tempfile.TemporaryDirectory(dir=folder) as name:
        runs = [loop_overhead.measure(steps, Path(name) / str(n))[1] for n in range(count)]
    return sum(runs) * steps / 1000


class Checkpoints:
    """Measures checkpoints of the state after so many steps."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._states: dict[int, dict[str, Any]] = {}

    def _values(self, steps: int) -> dict[str, Any]:
        if steps not in self._states:
            loop_overhead.measure(steps, self._folder / f"run {steps}")
            self._states[steps] = dict(stored_run(self._folder / f"run {steps}").state)
        return self._states[steps]

    def size(self, size: Size) -> float:
        return float(len(serializer().dumps_typed(self._values(size[0]))[1]))

    def seconds(self, size: Size) -> float:
        values, repeats = self._values(size[0]), 40
        config: Any = {"configurable": {"thread_id": "x", "checkpoint_ns": ""}}
        with tempfile.TemporaryDirectory(dir=self._folder) as name, sqlite_saver(Path(name)) as saver:
            begun = time.process_time()
            for _ in range(repeats):
                saver.put(config, {**empty_checkpoint(), "channel_values": values}, {}, {"step": 1})
            return (time.process_time() - begun) / repeats


def costs(folder: Path) -> dict[str, Cost]:
    models, saved = Models(), Checkpoints(folder)
    found = {}
    for variant in ("plain", "probe", "gain", "target"):
        name = "" if variant == "plain" else f", {variant}"
        of = partial(models.time, variant=variant, what="prefill")
        found[f"prefill{name}"] = Cost(_prefill_terms, of, MODEL_SIZES, MODEL_HELD_OUT)
        if variant not in STEER:
            of = partial(models.time, variant=variant, what="token")
            found[f"token{name}"] = Cost(_token_terms, of, MODEL_SIZES, MODEL_HELD_OUT)
    found["episodes"] = Cost(_episode_terms, partial(episodes, folder), EPISODE_SIZES, EPISODE_HELD_OUT)
    steps, later = sorted({(n,) for n, _ in EPISODE_SIZES}), [(n,) for n, _ in EPISODE_HELD_OUT]
    found["checkpoint, seconds"] = Cost(_linear_terms, saved.seconds, steps, later)
    found["checkpoint, bytes"] = Cost(_linear_terms, saved.size, steps, later)
    return found


def _prefill_terms(size: Size) -> list[float]:
    layers, length, batch = size
    return [1, layers * batch * length, layers * batch * length**2]


def _token_terms(size: Size) -> list[float]:
    layers, length, batch = size
    return [1, layers, layers * batch, layers * batch * length]


def _episode_terms(size: Size) -> list[float]:
    steps, count = size
    return [count, count * steps, count * steps**2]


def _linear_terms(size: Size) -> list[float]:
    return [1, size[0]]


def plot(figures: dict[str, Any], file: Path) -> None:
    """Draws predicted against measured values, one panel for each cost."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    figure, panels = pyplot.subplots(3, 3, figsize=(9, 8.4), layout="constrained")
    for axes, (name, found) in zip(panels.flat, figures.items(), strict=True):
        values = [p[k] for key in ("fitted", "held_out") for p in found[key] for k in ("measured", "predicted")]
        axes.loglog([min(values), max(values)], [min(values), max(values)], color="0.7", linewidth=1)
        for key, mark, label in (("fitted", "o", "fitted"), ("held_out", "^", "held out")):
            some = found[key]
            fill = {"facecolors": "none", "edgecolors": "C0"} if key == "fitted" else {"color": "C1"}
            measured, predicted = [p["measured"] for p in some], [p["predicted"] for p in some]
            axes.scatter(measured, predicted, marker=mark, label=label, **fill)
        axes.set_title(f"{name}: at most {found['largest_error']:.0%} off", fontsize=8)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_minor_formatter(ticker.NullFormatter())
        axes.set_xlabel("measured", fontsize=8)
        axes.set_ylabel("predicted", fontsize=8)
    panels.flat[0].legend(fontsize=8)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="How often each size is measured; the fastest counts.")
    parser.add_argument("--plot", type=Path, help="Write a plot to this PNG file.")
    parser.add_argument("--json", type=Path, help="Write the figures to this JSON file.")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        loop_overhead.measure(3, Path(name) / "first")  # imports and first compilations
        figures = {}
        for what, cost in costs(Path(name)).items():
            figures[what] = cost.report(args.rounds)
            print(f"{what}: at most {figures[what]['largest_error']:.1%} off at the sizes held out", flush=True)
    if args.plot:
        plot(figures, args.plot)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
