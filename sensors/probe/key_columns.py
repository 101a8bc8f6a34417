"""Which column of the span masses a key counts for: a label, the output, or an attention sink."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from homeostat.errors import ProbeError
from homeostat.sensors.probe.sinks import SinkFinder
from homeostat.sensors.spans import Spans

__all__ = ["KeyColumns", "repeat_rows"]


class KeyColumns:
    """Tables from keys to columns, one for each device. They grow with the sequence.

    Attributes:
        labels: All labels of all prompts, the first columns. The output's column follows, then one for each sink.
    """

    def __init__(self, spans: Sequence[Spans], sinks: SinkFinder | None) -> None:
        """Starts without a table.

        Args:
            spans: The spans: one, or one for each prompt of the batch.
            sinks: Finds attention sinks; None if they are not measured.
        """
        self.labels = tuple(dict.fromkeys(label for one in spans for label in one.labels))
        self._spans, self._sinks = tuple(spans), sinks
        self._tables: dict[torch.device, Tensor] = {}

    def clear(self) -> None:
        """Drops the tables, because the prompt's length has been found, or sinks have."""
        self._tables.clear()

    def table(self, device: torch.device, upto: int, batch: int, length: int | None) -> Tensor:
        """Returns a table.

        Args:
            device: The device.
            upto: The least number of slots.
            batch: The number of rows of the batch.
            length: The number of slots of the prompt; None until it is known.

        Returns:
            (1 or b, ≥ upto, C) float32: 1 for slots that belong to a label or to the output, or that are a sink.
        """
        have = self._tables.get(device)
        if have is None or have.shape[1] < upto or have.shape[0] not in (1, batch):
            # Room to grow: decoding needs one more slot per token and should not rebuild the table each time.
            have = self._tables[device] = self._build(upto + max(256, upto // 4), batch, length).to(device)
        return have

    def _build(self, slots: int, batch: int, length: int | None) -> Tensor:
        table = torch.zeros(len(self._spans), slots, len(self.labels) + 1)
        for b, spans in enumerate(self._spans):
            for label in spans:
                for start, stop in spans[label]:
                    table[b, start:stop, self.labels.index(label)] = 1
        if length is not None:
            table[:, length:, -1] = 1
        sinks = torch.zeros(1, slots, 0)
        if self._sinks is not None and self._sinks.slots is not None and self._sinks.valid is not None:
            at, valid = self._sinks.slots.cpu(), self._sinks.valid.cpu().float()
            sinks = torch.zeros(at.shape[0], slots, at.shape[1])
            sinks.scatter_(1, at[:, None, :], valid[:, None, :])
        if table.shape[0] == sinks.shape[0] == 1:
            return torch.cat([table, sinks], -1)
        return torch.cat([repeat_rows(table, batch), repeat_rows(sinks, batch)], -1)


def repeat_rows(tensor: Tensor, batch: int) -> Tensor:
    """Repeats a tensor along its first dimension, so that the n samples of one prompt are adjacent.

    Args:
        tensor: One row for each prompt.
        batch: The number of rows to return.

    Returns:
        The repeated tensor.

    Raises:
        ProbeError: The number of prompts does not divide the batch.
    """
    have = tensor.shape[0]
    if batch % have:
        raise ProbeError(
            f"{have} prompts do not divide a batch of {batch} rows evenly; pass one Spans, or one for each row"
        )
    return tensor if have == batch else tensor.repeat_interleave(batch // have, 0)
