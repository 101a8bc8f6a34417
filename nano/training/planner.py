"""Trains the embedded planner, which turns long goals into typed plans.

    homeostat clone --env plans --out checkpoints/planner --minutes 40

The planner is the executor's own language model without the vision tower, fine-tuned only on goals and their plans
(``homeostat.nano.plans.corpus``). Three held-out figures give the share of plans that are right to the last token:

- ``words``: goals with words of the dev vocabulary;
- ``templates``: goals with dev templates among the subtasks, whose sentences the planner never saw;
- ``scenes``: goals of hand-written patterns that are held out.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from homeostat.agent.models.precision import autocast
from homeostat.envs.phone.tasks.splits import templates_of
from homeostat.nano.checkpoints import save_model
from homeostat.nano.planner_model import build_planner
from homeostat.nano.plans.batches import PlanBatches, PlanEncoder
from homeostat.nano.plans.corpus import added_words, planning_examples
from homeostat.nano.style import PLANNER_STYLE
from homeostat.nano.training.attention_watch import AttentionWatch
from homeostat.nano.training.batches import in_background
from homeostat.nano.training.loop import Budget, Progress, compile_layers, mean, training_steps, write_log
from homeostat.nano.training.optimisers import Optimisers

__all__ = ["right_plans", "train_planner"]

_WARM_UP = 50  # steps in which the learning rate rises
_REPORT, _SAVE = 250, 1000  # steps between two reports, and between two saved models


def right_plans(model: Any, encoder: PlanEncoder, examples: Sequence[tuple[str, str]]) -> float:
    """Measures how many plans greedy decoding writes exactly.

    Teacher forcing decides it in one pass: a plan is right if each of its tokens is the likeliest after those before.

    Args:
        model: The planner.
        encoder: Encodes the examples.
        examples: (goal, plan as JSON).

    Returns:
        The share of right plans.
    """
    right = 0
    device = next(model.parameters()).device
    for first in range(0, len(examples), 32):
        batch = encoder.batch([encoder.encode(goal, (), plan) for goal, plan in examples[first : first + 32]])
        with torch.no_grad(), autocast(device):
            guess = model(input_ids=batch.ids.to(device)).logits.argmax(-1).cpu()
        right += int(((guess == batch.labels) | (batch.labels == -100)).all(-1).sum())
    return right / len(examples)


def _held_out(n: int) -> dict[str, list[tuple[str, str]]]:
    dev = templates_of("train") | templates_of("dev")
    sources = {
        "words": planning_examples(random.Random("dev"), "dev"),
        "templates": planning_examples(random.Random("new"), "dev", dev),
        "scenes": planning_examples(random.Random("scenes"), "dev", scenes="dev"),
    }
    return {name: [next(source) for _ in range(n)] for name, source in sources.items()}


def train_planner(
    start: str,
    out: Path,
    *,
    minutes: float,
    seed: int = 0,
    rate: float = 1e-3,
    size: int = 48,
    max_steps: int | None = None,
    workers: int = 1,
    attention_steps: int = 0,
) -> dict[str, float]:
    """Fine-tunes the language model of an embedded model on plans, and writes the planner's folder.

    Args:
        start: The name or folder of an embedded model, or of a planner to train further.
        out: The folder of the new planner.
        minutes: The time budget.
        seed: Seeds the data.
        rate: The peak learning rate.
        size: Plans per batch.
        max_steps: The most steps. None: as many as the time allows. A number also makes the held-out sets small.
        workers: Processes that prepare batches; 0 prepares them in this process.
        attention_steps: Steps between two measurements of attention entropy and logits, which go to the folder's
            ``attention.jsonl``; 0 for none.

    Returns:
        The held-out shares (see the module's docstring), and the mean loss over the first ten steps (``loss_first``)
        and the last ten (``loss_last``).

    Raises:
        ConfigError: If the model is not of the embedded kind, or ``minutes`` is not above 0.
    """
    budget = Budget(minutes, max_steps)
    torch.manual_seed(seed)
    model, tokenizer = build_planner(start)
    encoder, device = PlanEncoder(tokenizer, PLANNER_STYLE), next(model.parameters()).device
    words = added_words() if max_steps is None else added_words(500, 2)
    style = PLANNER_STYLE.model_copy(update={"planner_words": words})
    held = _held_out(256 if max_steps is None else 16)
    optimisers = Optimisers(model)
    if max_steps is None:
        compile_layers(model.model.layers, device.type)
    batches = in_background(PlanBatches(encoder, seed, size), workers)
    history = list[torch.Tensor]()

    def loss(progress: Progress) -> torch.Tensor:
        batch = next(batches)
        labels = batch.labels.to(device)
        with autocast(device):
            hidden = model.model(input_ids=batch.ids.to(device), use_cache=False).last_hidden_state
            logits = model.lm_head(hidden[labels != -100])
        result = F.cross_entropy(logits.float(), labels[labels != -100])
        history.append(result.detach())
        return result

    def learning_rate(progress: Progress) -> float:
        return rate * min(1.0, (progress.new + 1) / _WARM_UP, 2 * (1 - progress.share))

    out.mkdir(parents=True, exist_ok=True)
    watch = AttentionWatch(model, out, attention_steps)
    for progress in training_steps(loss, optimisers, budget, learning_rate, watch.around):
        if progress.new and progress.new % _SAVE == 0:
            save_model(out, model, tokenizer, style)
        if progress.new and progress.new % _REPORT == 0:
            shares = {name: right_plans(model, encoder, examples[:128]) for name, examples in held.items()}
            write_log(out, budget, progress.step, {"loss": mean(history[-100:])} | shares)
    model.eval()
    figures = {name: right_plans(model, encoder, examples) for name, examples in held.items()}
    figures |= {"loss_first": mean(history[:10]), "loss_last": mean(history[-10:])}
    write_log(out, budget, progress.step, figures)
    save_model(out, model, tokenizer, style)
    return figures
