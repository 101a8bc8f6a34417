"""Measures how much faster several answers to one prompt are from one shared prefill than from separate calls.

    python benchmarks/candidates.py --json candidates.json

There are two models: the embedded model, and a model of its architecture with the shape of a 0.5B text model (hidden
size 896, 14 heads on 2 key heads, 4 layers, random weights), in float32 on one thread. The prompt has about a thousand
tokens (seven screens). Both ways draw n answers of the same length at temperature 1. The probe is off, and separate
calls keep no key-value cache between them. Each round measures both, in wall-clock time.

JSON, for each model and n: ``prompt_tokens``; ``speedup_vs_separate``, the median over rounds of the ratio within a
round (bar: ≥ 3 at n = 8); ``shared_seconds`` and ``separate_seconds``, medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from homeostat.agent import TransformersModel
from homeostat.agent.prompts import act_prompt
from homeostat.observation import Observation

SCREENS = 7


def larger(model: TransformersModel) -> TransformersModel:
    """Returns a random model of nano's architecture whose text model has the shape of a 0.5B one, with four layers."""
    from copy import deepcopy

    from transformers import AutoModelForImageTextToText

    config = deepcopy(model.model.config)
    text = config.text_config
    text.hidden_size, text.intermediate_size, text.num_hidden_layers = 896, 4864, 4
    text.num_attention_heads, text.num_key_value_heads, text.head_dim = 14, 2, 64
    text.layer_types = ["full_attention"] * 4
    torch.manual_seed(0)
    made = AutoModelForImageTextToText.from_config(config).float().eval()
    made.generation_config.eos_token_id = None
    return TransformersModel(made, model.processor, name="0.5B shape", style=model.style, reuse=True)


def measure(model: TransformersModel, n: int, tokens: int, rounds: int) -> dict[str, float]:
    rng = np.random.default_rng(0)
    screens = tuple(rng.integers(0, 255, (256, 144, 3), dtype=np.uint8) for _ in range(SCREENS))
    seen = Observation(screens[-1], (), "home", screens)
    prompt = act_prompt(model.style, goal="open notes", rules=(), history=("open maps",) * 4, observation=seen)
    length = len(model.renderer.render(prompt).ids)
    how: dict[str, Any] = {"temperature": 1.0, "max_new_tokens": tokens, "watch": False}
    shared, separate = [], []
    for round_ in range(rounds + 1):
        model.forget()
        begin = time.perf_counter()
        model.generate(prompt, n=n, seed=round_, **how)
        middle = time.perf_counter()
        for k in range(n):
            model.forget()
            model.generate(prompt, seed=1000 * round_ + k, **how)
        end = time.perf_counter()
        if round_:  # the first warms up
            shared.append(middle - begin)
            separate.append(end - middle)
    return {
        "prompt_tokens": length,
        "speedup_vs_separate": statistics.median(b / a for a, b in zip(shared, separate, strict=True)),
        "shared_seconds": statistics.median(shared),
        "separate_seconds": statistics.median(separate),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, nargs="+", default=[2, 4, 8, 16], help="The numbers of answers.")
    parser.add_argument("--tokens", type=int, default=16, help="The length of each answer in tokens.")
    parser.add_argument("--rounds", type=int, default=3, help="How many rounds are measured after a warm-up.")
    parser.add_argument("--json", type=Path, help="Write the figures to this JSON file.")
    options = parser.parse_args()
    torch.set_num_threads(1)
    nano = TransformersModel.load("homeostat/nano")
    figures: dict[str, Any] = {}
    for model in (nano, larger(nano)):
        for n in options.n:
            figures.setdefault(model.name, {})[str(n)] = found = measure(model, n, options.tokens, options.rounds)
            print(f"{model.name}, n = {n}: {found['speedup_vs_separate']:.2f} times as fast, {found}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
