"""The training loop that every recipe uses: learning rate, backward pass, optimiser step, until the time is over.

A recipe iterates over ``training_steps``. The loop pauses before every step, so that the recipe can report, save and
stop in its own code, and needs no callbacks::

    for progress in training_steps(loss, optimisers, budget, learning_rate):
        if progress.step % 500 == 0:
            save(...)
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
import typer

from homeostat.agent.models.precision import bfloat16_is_quick
from homeostat.errors import ConfigError
from homeostat.nano.training.optimisers import Optimisers

__all__ = ["Budget", "Progress", "compile_layers", "mean", "training_steps", "write_log"]


@dataclass(frozen=True)
class Progress:
    """How far a run has come.

    Attributes:
        step: The number of finished steps, including those before the run was resumed.
        new: The number of finished steps since the run was started or resumed.
        share: The share of the time budget that is used up, from 0. It exceeds 1 after the last step.
        done: Whether the run ends here.
    """

    step: int
    new: int
    share: float
    done: bool


class Budget:
    """The time that a run may take. It begins with the first call of ``progress``.

    Args:
        minutes: The time budget, including what an interrupted run has already used.
        max_steps: The most steps that this run does. None: as many as the time allows.
        spent: Seconds that the interrupted run has used.
        steps: Steps that the interrupted run has done.

    Raises:
        ConfigError: If ``minutes`` is not above 0.
    """

    def __init__(self, minutes: float, max_steps: int | None = None, *, spent: float = 0.0, steps: int = 0) -> None:
        if minutes <= 0:
            raise ConfigError(f"minutes {minutes!r} is not above 0; give a time budget")
        self.minutes, self.max_steps, self.steps = minutes, max_steps, steps
        self._spent = spent
        self._begun: float | None = None

    def progress(self, new: int) -> Progress:
        """Measures how far the run has come, and starts the clock at the first call.

        Args:
            new: Steps that this run has done.

        Returns:
            The progress.
        """
        if self._begun is None:
            self._begun = time.monotonic() - self._spent
        share = self.seconds() / (60 * self.minutes)
        done = share >= 1 or (self.max_steps is not None and new >= self.max_steps)
        return Progress(self.steps + new, new, share, done)

    def seconds(self) -> float:
        """Returns the time used so far, including that of an interrupted run.

        Returns:
            Seconds.
        """
        return self._spent if self._begun is None else time.monotonic() - self._begun


def training_steps(
    loss: Callable[[Progress], torch.Tensor],
    optimisers: Optimisers,
    budget: Budget,
    rate: Callable[[Progress], float],
    around: Callable[[Progress], AbstractContextManager[None]] = lambda progress: nullcontext(),
) -> Iterator[Progress]:
    """Trains until the budget is used up.

    Args:
        loss: Computes the loss of the next batch.
        optimisers: The optimisers of the model.
        budget: The time, and perhaps the number of steps, that the run may take.
        rate: Returns the learning rate of the next step.
        around: Gives the context in which the loss of the next step is computed, such as one that measures attention
            (:class:`homeostat.nano.training.attention_watch.AttentionWatch`).

    Yields:
        The progress before every step, and once more after the last one, with ``done`` set.
    """
    new = 0
    while True:
        progress = budget.progress(new)
        yield progress
        if progress.done:
            return
        with around(progress):
            value = loss(progress)
        value.backward()  # type: ignore[no-untyped-call]
        optimisers.step(rate(progress))
        new += 1


def compile_layers(layers: Iterable[torch.nn.Module], kind: str) -> None:
    """Compiles layers in place if that makes training faster.

    On two CPU cores with bfloat16 units, steps become 1.5 times as fast; the first ones take a minute. In float32,
    matrix products take nearly all the time, and compilation gains nothing.

    Args:
        layers: The layers.
        kind: The type of their device, such as ``cpu``.
    """
    if bfloat16_is_quick(kind) and (shutil.which("c++") or kind == "cuda"):
        for layer in layers:
            layer.compile(dynamic=True)


def mean(values: Sequence[torch.Tensor]) -> float:
    """Averages losses.

    Args:
        values: Scalars.

    Returns:
        Their mean; 0 if there are none.
    """
    return sum(value.item() for value in values) / max(len(values), 1)


def write_log(folder: Path, budget: Budget, step: int, figures: Mapping[str, float | str]) -> None:
    """Prints a line of figures and appends it to the folder's ``training.jsonl``.

    Args:
        folder: The folder that the model is written to.
        budget: Gives the minutes.
        step: The number of finished steps.
        figures: Losses, shares of right answers, or a label.
    """
    line: dict[str, float | str] = {"step": step, "minutes": round(budget.seconds() / 60, 2)}
    line |= {name: value if isinstance(value, str) else round(value, 4) for name, value in figures.items()}
    with (folder / "training.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    typer.echo(" ".join(f"{name} {value}" for name, value in line.items()))
