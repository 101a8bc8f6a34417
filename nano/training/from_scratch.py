"""Trains the embedded model from scratch, by behaviour cloning of the oracle's episodes on the phone.

    homeostat clone --out checkpoints/nano --minutes 140      # two CPU cores; minutes on a GPU

Notable choices:

- Stage 1 (1.5 % of the time): every patch predicts the two characters written on it and the token of its own place,
  through the projector and the language model's *own* embedding matrix. So a patch arrives at the language model as the
  sum of a word and a place. The loss stays on as a small auxiliary loss. Without it the model never learned to read.
- Later stages: questions about screens (``homeostat.nano.data.screens``), several to a screen
  (``homeostat.nano.data.packing``). At first most ask for pointing and reading, then most ask for actions, and at the
  end most ask for actions that depend on the screen itself (``homeostat.nano.training.stages``).
- Guided attention: three heads are supervised (``homeostat.nano.training.guidance``). Without it the model learned
  every fixed label, but hardly ever found a word that it had to look for.
- Muon for matrices and AdamW for the rest; bfloat16 autocast where that is faster; a learning rate that is constant at
  first and falls to 0 over the last 65 % of the time.
- Words of the dev and test vocabularies and templates of the dev and test splits are never drawn. The progress report
  uses dev words, and dev templates for ``new``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from homeostat.agent.models.precision import autocast
from homeostat.envs.phone.tasks.splits import templates_of
from homeostat.nano.checkpoints import save_model
from homeostat.nano.data.packing import Batch, Packer
from homeostat.nano.model import build_model, layers_of
from homeostat.nano.processor import build_processor
from homeostat.nano.training.attention_watch import AttentionWatch
from homeostat.nano.training.batches import PhoneBatches, in_background
from homeostat.nano.training.evaluation import held_out, report
from homeostat.nano.training.loop import Budget, Progress, compile_layers, training_steps, write_log
from homeostat.nano.training.losses import losses, weighted
from homeostat.nano.training.optimisers import Optimisers
from homeostat.nano.training.stages import Stage, stage_at

__all__ = ["train_from_scratch"]

_WARM_UP = 100  # steps in which the learning rate rises, also after resuming
_FALL_SHARE = 0.65  # the share of the time budget, at its end, in which the learning rate falls
_REPORT = 500  # steps between two reports; each also saves the run's state


class _StagedBatches:
    """The batches of the stage that the run is in. Each stage has data of its own."""

    def __init__(self, packer: Packer, seed: int, screens: int) -> None:
        self.packer, self.seed, self.screens = packer, seed, screens
        self._stage: Stage | None = None
        self._source: Iterator[Batch] = iter(())

    def next(self, stage: Stage, step: int) -> Batch:
        if stage != self._stage:
            data = PhoneBatches(self.packer, stage.mix, f"{self.seed} {stage.name} {step}", self.screens)
            self._stage, self._source = stage, in_background(data)
        return next(self._source)


def train_from_scratch(
    out: Path,
    *,
    minutes: float,
    seed: int,
    screens: int,
    width: int,
    layers: int,
    rate: float,
    resume: bool,
    attention_steps: int = 0,
) -> dict[str, float]:
    """Trains a new model and writes its folder.

    The folder also gets ``training.jsonl`` (the progress reports) and ``training.pt`` (the state to resume from).

    Args:
        out: The model folder.
        minutes: The time budget, including what an interrupted run has used.
        seed: Seeds the weights and the data.
        screens: Screens per batch.
        width: Hidden width of the vision tower and the text model.
        layers: Layers of the text model.
        rate: The peak learning rate.
        resume: Whether to continue from the folder's ``training.pt``, if there is one.
        attention_steps: Steps between two measurements of attention entropy and logits, which go to the folder's
            ``attention.jsonl``; 0 for none.

    Returns:
        The last report: shares of right answers by kind of question, on dev words. ``new`` is the share of right
        actions on dev templates.

    Raises:
        ConfigError: If ``minutes`` is not above 0.
    """
    torch.manual_seed(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    processor = build_processor()
    model = build_model(processor.tokenizer, width=width, layers=layers).to(device)
    optimisers, budget = Optimisers(model), Budget(minutes)
    packer, state = Packer(processor), out / "training.pt"
    places = torch.tensor(packer.places(), device=device)
    if resume and state.exists():
        saved = torch.load(state, map_location=device, weights_only=True)
        model.load_state_dict(saved["model"])
        optimisers.load(saved["optimisers"])
        budget = Budget(minutes, spent=saved["spent"], steps=saved["step"])
    compile_layers(layers_of(model), device.type)
    dev = held_out(packer, "dev", screens=128, seed="report")
    new = held_out(packer, "dev", screens=96, seed="new", templates=templates_of("dev"))
    batches = _StagedBatches(packer, seed, screens)

    def loss(progress: Progress) -> torch.Tensor:
        stage = stage_at(progress.share)
        batch = batches.next(stage, progress.step).to(device)
        with autocast(device):
            parts = losses(model, batch, places, read_only=stage.reads_only)
        return parts["read"] if stage.reads_only else weighted(parts)

    def learning_rate(progress: Progress) -> float:
        return rate * (min(1.0, (progress.new + 1) / _WARM_UP) * min(1.0, (1 - progress.share) / _FALL_SHARE))

    out.mkdir(parents=True, exist_ok=True)
    figures: dict[str, float] = {}
    watch = AttentionWatch(model, out, attention_steps)
    for progress in training_steps(loss, optimisers, budget, learning_rate, watch.around):
        if progress.done or progress.step % _REPORT == 0:
            figures = report(model, dev, places) | {"new": report(model, new, places)["act"]}
            write_log(out, budget, progress.step, {"stage": stage_at(progress.share).name, **figures})
            kept = {"model": model.state_dict(), "optimisers": optimisers.state()}
            torch.save(kept | {"step": progress.step, "spent": budget.seconds()}, state)
    save_model(out, model, processor)
    return figures
