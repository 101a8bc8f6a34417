"""Compares ways to choose among n answers: CyberV's weights, fitted weights, majority vote, and the first answer.

    python benchmarks/forest_weights.py --steps 240 --json forest_weights.json

The data are steps of oracle episodes on the phone, so the prompt is real and the right action is known. The weights are
fitted on steps of the dev templates. The choices are compared on steps of the 30 test templates, with test words. Each
step has one greedy answer and n − 1 answers drawn at temperature 1 from one prefill. An answer is right if it names the
oracle's action (a tap on the same element, the same text). The rows with "separate calls" draw the n − 1 answers again
in calls of their own; their quality must not differ.

JSON: ``weights`` are the fitted weights. ``rows`` has for each ``choice`` the share of ``right`` steps (Wilson) and the
paired ``gain`` over the greedy answer (Newcombe). ``some_right`` is the number of steps with any right candidate.
``seconds`` are those for drawing the answers from one prefill and in separate calls.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from homeostat.actions import Answer, Terminate
from homeostat.agent import TransformersModel
from homeostat.agent.prompts import act_prompt, describe
from homeostat.controllers import Candidate
from homeostat.controllers.forest import CYBERV, Forest, Verdict, answer_of
from homeostat.controllers.forest_fit import fit_weights
from homeostat.envs.harness import load_suite, make_env, newcombe_paired, wilson
from homeostat.envs.mobile_use import parse_action
from homeostat.errors import UnparsableAction
from homeostat.observation import Element
from homeostat.sensors import AttentionDrift, Confidence, Repetition, SensorContext


@dataclass
class Step:
    """A step: its candidates with the greedy answer first, those drawn in separate calls, and the right answer."""

    candidates: list[Candidate]
    separate: list[Candidate]
    elements: tuple[Element, ...]
    right: str


def read(model: TransformersModel, prompt: Any, attempt: Any, goal: str, seen: Any) -> Candidate:
    sensors = (Confidence(), AttentionDrift(), Repetition.cyberv())
    context = SensorContext(goal=goal, prompt=prompt, observation=seen)
    readings = tuple(sensor.read(attempt, context) for sensor in sensors)
    try:
        action, problem = parse_action(attempt.text, model.style.grid(seen)), None
    except UnparsableAction as error:
        action, problem = None, str(error)
    return Candidate(text=attempt.text, action=action, unparsable=problem, readings=readings)


def steps_of(
    model: TransformersModel, suite_name: str, split: str, count: int, n: int, seconds: list[float]
) -> list[Step]:
    suite = load_suite(suite_name, split=split, episodes=count, seed=3)
    env, rng, found = make_env(suite.env, suite.split, suite.options), random.Random(3), []
    for case in suite.cases():
        task = env.reset_task(case.task, seed=case.seed)
        history, answers, stop = list[str](), list[str](), rng.randrange(task.optimal_steps)
        for number in range(task.optimal_steps):
            action, seen = env.oracle(answers), env.observe()
            grid = model.style.grid(seen)
            if number == stop or isinstance(action, Terminate):
                break
            answers += [action.text] if isinstance(action, Answer) else []
            env.act(action)
            history.append(describe(action, grid))
        prompt = act_prompt(model.style, goal=task.goal, rules=task.rules, history=history, observation=seen)
        first = model.generate(prompt)
        begun = time.perf_counter()
        drawn = model.generate(prompt, n=n - 1, temperature=1.0, seed=case.seed)
        middle = time.perf_counter()
        alone = []
        for k in range(n - 1):
            model.forget()
            alone += model.generate(prompt, temperature=1.0, seed=1000 * k + case.seed)
        seconds[0] += middle - begun
        seconds[1] += time.perf_counter() - middle
        right = answer_of(Candidate(text="", action=action), seen.elements)
        assert right is not None
        together = [read(model, prompt, a, task.goal, seen) for a in (*first, *drawn)]
        separate = [together[0], *(read(model, prompt, a, task.goal, seen) for a in alone)]
        found.append(Step(together, separate, seen.elements, right))
    return found


def judged(
    candidates: Sequence[Candidate], elements: tuple[Element, ...], weights: Mapping[str, float]
) -> Verdict | None:
    return Forest(weights).judge(candidates, elements) if any(c.action for c in candidates) else None


def majority(candidates: Sequence[Candidate], elements: tuple[Element, ...]) -> str | None:
    said = [a for c in candidates if (a := answer_of(c, elements)) is not None]
    return Counter(said).most_common(1)[0][0] if said else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--steps", type=int, default=240, help="The number of steps to fit on, and of those to compare on."
    )
    parser.add_argument("--n", type=int, default=8, help="The number of answers per step.")
    parser.add_argument(
        "--model",
        default="homeostat/nano",
        help="The model: a Hugging Face name, a folder, or the name of an embedded model.",
    )
    parser.add_argument("--json", type=Path, required=True, help="Write the figures to this JSON file.")
    args = parser.parse_args()
    model = TransformersModel.load(args.model)
    seconds = [0.0, 0.0]
    fit_on = steps_of(model, "atomic-dev", "dev", args.steps, args.n, [0.0, 0.0])
    test_on = steps_of(model, "atomic-test", "test", args.steps, args.n, seconds)
    trees: list[Mapping[str, float]] = []
    labels: list[bool] = []
    for step in fit_on:
        if (verdict := judged(step.candidates, step.elements, CYBERV)) is not None:
            trees += verdict.trees
            labels += [answer_of(c, step.elements) == step.right for c in step.candidates]
    weights = fit_weights(trees, labels)

    def by_forest(step: Step, which: Mapping[str, float], *, separate: bool = False) -> str | None:
        verdict = judged(step.separate if separate else step.candidates, step.elements, which)
        return None if verdict is None else verdict.answer

    choices = {
        "the greedy answer": [answer_of(s.candidates[0], s.elements) for s in test_on],
        "majority vote": [majority(s.candidates, s.elements) for s in test_on],
        "CyberV's forest": [by_forest(s, CYBERV) for s in test_on],
        "fitted forest": [by_forest(s, weights) for s in test_on],
        "CyberV's forest, separate calls": [by_forest(s, CYBERV, separate=True) for s in test_on],
        "majority vote, separate calls": [majority(s.separate, s.elements) for s in test_on],
    }
    right = {name: [a == s.right for a, s in zip(said, test_on, strict=True)] for name, said in choices.items()}
    oracle = sum(any(answer_of(c, s.elements) == s.right for c in s.candidates) for s in test_on)
    greedy = right["the greedy answer"]
    rows = []
    for name, hits in right.items():
        pairs = Counter(zip(greedy, hits, strict=True))
        both, rescued, harmed = pairs[True, True], pairs[False, True], pairs[True, False]
        gain = newcombe_paired(both, rescued, harmed, pairs[False, False])
        rows.append({"choice": name, "right": wilson(sum(hits), len(hits)).as_dict(), "gain": gain.as_dict()})
        print(
            f"{name:32} {wilson(sum(hits), len(hits)).percent()}  gain {100 * gain.mean:+.1f} "
            f"[{100 * gain.low:.1f}, {100 * gain.high:.1f}]"
        )
    print(
        f"some candidate right: {oracle} of {len(test_on)}; weights { ({k: round(v, 3) for k, v in weights.items()}) }"
    )
    print(f"drawing {args.n - 1} answers: {seconds[0]:.1f} s from one prefill, {seconds[1]:.1f} s in separate calls")
    args.json.write_text(
        json.dumps({"weights": weights, "rows": rows, "some_right": oracle, "seconds": seconds}) + "\n"
    )


if __name__ == "__main__":
    main()
