"""Measures where a planner's plans go wrong, by kind of goal. No plan is executed.

    python benchmarks/plan_quality.py --goals 60 --json plan_quality.json

The goals are those of the compositional suites (test words, seed 2, which the table in docs/evidence.md does not use)
and the planner's own held-out patterns (``homeostat.nano.plans.corpus``, dev words).

JSON, for each kind of goal, the number of ``goals`` and shares with Wilson's interval: ``parts_right``, plans with as
many subtasks to do as the goal asks for; ``drawn_words_said``, plans that contain every word drawn for the goal;
``words_learned``, goals whose other words all occur in the training corpus; ``misspelled``, plans that change if the
planner is not restricted to its own words and the goal's.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from homeostat.agent import TransformersModel
from homeostat.agent.prompts import plan_prompt, plan_words
from homeostat.controllers import Plan, parse_plan, plan_schema
from homeostat.envs.harness import load_suite, make_env, wilson
from homeostat.envs.phone.tasks.words import is_drawn
from homeostat.errors import PlanError
from homeostat.nano.plans.corpus import planning_examples

KINDS = ("concatenation", "transition", "deepdive")
CORPUS = 20_000  # training goals whose words count as learned


def words_of(text: str) -> set[str]:
    """Returns the words of a goal that are not drawn as content of a phone."""
    return {w for w in re.findall(r"[a-z]+", text) if not is_drawn(w)}


def composed(kind: str, goals: int) -> Iterator[tuple[str, Sequence[str]]]:
    suite = load_suite(kind, episodes=goals, seed=2)
    env = make_env(suite.env, suite.split, suite.options)
    for case in suite.cases():
        info = env.reset_task(case.task, seed=case.seed)
        yield info.goal, info.parts


def patterns(goals: int) -> Iterator[tuple[str, Sequence[str]]]:
    source = planning_examples(random.Random("quality"), "dev", scenes="dev")
    for _ in range(goals):
        goal, plan = next(source)
        yield goal, [s.instruction for s in parse_plan(plan).subtasks if s.instruction]


def measured(cases: Iterator[tuple[str, Sequence[str]]], model: Any, known: set[str]) -> dict[str, Any]:
    goals = counts = said = learned = misspelled = 0
    for goal, parts in cases:
        prompt = plan_prompt(model.style, goal=goal, rules=())
        schema = plan_schema(words=plan_words(model.style, prompt))
        (attempt,) = model.generate(prompt, schema=schema, max_new_tokens=256, watch=False)
        (free,) = model.generate(prompt, schema=plan_schema(), max_new_tokens=256, watch=False)
        misspelled += free.text != attempt.text
        try:
            plan = parse_plan(attempt.text)
        except PlanError:
            plan = Plan(subtasks=())
        goals += 1
        counts += sum(bool(s.instruction) for s in plan.subtasks) == len(parts)
        drawn = {w for w in re.findall(r"[a-z]+", goal) if is_drawn(w)}
        said += drawn <= set(re.findall(r"[a-z]+", attempt.text))
        learned += words_of(goal) <= known
    return {
        "goals": goals,
        **{
            name: wilson(n, goals).as_dict()
            for name, n in (
                ("parts_right", counts),
                ("drawn_words_said", said),
                ("words_learned", learned),
                ("misspelled", misspelled),
            )
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--goals", type=int, default=60, help="The number of goals of each kind.")
    parser.add_argument("--planner", default="homeostat/nano-planner", help="The planner: a name or a folder.")
    parser.add_argument("--json", type=Path, required=True, help="Write the figures to this JSON file.")
    args = parser.parse_args()
    model = TransformersModel.load(args.planner)
    source = planning_examples(random.Random("words"))
    known = set().union(*(words_of(next(source)[0]) for _ in range(CORPUS)))
    rows = {"held-out patterns": measured(patterns(args.goals), model, known)}
    rows |= {kind: measured(composed(kind, args.goals), model, known) for kind in KINDS}
    for name, row in rows.items():
        shares = (
            f"{k.replace('_', ' ')} {100 * v['mean']:.0f} % [{100 * v['low']:.0f}, {100 * v['high']:.0f}]"
            for k, v in row.items()
            if k != "goals"
        )
        print(f"{name:18} {row['goals']} goals: {', '.join(shares)}")
    args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
