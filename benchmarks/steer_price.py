"""Measures what steering attention costs, against PyTorch's SDPA alone in the same run.

    python benchmarks/steer_price.py --json steer.json
    python benchmarks/steer_price.py --model FOLDER --dtype bfloat16 --json steer_real.json

The probe watches all layers. The span lies in the prompt's third tenth, or begins there, and has 16 keys, a sixteenth
and a quarter of the prompt's. ``gain`` multiplies its attention by 3, ``target`` sets its mass to 0.2 in every row that
sees it.

JSON: ``time`` holds the ratios by kind and span; ``steer_gain_ratio`` and ``steer_target_ratio`` are the largest over
the spans of a whole answer's ratio, prefill and decoding together.
"""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

from paired_rounds import Way, add_options, equal_spans, load, measure, ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, tokens=64, rounds=3)
    parser.add_argument("--prompt", type=int, default=4096, metavar="TOKENS", help="The prompt's length.")
    options = parser.parse_args()

    import torch

    from homeostat.sensors import Actuator

    torch.set_num_threads(1)
    length, begin = options.prompt, options.prompt // 5
    sizes = (16, length // 16, length // 4)
    ways = {"sdpa": Way(), "probe": Way({})}
    for size in sizes:
        ways[f"gain {size}"] = Way({}, [Actuator(((begin, begin + size),), gain=3.0)])
        ways[f"target {size}"] = Way({}, [Actuator(((begin, begin + size),), target=0.2)])
    model = load(options.model, options.dtype, length + options.tokens)
    times = measure(model, ways, spans=equal_spans(length), tokens=options.tokens, rounds=options.rounds)
    found = ratios(times)
    figures: dict[str, Any] = {"time": found}
    for kind in ("gain", "target"):
        figures[f"steer_{kind}_ratio"] = max(one["ratio"] for name, one in found.items() if name.startswith(kind))
    figures["setting"] = {k: v for k, v in vars(options).items() if k != "json"} | {"torch": torch.__version__}
    print(json.dumps(figures, indent=2))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
