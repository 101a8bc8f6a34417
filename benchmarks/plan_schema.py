"""Measures how often a planner's text can be read as a plan, with and without the JSON schema, and the schema's cost.

    python benchmarks/plan_schema.py --goals 60 --json plan_schema.json

Each goal of the three compositional suites (test words, seed 2) is planned once freely and once constrained by
``plan_schema``. There are three planners: nano itself, nano-planner, and nano's architecture with random weights, which
has learned no plan at all. One thread.

JSON, for each planner, ``free`` and ``held`` (constrained): ``reads`` counts the texts that ``parse_plan`` accepts,
``fits`` those that are JSON of the schema as they stand, both out of ``of``; ``fits_text`` is the latter with Wilson's
interval; ``tokens`` and ``seconds`` are totals. The script also prints the schema's extra milliseconds per token.
"""

from __future__ import annotations

import argparse
import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema
import torch

from homeostat.agent import TransformersModel
from homeostat.agent.prompts import plan_prompt, plan_words
from homeostat.controllers import parse_plan, plan_schema
from homeostat.envs.harness import load_suite, make_env, wilson
from homeostat.errors import PlanError


def goals(count: int) -> list[str]:
    found = []
    for kind in ("concatenation", "transition", "deepdive"):
        suite = load_suite(kind, episodes=count, seed=2)
        env = make_env(suite.env, suite.split, suite.options)
        found += [env.reset_task(case.task, seed=case.seed).goal for case in suite.cases()]
    return found


def untrained() -> TransformersModel:
    from transformers import AutoModelForImageTextToText

    nano = TransformersModel.load("homeostat/nano")
    torch.manual_seed(0)
    made = AutoModelForImageTextToText.from_config(nano.model.config).float().eval()
    made.generation_config = nano.model.generation_config
    return TransformersModel(made, nano.processor, name="untrained", style=nano.style)


def measure(model: TransformersModel, asked: list[str], *, held: bool) -> dict[str, Any]:
    typed = model.style.typed_plans
    validator = jsonschema.Draft202012Validator(plan_schema(typed=typed))
    reads = fits = tokens = 0
    seconds = 0.0
    for goal in asked:
        prompt = plan_prompt(model.style, goal=goal, rules=())
        begun = time.perf_counter()
        schema = plan_schema(typed=typed, words=plan_words(model.style, prompt)) if held else None
        (attempt,) = model.generate(prompt, max_new_tokens=512, watch=False, schema=schema)
        seconds += time.perf_counter() - begun
        tokens += len(attempt.tokens)
        with suppress(ValueError):
            fits += validator.is_valid(json.loads(attempt.text))
        with suppress(PlanError):
            parse_plan(attempt.text)
            reads += 1
    counts = {"reads": reads, "fits": fits, "of": len(asked), "tokens": tokens, "seconds": seconds}
    return counts | {"fits_text": wilson(fits, len(asked)).percent()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--goals", type=int, default=60, help="The number of goals of each suite.")
    parser.add_argument("--json", type=Path, required=True, help="Write the figures to this JSON file.")
    args = parser.parse_args()
    torch.set_num_threads(1)
    asked, figures = goals(args.goals), {}
    models = [TransformersModel.load("homeostat/nano"), TransformersModel.load("homeostat/nano-planner"), untrained()]
    for model in models:
        measure(model, asked[:1], held=True)  # the tokenizer is described once
        free = measure(model, asked, held=False)
        held = measure(model, asked, held=True)
        figures[model.name] = {"free": free, "held": held}
        cost = 1000 * (held["seconds"] / held["tokens"] - free["seconds"] / free["tokens"])
        for name, row in (("free", free), ("under the schema", held)):
            print(f"{model.name:24} {name:20} reads {row['reads']} of {row['of']}, fits {row['fits_text']}")
        print(f"{'':24} {cost:+.2f} ms per token")
    args.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
