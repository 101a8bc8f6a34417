"""Measures what the probe costs on a model's real weights, against PyTorch's SDPA alone in the same run.

    python benchmarks/probe_price.py --model FOLDER --dtype bfloat16 --prompts 1024 4096 8192 --json probe_real.json

The probe watches all layers, with ten labels, the last 32 rows of the prompt, and attention sinks.
``probe_overhead.py`` measures random weights, memory, eager attention and nnsight.

Decoding is measured for one row, and for eight rows with left padding, whose prompt was read once. JSON: ``time`` and
``time_b8`` hold the ratios by prompt length. ``probe_prefill_ratio``, ``probe_decode_ratio`` and
``probe_decode_ratio_b8`` are the largest over the prompts.
"""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

from paired_rounds import Way, add_options, equal_spans, load, measure, ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, tokens=24, rounds=3)
    parser.add_argument(
        "--prompts", type=int, nargs="+", default=[1024, 4096, 8192], metavar="TOKENS", help="The prompt lengths."
    )
    parser.add_argument(
        "--batched", type=int, nargs="*", default=[1024, 4096], metavar="TOKENS", help="Those of eight rows."
    )
    options = parser.parse_args()

    import torch

    torch.set_num_threads(1)
    model = load(options.model, options.dtype, max(options.prompts) + options.tokens)
    ways = {"sdpa": Way(), "probe": Way({})}
    figures: dict[str, Any] = {"time": {}, "time_b8": {}}
    for name, prompts, batch in (("time", options.prompts, 1), ("time_b8", options.batched, 8)):
        for length in prompts:
            rounds = max(options.rounds, 8192 // length) if batch == 1 else 1  # short prompts scatter more
            how = {"tokens": options.tokens, "rounds": rounds, "batch": batch}
            figures[name][str(length)] = ratios(measure(model, ways, spans=equal_spans(length), **how))["probe"]
    single, many = figures["time"].values(), figures["time_b8"].values()
    figures["probe_prefill_ratio"] = max(one["prefill_ratio"] for one in single)
    figures["probe_decode_ratio"] = max(one["decode_ratio"] for one in single)
    figures["probe_decode_ratio_b8"] = max((one["decode_ratio"] for one in many), default=None)
    figures["setting"] = {k: v for k, v in vars(options).items() if k != "json"} | {"torch": torch.__version__}
    print(json.dumps(figures, indent=2))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
