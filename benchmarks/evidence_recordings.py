"""Measures answers to questions about screen recordings: the bare model, and what controllers make of it.

    python benchmarks/evidence_recordings.py --fit weights.json --questions 80
    python benchmarks/evidence_recordings.py --questions 100 --weights weights.json \\
        --rows runs/recordings.jsonl --json recordings.json

The questions are those of the suite ``recording``, with a recording each. Every row answers the same questions in the
agent's loop:

- ``bare``: one greedy answer.
- ``cyberv``: CyberV (arXiv 2506.07971) as its authors run it, with the constants of VideoMMMU.
- ``our forest``: eight answers to one prompt, weighed by our score forest; a second look if the vote is weak.
- ``fitted forest``: the same with weights that ``--fit`` computed from dev questions (``--weights``).
- ``majority``: eight answers to one prompt; the most frequent one.
- ``second look``: eight answers to one prompt, and always a second look at the key frames: those that lost attention.
- ``evidence``: one greedy answer to a prompt that shows once more the frames with the answer. It is no method, because
  it uses the ground truth; it says what perfect key frames would be worth.

Each answer is written to ``--rows`` when it is there, so a run that ended goes on where it was. The JSON has for each
row the share of right answers (Wilson) and the paired gain over ``bare`` (Newcombe), in total and by kind of question.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forest_weights import judged, read
from journal import Journal

from homeostat import Agent, TransformersModel
from homeostat.agent.events import Decide
from homeostat.agent.prompts import act_prompt
from homeostat.controllers import Candidate, Reconsider
from homeostat.controllers.decisions import Reminder
from homeostat.controllers.forest import CYBERV, answer_of
from homeostat.controllers.forest_fit import fit_weights
from homeostat.envs.harness import load_suite, newcombe_paired, wilson
from homeostat.envs.mobile_use import parse_action
from homeostat.envs.phone.recordings import RecordingEnv
from homeostat.envs.phone.recordings.evidence import evidence_of
from homeostat.errors import ActionError, PromptTooLong, UnparsableAction
from homeostat.sensors import AttentionDrift, Confidence, Repetition, Sensor

MOST_SHOWN = 5  # frames that are shown once more


@dataclass
class Row:
    """A way to answer: the controllers and the sensors that they hear."""

    controllers: Sequence[Reconsider] = ()
    sensors: Sequence[Sensor] = field(default_factory=tuple)


def fitted_weights(model: TransformersModel, split: str, questions: int, seed: int) -> dict[str, float]:
    """The weights of the forest's trees that tell right from wrong answers best: eight answers to each question."""
    env, trees, labels = RecordingEnv(split=split), list[Mapping[str, float]](), list[bool]()
    for case in load_suite("recording", split=split, episodes=questions, seed=seed).cases():
        info, seen = env.reset_task(case.task, seed=case.seed), env.observe()
        prompt = act_prompt(model.style, goal=info.goal, rules=(), history=(), observation=seen)
        attempts = [*model.generate(prompt), *model.generate(prompt, n=7, temperature=1.0, seed=case.seed)]
        candidates = [read(model, prompt, attempt, info.goal, seen) for attempt in attempts]
        right = answer_of(Candidate(text="", action=env.oracle()), ())
        if (verdict := judged(candidates, (), CYBERV)) is not None:
            trees += verdict.trees
            labels += [answer_of(candidate, ()) == right for candidate in candidates]
    print(f"{sum(labels)} of {len(labels)} answers are right")
    return fit_weights(trees, labels)


def rows_of(weights: dict[str, float] | None = None) -> dict[str, Row]:
    strict = (Confidence.cyberv_probability(), AttentionDrift.cyberv(), Repetition.cyberv())
    ours = (Confidence(), AttentionDrift(), Repetition.cyberv())
    vote: dict[str, Any] = {"when": "always", "n": 8, "temperature": 1.0}
    forest = Reconsider.one_prompt()
    fitted = {"fitted forest": Row((forest.model_copy(update={"weights": weights}),), ours)} if weights else {}
    return {
        "bare": Row(),
        "cyberv": Row((Reconsider.cyberv(),), strict),
        "our forest": Row((forest,), ours),
        **fitted,
        "majority": Row((Reconsider(name="majority", weights={"rep": 1.0}, rounds=0, theta=0.0, **vote),), ours),
        "second look": Row((Reconsider(name="second-look", theta=1.0, **vote),), ours),
    }


def played(model: TransformersModel, row: Row, env: RecordingEnv, task: str, seed: int) -> dict[str, Any]:
    """Answers a question in the agent's loop."""
    info = env.reset_task(task, seed=seed)
    begun = time.process_time()
    run, shown = Agent(model, row.sensors, row.controllers).start(info, env), set[int]()
    with contextlib.suppress(PromptTooLong):  # too many frames shown again: no answer, which is a wrong one
        for event in run:
            if isinstance(event, Decide) and isinstance(event.decision, Reminder):
                shown |= {int(label.removeprefix("frame-")) - 1 for label in event.decision.show}
    return {
        "right": bool(env.success()),
        "seconds": round(time.process_time() - begun, 2),
        "shown": sorted(shown),
    }


def looked(model: TransformersModel, env: RecordingEnv, task: str, seed: int) -> dict[str, Any]:
    """Answers a question while the frames that show the answer are shown once more."""
    info = env.reset_task(task, seed=seed)
    assert env.question is not None
    frames = sorted({e.frame for e in evidence_of(env.question)})[:MOST_SHOWN]
    named = ", ".join(f"frame {f + 1}" for f in frames)
    seen, begun = env.observe(), time.process_time()
    prompt = act_prompt(
        model.style,
        goal=info.goal,
        rules=(),
        history=(),
        observation=seen,
        reminder=f"look again at {named} before you answer.",
        shown=[f"frame-{f + 1}" for f in frames],
    )
    with contextlib.suppress(PromptTooLong, UnparsableAction, ActionError):  # no answer is a wrong answer
        (attempt,) = model.generate(prompt)
        env.act(parse_action(attempt.text, model.style.grid(seen)))
    return {
        "right": bool(env.success()),
        "seconds": round(time.process_time() - begun, 2),
        "tokens": 0,
        "shown": frames,
    }


def summed(rows: list[dict[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """The figures of every row, over the questions that all rows have answered."""
    by = {name: {(r["task"], r["seed"]): r for r in rows if r["row"] == name} for name in names}
    common = sorted(set.intersection(*(set(b) for b in by.values())))
    kinds = {"all": common} | {t: [c for c in common if c[0] == t] for t in sorted({c[0] for c in common})}
    found: dict[str, Any] = {}
    for name in names:
        figures: dict[str, Any] = {}
        for kind, cases in kinds.items():
            pairs = [(by["bare"][c]["right"], by[name][c]["right"]) for c in cases]
            counts = [pairs.count(p) for p in ((True, True), (False, True), (True, False), (False, False))]
            figures[kind] = {
                "right": wilson(sum(after for _, after in pairs), len(pairs)).as_dict(),
                "gain": newcombe_paired(*counts).as_dict(),
            }
        mine = [by[name][c] for c in common]
        figures["seconds"] = round(sum(r["seconds"] for r in mine) / max(len(mine), 1), 2)
        figures["looked_again"] = sum(bool(r["shown"]) for r in mine)
        found[name] = figures
    return {"questions": len(common), "rows": found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="homeostat/nano-recordings", help="The model's name or folder.")
    parser.add_argument("--split", default="test", help="The words and phrasings: dev or test.")
    parser.add_argument("--questions", type=int, default=200, help="The number of questions.")
    parser.add_argument("--seed", type=int, default=1, help="Which questions.")
    parser.add_argument("--only", default="", help="Only these rows, separated by commas.")
    parser.add_argument("--dtype", default="float32", help="The precision of the weights.")
    parser.add_argument("--fit", type=Path, help="Only fit the forest's weights, on dev questions; write them here.")
    parser.add_argument("--weights", type=Path, help="The fitted weights, for the row 'fitted forest'.")
    parser.add_argument("--rows", type=Path, help="The finished answers, as JSON lines.")
    parser.add_argument("--json", type=Path, help="Write the figures here.")
    args = parser.parse_args()
    model = TransformersModel.load(args.model, dtype=args.dtype)
    if args.fit is not None:
        weights = fitted_weights(model, "dev", args.questions, args.seed)
        args.fit.write_text(json.dumps(weights, indent=1) + "\n", encoding="utf-8")
        print(json.dumps(weights))
        return
    if args.rows is None or args.json is None:
        parser.error("give --rows and --json, or --fit")
    rows = rows_of(json.loads(args.weights.read_text(encoding="utf-8")) if args.weights else None)
    journal = Journal(args.rows)
    names = args.only.split(",") if args.only else [*rows, "evidence"]
    env = RecordingEnv(split=args.split)
    for case in load_suite("recording", split=args.split, episodes=args.questions, seed=args.seed).cases():
        for name in names:
            key = {"row": name, "task": case.task, "seed": case.seed}
            if journal.has(**key):
                continue
            at = (env, case.task, case.seed)
            journal.add(key | (looked(model, *at) if name == "evidence" else played(model, rows[name], *at)))
    figures = {"split": args.split, "seed": args.seed} | summed(journal.rows, names)
    for name, row in figures["rows"].items():
        print(name, row["seconds"], row["looked_again"], json.dumps({k: v for k, v in row.items() if k == "all"}))
    args.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
