"""What the embedded model gets right, question by question, on words it was never shown.

    python benchmarks/nano_answers.py --json nano_answers.json

``where``: "where is X?" for labels that stand on every phone; ``find``: the same for words that only this phone holds;
``what``: what is written at a place; ``act``: the oracle's next action; ``plan``: a joined goal's parts. An answer
counts if every token of it is the most likely one after the right ones before it. ``read``: the share of patches whose
characters the tower names; ``match``, ``point``: how much of the guided heads' attention lies where it should.
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
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--model", default="homeostat/nano", help="homeostat/nano or a folder that clone wrote")
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--screens", type=int, default=480)
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
