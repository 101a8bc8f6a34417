"""Compares pointer heads (V2P) with the model's own coordinates and with attention maps, by size of the target.

    python benchmarks/pointing.py --json pointing.json

A point counts if it lies inside the target's box. The backbone is frozen. Each head has another style of training
labels: uniform (GUI-Actor), center, and Gaussian (V2P) with two sharpnesses. All heads see the same batches, steps and
learning rate, with training words; the test uses test words and other seeds.

Two rows need no training: the attention of the instruction's words on the patches, and the same with stop-word magnets
(RefAM). Which third of the layers each of them reads is chosen on 100 targets with dev words.

JSON, for each row and size (``medium`` up to 2 % of the screen, ``large``, ``all``): the number of hits and of targets.
Each head is read twice: the best region by its highest patch (max) and by its mean.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import islice
from pathlib import Path

from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.alignment.pointing.labels import FLAT, PEAKED
from homeostat.alignment.pointing.magnets import MAGNETS, pointed_by_attention
from homeostat.alignment.pointing.targets import Target, phone_targets
from homeostat.alignment.pointing.train import Hits, PointerTraining, hits_by_size, pointed, spoken, train_pointer

HEADS = {
    "uniform (GUI-Actor)": ("uniform", PEAKED, 0.0),
    "center": ("center", PEAKED, 1.0),
    "gauss, s = 1, with valley": ("gauss", FLAT, 1.0),
    "gauss, s = 4.1325, with valley": ("gauss", PEAKED, 1.0),
}


THIRDS = ("all", "first", "middle", "last")


def untrained(white: TransformersModel, test: list[Target], magnets: tuple[str, ...]) -> tuple[str, dict[str, Hits]]:
    """Points by attention, with the layers that are best on dev targets. Returns the layers and the hits."""
    dev = list(islice(phone_targets("dev", 1), 100))
    found = {t: hits_by_size(pointed_by_attention(white, dev, magnets=magnets, third=t), dev)["all"] for t in THIRDS}
    print(f"dev, magnets {magnets}: " + ", ".join(f"{third} {hits.hits}" for third, hits in found.items()), flush=True)
    third = max(THIRDS, key=lambda t: found[t].hits)
    return third, hits_by_size(pointed_by_attention(white, test, magnets=magnets, third=third), test)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model",
        default="homeostat/nano",
        help="The model: a Hugging Face name, a folder, or the name of an embedded model.",
    )
    parser.add_argument("--steps", type=int, default=600, help="Training steps of each head; 0 leaves them out.")
    parser.add_argument("--count", type=int, default=600, help="The number of test targets.")
    parser.add_argument("--json", type=Path, help="Write the figures to this JSON file.")
    args = parser.parse_args()
    white = TransformersModel.load(args.model)
    test = list(islice(phone_targets("test", 1), args.count))
    table = {"the model's own coordinates": hits_by_size(spoken(white, test), test)}
    for name, magnets in (("attention of the words", ()), ("attention with stop-word magnets (RefAM)", MAGNETS)):
        third, hits = untrained(white, test, magnets)
        table[f"{name}, layers: {third}"] = hits
    for name, (labels, sharpness, valley) in HEADS.items() if args.steps else ():
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
