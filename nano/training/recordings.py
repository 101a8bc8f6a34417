"""Trains an edition that answers questions about screen recordings.

    homeostat clone --env recording --out checkpoints/watching --minutes 60
    homeostat clone --env recording --from checkpoints/watching --out checkpoints/more --minutes 60

Notable choices:

- The edition has weights of its own, and its batches hold nothing but recordings. It forgets how to operate a phone.
- The vision tower, the projector and the embeddings stay as they are: the model that it starts from reads screens.
- In the first part of the training, an example holds a few adjacent frames, just enough for its questions. Attention is
  cheaper there, and there is less to look through. The last part shows nearly whole recordings.
- The learning rate is high, and it has to fall: at its peak, 4 of 40 dev questions were answered right; at the end, 65
  of 140. In the second run, the answers' loss stayed at 1.5 for 350 steps and fell to 1.2 with the rate
  (``nano/logs/recordings.jsonl``).
- Heads are guided, because answers alone teach too little in a few thousand recordings: to the patches that show a
  word, from an app's title to that of the app before it, to the patches that show the answer, and to the right option.
  An order needs two more: from the answer to the app that the question is about, and from there to that app's title.
  For a count, one head shares its attention equally among the beginning of the text and the n things to be counted, so
  that the beginning's share of 1 / (n + 1) tells the number.
"""

from __future__ import annotations

import copy
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import IterableDataset

from homeostat.agent.models.precision import autocast
from homeostat.nano.checkpoints import load_embedded, save_model
from homeostat.nano.data.packing import Packer
from homeostat.nano.data.recording_rows import RecordingRow, encode_recording
from homeostat.nano.data.recordings import recording_examples
from homeostat.nano.style import STYLE
from homeostat.nano.training.batches import in_background
from homeostat.nano.training.loop import Budget, Progress, mean, training_steps, write_log
from homeostat.nano.training.optimisers import Optimisers
from homeostat.nano.training.recording_losses import WEIGHTS, image_features, recording_losses, right_answers

__all__ = ["train_recordings"]

_WINDOWS, _MOST = (6, 10), 27  # the frames of an example in the first part and in the last, and the most of any
_LAST_PART = 0.68  # the share of the budget after which the last part begins
_KEPT = 0.15  # the share of patches without text that the model sees
_WARM_UP, _FALL = 20, 1.6  # steps in which the rate rises; it begins to fall after 1 - 1 / 1.6 of the budget
_REPORT, _SAVE = 25, 250  # steps between two reports, and between two saved models
_DEV = 160  # held-out questions


class _Rows(IterableDataset[RecordingRow]):
    """Recordings without end, with their image features."""

    def __init__(self, model: Any, packer: Packer, seed: str, window: int) -> None:
        self.model, self.packer, self.seed, self.window = copy.deepcopy(model).eval(), packer, seed, window

    def __iter__(self) -> Iterator[RecordingRow]:
        rng = random.Random(self.seed)
        for example in recording_examples(rng, STYLE, most=_MOST, window=self.window):
            row = encode_recording(self.packer, example)
            with autocast(self.model.device):
                seen = image_features(self.model, row.to(self.model.device)).to(torch.bfloat16).cpu()
            yield replace(row, seen=seen, pixels=row.pixels[:0])


def train_recordings(
    start: str,
    out: Path,
    *,
    minutes: float,
    seed: int = 0,
    rate: float = 1.5e-3,
    recordings: int = 2,
    max_steps: int | None = None,
    workers: int = 1,
) -> dict[str, float]:
    """Trains an edition of an embedded model for questions about recordings, and writes its folder.

    Args:
        start: The name or folder of the model to start from.
        out: The folder of the new model.
        minutes: The time budget.
        seed: Seeds the data.
        rate: The peak learning rate.
        recordings: Recordings per step.
        max_steps: The most steps. None: as many as the time allows. A number also makes the held-out set small.
        workers: Processes that prepare recordings; 0 prepares them in this process.

    Returns:
        The share of right answers on dev words and phrasings, of whole recordings: ``watch``, and for each kind of
        question. Also the mean answer loss over the first ten recordings (``loss_first``) and the last ten
        (``loss_last``).

    Raises:
        ConfigError: If the model is not of the embedded kind, or ``minutes`` is not above 0.
    """
    torch.manual_seed(seed)
    budget = Budget(minutes, max_steps)
    model, processor = load_embedded(start)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("language_model.layers" in name or "language_model.norm" in name)
    packer, optimisers, losses = Packer(processor), Optimisers(model), defaultdict[str, list[torch.Tensor]](list)
    dev = recording_examples(random.Random("dev"), STYLE, "dev", further=0)
    held = [encode_recording(packer, next(dev)) for _ in range(_DEV if max_steps is None else 4)]
    streams: dict[int, Iterator[RecordingRow]] = {}

    def stream(part: int) -> Iterator[RecordingRow]:
        if part not in streams:
            streams.clear()
            rows = _Rows(model, packer, f"watching {seed} {part}", _WINDOWS[part])
            streams[part] = iter(in_background(rows, workers))
        return streams[part]

    def loss(progress: Progress) -> torch.Tensor:
        total = torch.zeros((), device=model.device)
        for _ in range(recordings):
            part = int(progress.share >= _LAST_PART)
            row = next(stream(part)).to(model.device)
            with autocast(model.device):
                found = recording_losses(model, row, _KEPT)
            for name, value in found.items():
                losses[name].append(value.detach())
            total = total + torch.stack([WEIGHTS[name] * value for name, value in found.items()]).sum() / recordings
        return total

    def learning_rate(progress: Progress) -> float:
        return rate * min(1.0, (progress.new + 1) / _WARM_UP) * min(1.0, _FALL * (1 - progress.share))

    out.mkdir(parents=True, exist_ok=True)
    for progress in training_steps(loss, optimisers, budget, learning_rate):
        if progress.new and progress.new % _REPORT == 0:
            write_log(out, budget, progress.step, {k: mean(v[-recordings * _REPORT :]) for k, v in losses.items()})
        if progress.new and progress.new % _SAVE == 0:
            save_model(out, model, processor)
    model.eval()
    figures = {"loss_first": mean(losses["answer"][:10]), "loss_last": mean(losses["answer"][-10:])}
    figures |= _shares(model, held)
    write_log(out, budget, progress.step, figures)
    save_model(out, model, processor)
    return figures


def _shares(model: Any, rows: Sequence[RecordingRow]) -> dict[str, float]:
    """The shares of right answers, of all and by kind."""
    found = defaultdict[str, list[bool]](list)
    for row in rows:
        with autocast(model.device):
            answers = right_answers(model, row.to(model.device))
        for kind, right in zip(row.kinds, answers, strict=True):
            found["watch"].append(right)
            found[kind].append(right)
    return {name: sum(rights) / len(rights) for name, rights in found.items()}
