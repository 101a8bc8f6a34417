"""Measures how far a model's attention can be trusted to say which part of a prompt matters.

    python benchmarks/faithfulness.py --cases 120 --json faithfulness.json

Attention mass and intensity of each span are compared with two other measures (``homeostat.sensors.faithfulness``):
gradient times input, and the effect of deleting the span on the answer's log-probability. The prompts are steps of the
oracle's episodes on the phone (training templates, dev words), each with the action that the model generates.

JSON: ``evidence`` has the measures of every span of every prompt. ``correlations`` has for each pair of measures
(``one``, ``other``) Spearman's ``rho`` over all (prompt, span) pairs and its mean ``within`` prompts, each as value,
low, high (bootstrap over prompts). ``cases`` is the number of prompts.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from homeostat import actions as a
from homeostat.agent import TransformersModel
from homeostat.agent.prompts import act_prompt, describe
from homeostat.envs.phone import PhoneEnv
from homeostat.envs.phone.apps import APPS
from homeostat.envs.phone.tasks.splits import templates_of
from homeostat.sensors.faithfulness import Case, Faithfulness, faithfulness


def cases(model: TransformersModel, count: int, seed: int = 0) -> Iterator[Case]:
    """Yields one prompt per episode, at a random step, with a rule if the task has one."""
    rng = random.Random(seed)
    env = PhoneEnv(split="dev", apps=tuple(APPS))
    tasks = sorted(templates_of("train"))
    for n in range(count):
        info = env.reset_task(rng.choice(tasks), seed=seed * 100_000 + n)
        history: list[str] = []
        for _ in range(rng.randrange(max(1, info.optimal_steps))):
            action: Any = env.instance.oracle(env.device, env.answers)
            if isinstance(action, a.Terminate):
                break
            history.append(describe(action, model.style.grid(env.observe())))
            env.act(action)
        prompt = act_prompt(model.style, goal=info.goal, rules=info.rules, history=history, observation=env.observe())
        rendered = model.renderer.render(prompt)
        (attempt,) = model.generate(prompt, watch=False, max_new_tokens=32)
        yield Case(dict(rendered.inputs), rendered.as_spans(), attempt.tokens)
        print(f"{n + 1} of {count}", end="\r", file=sys.stderr)


def show(found: Faithfulness) -> None:
    table = Table("", "over all (prompt, span) pairs", "within prompts, mean")
    for c in found.correlations:
        cells = ["{:+.2f} [{:+.2f}, {:+.2f}]".format(*part) for part in (c.rho, c.within)]
        table.add_row(f"{c.one} and {c.other}", *cells)
    console = Console(width=110)
    console.print(table)
    spans = Table("span", "prompts", "tokens", "mass", "intensity", "saliency", "deletion, nats per token")
    for label in dict.fromkeys(e.label for e in found.evidence):
        own = [e for e in found.evidence if e.label == label]
        means = (
            sum(getattr(e, n) for e in own) / len(own) for n in ("length", "mass", "intensity", "saliency", "deletion")
        )
        spans.add_row(label, str(len(own)), *(f"{m:.3g}" for m in means))
    console.print(spans)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model",
        default="homeostat/nano",
        help="The model: a Hugging Face name, a folder, or the name of an embedded model.",
    )
    parser.add_argument("--cases", type=int, default=120, help="The number of prompts.")
    parser.add_argument("--json", type=Path, help="Write the figures to this JSON file.")
    options = parser.parse_args()
    model = TransformersModel.load(options.model)
    model.model.float()
    found = faithfulness(model.model, list(cases(model, options.cases)))
    show(found)
    if options.json:
        options.json.write_text(json.dumps(asdict(found), indent=1) + "\n")


if __name__ == "__main__":
    main()
