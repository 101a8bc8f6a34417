"""A callback of transformers' ``Trainer`` that watches attention entropy and logits during training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from homeostat.alignment.stability.measurement import Measurement, measuring
from homeostat.alignment.stability.watch import StabilityWatch

__all__ = ["StabilityCallback"]


class StabilityCallback(TrainerCallback):
    """Measures one training step in so many, logs the values, and warns before a collapse.

    ::

        trainer.add_callback(StabilityCallback(StabilityWatch(every=20), log=trainer.log))

    A measured step trains as any other; only its attention weights are computed once more. After a resumed run's start,
    the earlier measurements are taken from the trainer's log.

    Attributes:
        watch: Remembers the measurements.
    """

    def __init__(
        self,
        watch: StabilityWatch,
        log: Callable[[dict[str, float]], None],
        layers: Mapping[int, nn.Module] | None = None,
    ) -> None:
        """Creates the callback.

        Args:
            watch: Remembers the measurements and warns.
            log: Receives the values of each measured step, such as the trainer's ``log``.
            layers: The attention modules to measure, by layer; None finds those of the trained model.
        """
        self.watch, self._log, self._layers = watch, log, layers
        self._open: ExitStack | None = None
        self._measured: Measurement | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Recalls the measurements of an interrupted run.

        Args:
            args: The trainer's arguments.
            state: The trainer's state.
            control: The trainer's control object, which stays as it is.
            kwargs: What else the trainer passes.
        """
        for line in state.log_history:
            figures = {name: value for name, value in line.items() if name.startswith(("attention_", "log_z"))}
            self.watch.recall(int(line["step"]), figures)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begins to measure, if the step is one to measure.

        Args:
            args: The trainer's arguments.
            state: The trainer's state.
            control: The trainer's control object, which stays as it is.
            kwargs: What else the trainer passes, among it the model.
        """
        self.close()
        if self.watch.due(state.global_step):
            self._open = ExitStack()
            self._measured = self._open.enter_context(measuring(kwargs["model"], self._layers))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Ends the measurement and logs it.

        Args:
            args: The trainer's arguments.
            state: The trainer's state.
            control: The trainer's control object, which stays as it is.
            kwargs: What else the trainer passes.
        """
        if self._open is not None and self._measured is not None:
            measured = self._measured
            self.close()
            self._log(self.watch.add(state.global_step, measured))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Ends a measurement that is still open.

        Args:
            args: The trainer's arguments.
            state: The trainer's state.
            control: The trainer's control object, which stays as it is.
            kwargs: What else the trainer passes.
        """
        self.close()

    def close(self) -> None:
        """Ends a measurement that an error or an interruption left open. Its values are dropped."""
        if self._open is not None:
            self._open.close()
        self._open = self._measured = None
