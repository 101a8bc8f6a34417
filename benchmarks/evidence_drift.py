"""Measures drift on recorded conversations of tau-bench: does a model move away from its policy, turn by turn?

    python benchmarks/evidence_drift.py --data gpt-4o-airline.json --model FOLDER:40 --model FOLDER:20 \
        --dtype bfloat16 --out runs/drift --json docs/evidence/drift.json --plot docs/plots/drift_by_turn.png

The assistant's turns are those of the recording; each model is *teacher-forced* on them. Before each turn, the model
is asked twice for its distributions over the turn's tokens: as the conversation is (q), and with the policy's general
rules (its first section) shown again at the end of the prompt (p), worded as ``Remind`` words a reminder. For each
turn, over its first ``--tokens`` tokens:

- ``drift``: KL(q ‖ p), as in "Drift No More?" (arXiv 2510.07777) with the model itself as the reference, and
  ``reverse``: KL(p ‖ q); both in nats, the mean over the tokens;
- ``gain``: the mean of log p − log q of the recorded tokens: above 0, the reminder makes GPT-4o's turn more likely;
- ``mass`` and ``intensity`` of every span, over all heads and the tokens (``attention_drift.intensities``).

*The whole policy*: at the turns ``--whole`` of the first ``--whole-count`` conversations, the same with all of the
policy shown again, which takes five times as long.

*The pulse*: in the first ``--pulses`` conversations, a second history holds the reminder at turn ``--pulse`` only, and
keeps it. ``pulse.drift`` is KL(q' ‖ p) of this history at that turn and at the next ones, against the same p. At the
pulse's own turn it is 0, because both prompts are then the same.

*Free continuations*: at the first call of a reading tool and at the turn where GPT-4o asks the user to confirm the
first update of the booking database, the model writes a turn itself, with and without the reminder. An updating call
before the confirmation breaks the policy.

*Role adherence*: a judge, ``--judge``, gives CRAS scores (``homeostat.sensors.RoleAdherence``) to recorded turns, and
to turns of another conversation in their places, which a judge that can judge scores lower. Its answer is held to a
JSON schema of four numbers, because models of this size write no such JSON by themselves.

The rows of each conversation are written to ``--out`` when it is finished; started again, the command goes on. With
``--tables``, it measures nothing more and computes the figures of the rows that are there. The JSON's figures come from
``drift_tables.py``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from drift_judge import judged
from drift_plot import plot
from drift_tables import tables
from journal import Journal
from tau_bench import WRITES, Trajectory, chosen, read_trajectories, tools_of, verdict

from homeostat import TransformersModel
from homeostat.agent.prompts import conversation_prompt
from homeostat.conversation import ToolSpec
from homeostat.errors import ConfigError
from homeostat.sensors import Prompt, Spans, watch
from homeostat.sensors.attention_drift import intensities

LABELS = {"system": "policy", "reminder": "reminder", "tools": "tools", "goal": "goal", "user": "user"}


@dataclass(frozen=True)
class Forced:
    """A turn's distributions and attention under one prompt.

    Attributes:
        logprobs: (T, V) natural-log probabilities at the turn's tokens.
        mass: By label, the attention mass over all heads and tokens.
        intensity: By label, the attention intensity.
        prompt: The number of the prompt's tokens.
    """

    logprobs: torch.Tensor
    mass: dict[str, float]
    intensity: dict[str, float]
    prompt: int


def forced(model: TransformersModel, prompt: Prompt, tokens: Sequence[int]) -> Forced:
    """Forces a turn after a prompt; what the model's cache holds of the prompt is not run again."""
    spans = model.renderer.render(prompt).as_spans()
    merged: dict[str, list[tuple[int, int]]] = {}
    for label in spans:
        group = "tool" if label.startswith("tool.") else LABELS.get(label, label)
        merged.setdefault(group, []).extend(spans[label])
    with watch(model.model, sinks=False, rows=1) as probe:
        probe.start(Spans(merged, length=spans.length))
        scores = model.score(prompt, tokens)
        mass, level = intensities(probe.result())
    return Forced(torch.from_numpy(scores), mass, level, spans.length or 0)


def divergence(q: torch.Tensor, p: torch.Tensor) -> float:
    """KL(q ‖ p) in nats, the mean over the tokens; (T, V) log-probabilities."""
    return float(torch.nn.functional.kl_div(p, q, reduction="none", log_target=True).sum(-1).clamp(min=0).mean())


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        turns: The assistant's turns of each conversation.
        tokens: The first tokens of each turn that are measured.
        whole: The turns at which the whole policy is shown again, from 0.
        pulse: The turn of the pulse, from 0.
        horizon: The turns measured after the pulse, its own included.
        new_tokens: The most tokens of a free continuation.
    """

    turns: int
    tokens: int
    whole: tuple[int, ...]
    pulse: int
    horizon: int
    new_tokens: int


def compared(q: torch.Tensor, p: torch.Tensor, tokens: Sequence[int]) -> dict[str, float]:
    """Both divergences of the reminded distributions p from the plain ones q, and the gain of the recorded tokens."""
    at = torch.arange(len(tokens)), torch.tensor(tokens)
    return {"drift": divergence(q, p), "reverse": divergence(p, q), "gain": float((p[at] - q[at]).mean())}


class Conversations:
    """One model on recorded conversations."""

    def __init__(self, model: TransformersModel, tools: Sequence[ToolSpec], plan: Plan):
        self.model, self.tools, self.plan = model, tools, plan
        # The history with the pulse has a cache of its own, so that neither history crops the other's.
        self.pulsed = TransformersModel(model.model, model.processor, name=model.name, style=model.style)

    def prompt(self, trajectory: Trajectory, answer: int, reminder: str = "") -> Prompt:
        """The prompt in front of one of the assistant's turns."""
        return conversation_prompt(
            self.model.style.conversation,
            goal=trajectory.goal,
            rules=(),
            conversation=trajectory.before(trajectory.answers[answer], self.tools),
            reminder=reminder,
            native="tools" in self.model.capabilities,
        )

    def later(self, trajectory: Trajectory, answer: int) -> Prompt:
        """The prompt in front of a turn, with the reminder at the pulse's turn and nowhere else."""
        before = self.prompt(trajectory, self.plan.pulse)
        reminded = self.prompt(trajectory, self.plan.pulse, trajectory.rules)
        rest = self.prompt(trajectory, answer).messages[len(before.messages) :]
        return Prompt((*reminded.messages, *rest), tools=before.tools)

    def tokens(self, trajectory: Trajectory) -> list[list[int]]:
        """The first tokens of the assistant's turns; a short turn has the token that ends it, too."""
        last = min(self.plan.turns, len(trajectory.answers))
        whole = trajectory.before(trajectory.answers[last - 1] + 1, self.tools)
        prompt = conversation_prompt(
            self.model.style.conversation,
            goal=trajectory.goal,
            rules=(),
            conversation=whole,
            native="tools" in self.model.capabilities,
        )
        ids = self.model.renderer.render(prompt).ids
        found = []
        for answer in range(last):
            before = self.model.renderer.render(self.prompt(trajectory, answer)).ids
            if ids[: len(before)] != before:
                raise ConfigError(f"{self.model.name!r}: turn {answer} changes its own prompt; use another template")
            end = next(n for n in range(len(before), len(ids)) if ids[n] in self.model.stops)
            found.append(ids[len(before) : end + 1][: self.plan.tokens])
        return found

    def length(self, trajectory: Trajectory) -> int:
        """The tokens of the longest prompt."""
        last = min(self.plan.turns, len(trajectory.answers)) - 1
        return len(self.model.renderer.render(self.prompt(trajectory, last, trajectory.rules)).ids)

    def measure(self, trajectory: Trajectory, *, whole: bool, pulse: bool, continued: bool) -> dict[str, Any]:
        """Everything of one conversation."""
        begun, plan = time.process_time(), self.plan
        wanted = self.free_turns(trajectory) if continued else {}
        rows, texts = [], []
        after: dict[str, Any] = {"at": plan.pulse, "drift": [], "policy": [], "reminder": []}
        for answer, tokens in enumerate(self.tokens(trajectory)):
            plain, again = self.prompt(trajectory, answer), self.prompt(trajectory, answer, trajectory.rules)
            complete = None
            if whole and answer in plan.whole:
                complete = self.scored(self.prompt(trajectory, answer, trajectory.policy), tokens)
            # The reminded prompts first: the plain one then continues from what all share.
            reminded = self.scored(again, tokens)
            if answer in wanted:
                texts.append(self.continued(again, wanted[answer], "reminded"))
            bare = forced(self.model, plain, tokens)
            if answer in wanted:
                texts.append(self.continued(plain, wanted[answer], "bare"))
            rows.append(
                {
                    "call": bool(trajectory.turns[trajectory.answers[answer]].calls),
                    "tokens": len(tokens),
                    "prompt": bare.prompt,
                    "mass": {label: round(value, 6) for label, value in bare.mass.items()},
                    "intensity": {label: round(value, 5) for label, value in bare.intensity.items()},
                    **compared(bare.logprobs, reminded, tokens),
                    "whole": None if complete is None else compared(bare.logprobs, complete, tokens),
                }
            )
            if pulse and plan.pulse <= answer < plan.pulse + plan.horizon:
                late = forced(self.pulsed, self.later(trajectory, answer), tokens)
                after["drift"].append(divergence(late.logprobs, reminded))
                after["policy"].append(late.mass["policy"])
                after["reminder"].append(late.mass["reminder"])
        return {
            "name": trajectory.name,
            "task": trajectory.task,
            "reward": trajectory.reward,
            "turns": rows,
            "pulse": after if pulse else None,
            "continued": texts,
            "cpu_seconds": round(time.process_time() - begun, 1),
        }

    def scored(self, prompt: Prompt, tokens: Sequence[int]) -> torch.Tensor:
        """(T, V) log-probabilities of a turn, without attention."""
        return torch.from_numpy(self.model.score(prompt, tokens))

    def free_turns(self, trajectory: Trajectory) -> dict[int, str]:
        """The turns that the model writes itself, and what is counted there."""
        found: dict[int, str] = {}
        for answer, at in enumerate(trajectory.answers[: self.plan.turns]):
            calls = trajectory.turns[at].calls
            if calls and calls[0].tool not in WRITES:
                found[answer] = "first call"
                break
        asked = trajectory.confirmation()
        if asked is not None and asked < self.plan.turns:
            found[asked] = "before the confirmation"
        return found

    def continued(self, prompt: Prompt, kind: str, arm: str) -> dict[str, Any]:
        """A turn in the model's own words, and what it does."""
        attempt = self.model.generate(prompt, watch=False, max_new_tokens=self.plan.new_tokens)[0]
        return {"kind": kind, "arm": arm, "text": attempt.text} | verdict(attempt.text, self.tools)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="tau-bench's JSON file of episodes")
    parser.add_argument(
        "--model", action="append", required=True, help="FOLDER or FOLDER:CONVERSATIONS; may be given again"
    )
    parser.add_argument("--dtype", default=None, help="for example bfloat16")
    parser.add_argument("--out", type=Path, required=True, help="the folder of the finished rows")
    parser.add_argument("--turns", type=int, default=10, help="the assistant's turns of each conversation")
    parser.add_argument("--tokens", type=int, default=32, help="the first tokens of each turn that are measured")
    parser.add_argument("--longest", type=int, default=5000, help="the most tokens of a prompt")
    parser.add_argument("--whole", default="1,10", help="turns at which the whole policy is shown again, from 1")
    parser.add_argument("--whole-count", type=int, default=6, help="conversations with the whole policy")
    parser.add_argument("--pulse", type=int, default=4, help="the assistant's turn of the pulse, from 1")
    parser.add_argument("--horizon", type=int, default=6, help="turns measured after the pulse, its own included")
    parser.add_argument("--pulses", type=int, default=16, help="conversations with the pulse")
    parser.add_argument("--continued", type=int, default=6, help="conversations with free continuations")
    parser.add_argument("--new-tokens", type=int, default=48, help="the most tokens of a free continuation")
    parser.add_argument("--judge", default="", help="the model that scores role adherence; none if left out")
    parser.add_argument("--judged", type=int, default=8, help="conversations that the judge reads")
    parser.add_argument("--tables", action="store_true", help="measure nothing more; compute the figures of --out")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--plot", type=Path, help="write the plot here")
    args = parser.parse_args()
    trajectories = read_trajectories(args.data)
    tools = tools_of(trajectories)
    places = tuple(int(turn) - 1 for turn in args.whole.split(",") if turn)
    plan = Plan(args.turns, args.tokens, places, args.pulse - 1, args.horizon, args.new_tokens)
    if plan.pulse + plan.horizon > plan.turns:
        raise ConfigError(f"turns={plan.turns} end before the pulse's last turn; pass {plan.pulse + plan.horizon}")
    found: dict[str, list[dict[str, Any]]] = {}
    drawn: list[Trajectory] = []
    for given in args.model:
        name, _, count = given.partition(":")
        folder = Path(name).expanduser()
        model = TransformersModel.load(str(folder) if folder.exists() else name, "cpu", args.dtype)
        talks = Conversations(model, tools, plan)
        most = min(args.longest, model.context or args.longest)
        drawn = chosen(trajectories, args.turns, lambda t: talks.length(t) <= most, int(count or 40))  # noqa: B023
        print(f"{folder.name}: {len(drawn)} conversations of {len({t.task for t in drawn})} tasks", flush=True)
        journal = Journal(args.out / f"{folder.name}.jsonl")
        for number, one in enumerate(drawn):
            if args.tables or journal.has(name=one.name):
                continue
            parts = (number < part for part in (args.whole_count, args.pulses, args.continued))
            row = talks.measure(one, **dict(zip(("whole", "pulse", "continued"), parts, strict=True)))
            journal.add(row)
            print(f"{folder.name} {number + 1}: {row['cpu_seconds']} s", flush=True)
        names = {one.name for one in drawn}
        found[folder.name] = [row for row in journal.rows if row["name"] in names]
    scores = Journal(args.out / "judged.jsonl")
    if args.judge and not args.tables:
        judge = TransformersModel.load(str(Path(args.judge).expanduser()), "cpu", args.dtype)
        judged(judge, drawn[: args.judged], args.turns, scores)
    result = tables(found, scores.rows)
    print(json.dumps({name: part["summary"] for name, part in result["models"].items()}, indent=1))
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    if args.plot:
        plot(result, args.plot)


if __name__ == "__main__":
    main()
