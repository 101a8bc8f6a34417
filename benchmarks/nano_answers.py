"""Measures what the embedded model answers correctly, by kind of question, on held-out words.

    python benchmarks/nano_answers.py --json nano_answers.json

An answer is right if each of its tokens is the most probable one after the right ones before it (teacher forcing).

JSON, shares of right answers with Wilson's interval: ``where`` ("where is X?" for labels that every phone has),
``find`` (the same for words that only this phone has), ``what`` (what is written at a place), ``act`` (the oracle's
next action) and ``plan`` (the subtasks of a joined goal). Further means: ``read`` is the share of patches whose
characters the vision tower names; ``match`` and ``point`` are the shares of the guided heads' attention on the right
places.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from homeostat.agent.models.loading import load_weights, resolve
from homeostat.envs.harness import wilson
from homeostat.nano.data.packing import KINDS, Packer
from homeostat.nano.training.evaluation import answers, held_out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="Write the figures to this JSON file.")
    parser.add_argument(
        "--model", default="homeostat/nano", help="homeostat/nano, or a folder that homeostat clone wrote."
    )
    parser.add_argument("--split", choices=("dev", "test"), default="test", help="The data split.")
    parser.add_argument(
        "--screens",
        type=int,
        default=480,
        help="The number of screens; there are a quarter as many planning questions.",
    )
    options = parser.parse_args()
    model, processor = load_weights(resolve(options.model), "cpu", "float32")
    packer = Packer(processor)
    batches = held_out(packer, options.split, screens=options.screens, seed="benchmark")
    found = answers(model, batches, torch.tensor(packer.places()))
    figures: dict[str, object] = {}
    for kind, values in found.items():
        if kind in KINDS:
            share = wilson(int(sum(values)), len(values))
            figures[kind] = share.as_dict() | {"n": len(values)}
            print(f"{kind:6} {share.percent()} of {len(values)}")
        else:
            figures[kind] = sum(values) / len(values)
            print(f"{kind:6} {figures[kind]:.4f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
