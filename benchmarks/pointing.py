"""V2P's pointer on phone screenshots: point in box by target size, against the model's own coordinates; label styles.

    python benchmarks/pointing.py --json pointing.json

The backbone is frozen. Training: training words; test: test words, other seeds. Every head has the same batches, steps
and rate.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import islice
from pathlib import Path

from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.alignment.pointing.labels import FLAT, PEAKED
from homeostat.alignment.pointing.targets import phone_targets
from homeostat.alignment.pointing.train import PointerTraining, hits_by_size, pointed, spoken, train_pointer

HEADS = {
    "uniform (GUI-Actor)": ("uniform", PEAKED, 0.0),
    "center": ("center", PEAKED, 1.0),
    "gauss, s = 1, with valley": ("gauss", FLAT, 1.0),
    "gauss, s = 4.1325, with valley": ("gauss", PEAKED, 1.0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="homeostat/nano")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    white = TransformersModel.load(args.model)
    test = list(islice(phone_targets("test", 1), args.count))
    table = {"the model's own coordinates": hits_by_size(spoken(white, test), test)}
    for name, (labels, sharpness, valley) in HEADS.items():
        begun = time.monotonic()
        training = PointerTraining(steps=args.steps, labels=labels, sharpness=sharpness, valley=valley)
        head = train_pointer(white, phone_targets("train", 0), training)
        print(f"{name}: trained in {time.monotonic() - begun:.0f} s", flush=True)
        for best in ("max", "mean"):
            table[f"{name}, best region by {best}"] = hits_by_size(pointed(white, head, test, best=best), test)
    for name, found in table.items():
        print(f"| {name} | " + " | ".join(f"{h}" for h in found.values()) + " |")
    if args.json:
        kept = {name: {size: [h.hits, h.targets] for size, h in found.items()} for name, found in table.items()}
        args.json.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
