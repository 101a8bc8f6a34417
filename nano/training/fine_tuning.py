"""Fine-tunes a trained embedded model on batches of screens, and reports its answers to held-out questions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from homeostat.agent.models.precision import autocast
from homeostat.nano.checkpoints import save_model
from homeostat.nano.data.packing import Batch, Packer
from homeostat.nano.model import layers_of
from homeostat.nano.training.attention_watch import AttentionWatch
from homeostat.nano.training.evaluation import answers
from homeostat.nano.training.loop import Budget, Progress, compile_layers, mean, training_steps, write_log
from homeostat.nano.training.losses import losses, weighted
from homeostat.nano.training.optimisers import Optimisers

__all__ = ["fine_tune"]

_WARM_UP = 20  # steps in which the learning rate rises
_REPORT, _SAVE = 100, 500  # steps between two reports, and between two saved models


def fine_tune(
    model: Any,
    processor: Any,
    out: Path,
    batches: Iterator[Batch],
    held: Mapping[str, tuple[Sequence[Batch], str]],
    *,
    minutes: float,
    rate: float,
    max_steps: int | None = None,
    attention_steps: int = 0,
) -> dict[str, float]:
    """Trains on ``batches``, with a learning rate that falls to 0, and writes the model folder.

    Args:
        model: The model in training mode. It ends in evaluation mode.
        processor: The model's processor.
        out: The model folder.
        batches: Training batches, at least as many as steps.
        held: Name -> held-out batches, and the kind of question that is counted in them.
        minutes: The time budget.
        rate: The peak learning rate.
        max_steps: The most steps. None: as many as the time allows.
        attention_steps: Steps between two measurements of attention entropy and logits, which go to the folder's
            ``attention.jsonl``; 0 for none.

    Returns:
        For every name in ``held`` the share of right answers, and the mean answer loss over the first ten steps
        (``loss_first``) and the last ten (``loss_last``).

    Raises:
        ConfigError: If ``minutes`` is not above 0.
    """
    budget, optimisers = Budget(minutes, max_steps), Optimisers(model)
    places = torch.tensor(Packer(processor).places(), device=model.device)
    answer_losses = list[torch.Tensor]()

    def loss(progress: Progress) -> torch.Tensor:
        batch = next(batches).to(model.device)
        with autocast(model.device):
            parts = losses(model, batch, places, read_only=False)
        answer_losses.append(parts["answer"].detach())
        return weighted(parts)

    def learning_rate(progress: Progress) -> float:
        return rate * min(1.0, (progress.new + 1) / _WARM_UP) * (1 - progress.share)

    out.mkdir(parents=True, exist_ok=True)
    if max_steps is None:
        compile_layers(layers_of(model), model.device.type)
    watch = AttentionWatch(model, out, attention_steps)
    for progress in training_steps(loss, optimisers, budget, learning_rate, watch.around):
        if progress.new and progress.new % _SAVE == 0:
            save_model(out, model, processor)
        if progress.new and progress.new % _REPORT == 0:
            write_log(out, budget, progress.step, {"answer": mean(answer_losses[-100:])})
    model.eval()
    figures = {"loss_first": mean(answer_losses[:10]), "loss_last": mean(answer_losses[-10:])}
    for name, (kept, kind) in held.items():
        if kept and (found := answers(model, list(kept), places)[kind]):
            figures[name] = sum(found) / len(found)
    write_log(out, budget, progress.step, figures)
    save_model(out, model, processor)
    return figures
