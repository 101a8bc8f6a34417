"""Which of the oracle's actions a model writes, step by step, on prompts of the oracle's own episodes.

    python benchmarks/cloned_steps.py --model runs/clone/adapter --dtype bfloat16 --json steps.json

An episode succeeds only if every step is right, so a success rate says little about a model that is half trained. Here
each prompt is answered by itself (teacher forcing, greedy): an answer is right if each of its tokens is the one that
greedy decoding takes. Columns: training tasks with other seeds (split ``train``), and the templates of the suite
``atomic-dev``, which no training sees. Rows: the kinds of actions. Intervals are Wilson's.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import torch

from homeostat import TransformersModel
from homeostat.alignment.cloning.demonstrations import Demonstrator, demonstrate
from homeostat.alignment.cloning.packing import pack, pack_scores
from homeostat.alignment.cloning.rows import tokenise
from homeostat.envs.harness import env_kind, load_suite, make_env, wilson


def steps(model: TransformersModel, suite_name: str, split: str, episodes: int, seed: int) -> dict[str, list[int]]:
    """Counts right answers and answers, by the kind of action.

    Args:
        model: The model.
        suite_name: The suite whose tasks the oracle plays.
        split: The split of words and states.
        episodes: The number of episodes.
        seed: The seed of the episodes.

    Returns:
        ``[right, answers]`` by the name of the action, and for ``all``.
    """
    import random

    suite = load_suite(suite_name, split=split, episodes=episodes, seed=seed)
    env = make_env(suite.env, suite.split, suite.options)
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for case in suite.cases():
        demonstrator = Demonstrator(model, env, env_kind(suite.env).next_action(), random.Random(0))
        rows = tokenise(model, demonstrate(demonstrator, env, case.task, case.seed))
        for one in pack(rows, 320):
            with torch.inference_mode():
                best = pack_scores(model.model, one).best
            for row, part in zip(one.rows, torch.split(best, [len(row.answer) for row in one.rows]), strict=True):
                said = json.loads(model.renderer.tokenizer.decode(row.answer, skip_special_tokens=True))
                for kind in ("all", said["action"]):
                    found[kind][0] += bool(part.all())
                    found[kind][1] += 1
    return dict(found)


def main() -> None:
    """Measures, prints a table and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--episodes", type=int, default=40)
    parser.add_argument("--seed", type=int, default=99)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    model = TransformersModel.load(args.model, "cpu", args.dtype, reuse=False)
    table = {
        "training templates": steps(model, "atomic-whole", "train", args.episodes, args.seed),
        "dev templates": steps(model, "atomic-dev", "dev", args.episodes, args.seed),
    }
    for column, counts in table.items():
        for kind, (right, answers) in sorted(counts.items(), key=lambda item: -item[1][1]):
            print(f"{column}, {kind}: {right} of {answers}, {wilson(right, answers).percent()}")
    if args.json is not None:
        args.json.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
