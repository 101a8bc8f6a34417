"""Measures attention entropy and logits in the training loop of the embedded models.

The equivalent of :class:`homeostat.alignment.stability.callback.StabilityCallback` for a loop without callbacks. Values
go to ``attention.jsonl`` in the model's folder, one line for each measured step; warnings go to stderr.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from homeostat.alignment.stability.measurement import measuring
from homeostat.alignment.stability.watch import StabilityWatch
from homeostat.nano.training.loop import Progress

__all__ = ["AttentionWatch"]


class AttentionWatch:
    """Measures one training step in so many. Pass :meth:`around` to :func:`~homeostat.nano.training.training_steps`.

    A measured step has the same loss and the same gradients as any other, up to the rounding of compiled layers, which
    run uncompiled in it.

    Attributes:
        stability: Remembers the measurements and warns; None if nothing is measured.
    """

    def __init__(self, model: Any, out: Path, every: int) -> None:
        """Creates the watch.

        Args:
            model: The model that is trained.
            out: The model's folder.
            every: The number of steps from one measurement to the next; 0 measures nothing.
        """
        self._model, self._file = model, out / "attention.jsonl"
        self.stability = StabilityWatch(every) if every else None

    @contextmanager
    def around(self, progress: Progress) -> Iterator[None]:
        """Measures the forward pass within the context, if the step is one to measure.

        Args:
            progress: The progress before the step.

        Yields:
            Nothing.
        """
        if self.stability is None or not self.stability.due(progress.step):
            yield
            return
        with measuring(self._model) as measured:
            yield
        if measured.entropy:  # the first stage trains the vision tower alone
            figures = self.stability.add(progress.step, measured)
            line = {"step": progress.step} | {name: round(value, 4) for name, value in figures.items()}
            with self._file.open("a") as file:
                file.write(json.dumps(line) + "\n")
