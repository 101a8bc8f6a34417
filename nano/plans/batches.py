"""Plans as tokens: encodes goals with their plans and groups them into batches."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import IterableDataset

from homeostat.agent.prompts import PromptStyle, plan_prompt
from homeostat.envs.phone.tasks.rules import RULES
from homeostat.nano.plans.corpus import planning_examples
from homeostat.sensors.chat.rendering import Renderer

__all__ = ["PlanBatch", "PlanBatches", "PlanEncoder"]

_POOL = 16  # batches whose examples are sorted by length together


@dataclass
class PlanBatch:
    """B sequences of length L, padded on the right.

    Attributes:
        ids: (B, L) int64 token ids.
        labels: (B, L) int64: the next token if it belongs to a plan, else −100.
    """

    ids: torch.Tensor
    labels: torch.Tensor


class PlanEncoder:
    """Turns a goal and its plan into the tokens that the agent's own prompt gives.

    Args:
        tokenizer: The planner's tokenizer.
        style: The planner's prompts.
    """

    def __init__(self, tokenizer: Any, style: PromptStyle) -> None:
        self.tokenizer, self.style, self.renderer = tokenizer, style, Renderer(tokenizer)
        self.pad = tokenizer.pad_token_id

    def encode(self, goal: str, rules: Sequence[str], plan: str) -> tuple[list[int], list[int]]:
        """Encodes one example.

        Args:
            goal: The goal.
            rules: The texts of the rules in force.
            plan: The plan as JSON.

        Returns:
            The tokens of the prompt and those of the plan, which end with the end-of-turn token.
        """
        prompt = list(self.renderer.render(plan_prompt(self.style, goal=goal, rules=rules)).ids)
        reply: list[int] = self.tokenizer(plan + "<|end|>", add_special_tokens=False)["input_ids"]
        return prompt, reply

    def batch(self, rows: Sequence[tuple[list[int], list[int]]]) -> PlanBatch:
        """Pads encoded examples to one length, a multiple of 8.

        Args:
            rows: What ``encode`` returned.

        Returns:
            The batch.
        """
        length = -(-max(len(a) + len(r) for a, r in rows) // 8) * 8
        ids = torch.full((len(rows), length), self.pad)
        labels = torch.full((len(rows), length), -100)
        for i, (prompt, reply) in enumerate(rows):
            ids[i, : len(prompt) + len(reply)] = torch.tensor(prompt + reply)
            labels[i, len(prompt) - 1 : len(prompt) + len(reply) - 1] = torch.tensor(reply)
        return PlanBatch(ids, labels)


class PlanBatches(IterableDataset[PlanBatch]):
    """Batches of plans without end; the rows of a batch have similar lengths.

    Args:
        encoder: Encodes the examples.
        seed: Seeds the data.
        size: Plans per batch.
    """

    def __init__(self, encoder: PlanEncoder, seed: int, size: int) -> None:
        self.encoder, self.seed, self.size = encoder, seed, size

    def __iter__(self) -> Iterator[PlanBatch]:
        """Yields batches without end."""
        rng = random.Random(f"plans {self.seed}")
        examples = planning_examples(rng)
        while True:
            rows = []
            for _ in range(_POOL * self.size):
                goal, plan = next(examples)
                rules = (rng.choice(RULES).text,) if rng.random() < 0.1 else ()
                rows.append(self.encoder.encode(goal, rules, plan))
            rows.sort(key=lambda row: len(row[0]) + len(row[1]))
            groups = [rows[i : i + self.size] for i in range(0, len(rows), self.size)]
            yield from map(self.encoder.batch, rng.sample(groups, len(groups)))
