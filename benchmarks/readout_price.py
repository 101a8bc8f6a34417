"""Measures the price of each option of a ``Readout``, and of the probe's other settings, against PyTorch's SDPA alone.

    python benchmarks/readout_price.py --model FOLDER --dtype bfloat16 --json readout.json

Every row of the table is the probe on all layers with one option more than span masses alone (``masses``). ``sinks`` is
what ``watch`` does by default. ``every token's`` options are computed for each token that is recorded, ``every=4``
records one token in four. The JSON holds the ratios by option, as in ``paired_rounds.py``.
"""

from __future__ import annotations

import argparse
import json
import os
from typing import Any, get_args

from paired_rounds import Way, add_options, equal_spans, load, measure, ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, tokens=32, rounds=3)
    parser.add_argument("--prompt", type=int, default=2048, metavar="TOKENS", help="The prompt's length.")
    options = parser.parse_args()

    import torch

    from homeostat.sensors import Readout
    from homeostat.sensors.attempts import Statistic

    torch.set_num_threads(1)
    alone: dict[str, Any] = {"sinks": False}
    asked: dict[str, dict[str, Any]] = {
        "masses": alone,
        "masses, every row of the prompt": alone | {"rows": "all"},
        "masses, every=4": alone | {"every": 4},
        "sinks (the default)": {},
        "keys of one span": alone | {"readout": Readout(keys=frozenset({"goal"}))},
        "window of 64 keys": alone | {"readout": Readout(window=64)},
        **{
            name: alone | {"readout": Readout(statistics=frozenset({name}))}  # type: ignore[arg-type]
            for name in get_args(Statistic)
        },
    }
    ways = {"sdpa": Way(), **{name: Way(settings) for name, settings in asked.items()}}
    model = load(options.model, options.dtype, options.prompt + options.tokens)
    times = measure(model, ways, spans=equal_spans(options.prompt), tokens=options.tokens, rounds=options.rounds)
    figures: dict[str, Any] = {"time": ratios(times)}
    figures["setting"] = {k: v for k, v in vars(options).items() if k != "json"} | {"torch": torch.__version__}
    for name, one in figures["time"].items():
        print(f"{name:32} prefill {one['prefill_ratio']:.3f}  decoding {one['decode_ratio']:.3f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
