"""Ends a model call early: at its deadline, or because another thread or a signal handler asks for it.

Between two tokens a stopping criterion ends the call in the ordinary way. Within a forward pass, which for a long
prompt can take many seconds, a hook in front of every layer raises :class:`Stopped`. The caller then drops the
key-value cache, because only some of its layers hold the new keys.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import StoppingCriteria

__all__ = ["CallStop", "Progress", "Stopped", "stoppable"]

_DECODE_PATIENCE = 1.0
"""Seconds that a forward pass over one token may go on after the end, so that the cache can be kept."""
_WAITED_ROWS = 256
"""From so many rows on, an accelerator is waited for at every layer. It only queues the layers otherwise, and the
deadline would pass unnoticed."""


class Stopped(Exception):
    """A forward pass was ended in front of one of its layers."""


class CallStop:
    """When one model call has to end.

    Attributes:
        at: The instant of ``time.monotonic()`` from which on the call ends; infinite without a deadline.
        interrupted: Whether :meth:`interrupt` was called.
    """

    def __init__(self, deadline: float | None = None) -> None:
        """Sets the deadline.

        Args:
            deadline: An instant of ``time.monotonic()``; None for no deadline.
        """
        self.at = float("inf") if deadline is None else deadline
        self.interrupted = False

    def interrupt(self) -> None:
        """Ends the call soon. It takes no lock, so a signal handler may call it."""
        self.interrupted = True
        self.at = min(self.at, time.monotonic())

    def over(self, patience: float = 0.0) -> bool:
        """Returns whether the call has to end now.

        Args:
            patience: Seconds that it may go on after the deadline.

        Returns:
            True from the deadline on.
        """
        return time.monotonic() >= self.at + patience


class Progress(StoppingCriteria):
    """Ends every row between two tokens once the call is over, and keeps the sequences so far.

    Attributes:
        sequences: (B, P + T) the prompt and the tokens so far; None before the first token.
    """

    def __init__(self, stop: CallStop) -> None:
        """Starts without a token.

        Args:
            stop: When the call has to end.
        """
        self._stop = stop
        self.sequences: torch.Tensor | None = None

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **kwargs: object) -> torch.BoolTensor:
        """Returns (B,) booleans, True for every row once the call is over."""
        self.sequences = input_ids
        over = self._stop.over()
        return torch.full((input_ids.shape[0],), over, dtype=torch.bool, device=input_ids.device)  # type: ignore[return-value]


@contextmanager
def stoppable(model: nn.Module, stop: CallStop) -> Iterator[None]:
    """Within it, the model's forward passes end in front of the next layer once the call is over.

    Args:
        model: The model. Its layers are the members of its outermost lists of modules, those of a vision tower too.
        stop: When the call has to end.

    Yields:
        Nothing.

    Raises:
        Stopped: A forward pass was ended.
    """

    def check(layer: nn.Module, args: tuple[Any, ...]) -> None:
        hidden = args[0] if args else None
        rows = hidden.shape[-2] if isinstance(hidden, torch.Tensor) and hidden.dim() > 1 else 1
        if rows >= _WAITED_ROWS and hidden.device.type != "cpu":  # type: ignore[union-attr]
            torch.accelerator.synchronize(hidden.device)  # type: ignore[union-attr]
        if stop.over(_DECODE_PATIENCE if rows == 1 else 0.0):
            raise Stopped

    handles = [layer.register_forward_pre_hook(check) for layer in _layers(model)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    """The members of the outermost lists of modules."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from child.children()
        else:
            yield from _layers(child)
