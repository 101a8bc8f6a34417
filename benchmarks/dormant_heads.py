"""Measures which attention heads of a model are dormant, whether that depends on the prompt, and whether they matter.

    python benchmarks/dormant_heads.py --cases 40 --json dormant.json
    python benchmarks/dormant_heads.py --model FOLDER --suite chat --dtype bfloat16 --json dormant.json

Each prompt of a set of conflicts is answered, up to 24 tokens (``homeostat.sensors.dormant_heads``). A head is dormant
on a prompt if it puts 0.9 of its attention on the sinks. The heads that are dormant on every prompt are then
ablated (their output is set to zero), and so are as many random heads that are never dormant, ten times. The value
drain compares the value vectors of the first token with those of all others.

JSON: ``heads`` (all), ``always``, ``sometimes`` and ``never`` dormant, ``share`` (mean over prompts), ``output`` (mean
relative output norm of heads where they are dormant), ``drain_dormant`` and ``drain_other`` (median value drain of the
key-value heads that serve an always-dormant head, and of the others), ``ablated`` (change of the right answer's
log-probability in nats per token without the always-dormant heads) and ``ablated_random`` (the same for each random
set).
"""

from __future__ import annotations

import argparse
import json
import random
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from homeostat.agent import TransformersModel
from homeostat.alignment import Case, chat_twins, phone_twins
from homeostat.alignment.sail.tokens import answer_tokens
from homeostat.sensors import Actuator, DormantHeads
from homeostat.sensors.dormant_heads import dormant, relative_outputs, value_drain


def values_of(model: TransformersModel, case: Case) -> NDArray[np.float32]:
    """(L, G, P, D) value vectors of a prompt, from the key-value cache."""
    inputs = model.renderer.render(case.prompt).inputs
    with torch.no_grad():
        cache = model.model(**{k: v.to(model.model.device) for k, v in inputs.items()}, use_cache=True).past_key_values
    found: NDArray[np.float32] = np.stack([layer.values[0].float().cpu().numpy() for layer in cache.layers])
    return found


def nats(model: TransformersModel, case: Case, heads: frozenset[tuple[int, int]]) -> float:
    """The mean log-probability of the right answer's tokens, with these heads ablated."""
    tokens = answer_tokens(model.renderer, case.prompt, case.chosen)
    steer = [Actuator(None, output=0.0, heads=heads)] if heads else []
    return float(model.score(case.prompt, tokens, steer)[range(len(tokens)), list(tokens)].mean())


def measure(model: TransformersModel, cases: list[Case], draws: int, seed: int) -> dict[str, Any]:
    asleep, outputs, drains = [], [], []
    for case in cases:
        (attempt,) = model.generate(case.prompt, watch=DormantHeads.reads, max_new_tokens=24)
        read = attempt.spans
        assert read is not None
        assert read.sink is not None
        assert read.outputs is not None
        asleep.append(dormant(read.sink))
        outputs.append(relative_outputs(read.outputs))
        drains.append(value_drain(values_of(model, case), np.array([0])))
    table = np.stack(asleep)  # (N, L, H)
    always, never = table.all(0), ~table.any(0)
    drain = np.mean(drains, 0).repeat(table.shape[2] // drains[0].shape[1], 1)  # (L, H)
    heads = frozenset((int(la), int(h)) for la, h in np.argwhere(always))
    others = [(int(la), int(h)) for la, h in np.argwhere(never)]
    rng = random.Random(f"dormant {seed}")
    plain = [nats(model, case, frozenset()) for case in cases]

    def change(chosen: frozenset[tuple[int, int]]) -> float:
        return float(np.mean([nats(model, case, chosen) - before for case, before in zip(cases, plain, strict=True)]))

    enough = 0 < len(heads) <= len(others)
    return {
        "prompts": len(cases),
        "heads": int(always.size),
        "always": int(always.sum()),
        "sometimes": int((~always & ~never).sum()),
        "never": int(never.sum()),
        "share": float(table.mean()),
        "output": float(np.stack(outputs)[table].mean()) if table.any() else None,
        "drain_dormant": float(np.median(drain[always])) if always.any() else None,
        "drain_other": float(np.median(drain[~always])),
        "ablated": change(heads) if heads else None,
        "ablated_random": [change(frozenset(rng.sample(others, len(heads)))) for _ in range(draws)] if enough else [],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="homeostat/nano", help="The model: a name or a folder.")
    parser.add_argument("--suite", choices=("phone", "chat"), default="phone", help="The set of prompts.")
    parser.add_argument("--cases", type=int, default=40, help="The number of prompts.")
    parser.add_argument("--draws", type=int, default=10, help="The number of random sets of heads.")
    parser.add_argument("--dtype", help="The type of the weights.")
    parser.add_argument("--seed", type=int, default=0, help="The seed of the prompts and the draws.")
    parser.add_argument("--json", type=Path, help="Write the figures to this JSON file.")
    options = parser.parse_args()
    model = TransformersModel.load(options.model, dtype=options.dtype)
    twins = (
        phone_twins(model.style, "dev", options.seed) if options.suite == "phone" else chat_twins("dev", options.seed)
    )
    cases = [both.conflict for both in islice(twins, options.cases)]
    found = {"model": options.model, "suite": options.suite} | measure(model, cases, options.draws, options.seed)
    Console(highlight=False).print_json(json.dumps(found))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
