"""Records what a :class:`~homeostat.sensors.attempts.Readout` asks for besides span masses, row by row.

The recorded rows are those that produced a token: from slot n − 1 on, for a prompt of n slots. While n is unknown, the
last row of every forward is kept; rows that turn out to lie inside the prompt are dropped at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from homeostat.sensors.attempts import Readout
from homeostat.sensors.spans import Spans

__all__ = ["ReadoutRecorder"]

FIRST = 64
"""The number of the prompt's first slots that ``received`` covers."""


class ReadoutRecorder:
    """Records one run's readout: per forward, name and layer, a tensor (b, H, r, …).

    Attributes:
        readout: What is recorded.
        spans: The spans: one, or one for each prompt of the batch.
        slots: Per forward, the slots of the rows that are kept.
    """

    def __init__(self, readout: Readout, spans: Sequence[Spans], layers: int) -> None:
        """Prepares an empty recording.

        Args:
            readout: What is recorded.
            spans: One, or one for each prompt of the batch.
            layers: The number of probed layers.
        """
        self.readout = readout
        self.spans = tuple(spans)
        self.slots: list[NDArray[np.int64]] = []
        self._found: list[dict[str, list[list[Tensor]]]] = []  # [forward][name][layer][chunk]
        self._layers = layers
        self._layer = -1
        self._index: dict[tuple[str, torch.device], Tensor] = {}
        self._received: list[Tensor | None] = [None] * layers  # (2, b, H, FIRST): weight, and rows that see the key

    def begin(self, slots: NDArray[np.int64]) -> None:
        """Starts a forward.

        Args:
            slots: The slots of those of its rows that are kept.
        """
        self.slots.append(slots)
        self._found.append({})
        self._layer = -1

    def open_layer(self) -> None:
        """Starts the next probed layer."""
        self._layer += 1

    def add(self, weights: Tensor, first: int, offset: int) -> None:
        """Records some rows of the open layer.

        Args:
            weights: (b, H, r, K) weights.
            first: The slot of the first row.
            offset: The slot of the first key.
        """
        kept = self._kept(first, weights.shape[2])
        if kept is None:
            return
        weights, rows = weights[:, :, kept[0] : kept[1]], torch.arange(first + kept[0], first + kept[1])
        rows = rows.to(weights.device)
        wanted = self.readout.statistics
        if "entropy" in wanted:
            self._put("entropy", torch.special.entr(weights).sum(-1))
        if "top" in wanted:
            self._put("top", weights.argmax(-1) + offset)
        if "distance" in wanted:
            back = rows[-1] - torch.arange(offset, offset + weights.shape[-1], device=weights.device)
            behind = (rows[-1] - rows)[:, None].float() * weights.sum(-1, keepdim=True)
            self._put("distance", (weights @ back.float()[:, None] - behind)[..., 0])
        if "prompt_keys" in wanted:
            self._put("prompt_keys", torch.nn.functional.pad(weights, (offset, 0)).half())
        if self.readout.window:
            back = torch.arange(self.readout.window, device=weights.device)
            self._put("recent", _at(weights, (rows[:, None] - back)[None], offset))
        for label in self.readout.keys:
            slots = self._slots(label, weights.device)
            if slots is not None:
                self._put(f"keys.{label}", _at(weights, slots[:, None], offset))

    def add_outputs(self, out: Tensor, first: int) -> None:
        """Records the heads' outputs in the open layer.

        Args:
            out: (b, r, H, D) outputs.
            first: The slot of the first row.
        """
        kept = self._kept(first, out.shape[1])
        if kept is not None:
            self._put("outputs", out[:, kept[0] : kept[1]].transpose(1, 2).float())

    def receive(self, weights: Tensor, seen: Tensor | None, offset: int) -> None:
        """Adds what the prompt's first slots receive from some of the prompt's rows.

        Args:
            weights: (b, H, r, K) weights.
            seen: (b or 1, r or 1, K): whether the row sees the key; None if every row sees every key.
            offset: The slot of the first key.
        """
        batch, heads, rows, _ = weights.shape
        upto = max(FIRST - offset, 0)
        could = torch.ones(1, rows, 1, device=weights.device) if seen is None else seen.float()
        given = (weights * could.any(-1)[:, None, :, None])[..., :upto].sum(2)
        count = could.expand(-1, rows, weights.shape[-1])[..., :upto].sum(1)[:, None].expand(batch, heads, -1)
        both = torch.nn.functional.pad(torch.stack([given, count]), (offset, 0))[..., :FIRST]
        both = torch.nn.functional.pad(both, (0, FIRST - both.shape[-1]))
        before = self._received[self._layer]
        self._received[self._layer] = both if before is None else before.to(both.device) + both

    def rows(self, keep: NDArray[np.int64], length: int) -> dict[str, NDArray[Any]]:
        """Collects the recorded rows.

        Args:
            keep: (T,) the slots of the rows to return.
            length: The number of slots of the prompt.

        Returns:
            By name, (B, T, L, H, …) arrays. B is the largest batch that was recorded; forwards on fewer rows of the
            batch are repeated to it.
        """
        slots = np.concatenate(self.slots) if self.slots else np.zeros(0, np.int64)
        order = {int(slot): k for k, slot in enumerate(slots)}
        at = [order[int(slot)] for slot in keep]
        names = dict.fromkeys(name for found in self._found for name in found)
        out = {}
        for name in names:
            parts = []
            batch = max(found[name][0][0].shape[0] for found in self._found if found)
            for found in self._found:
                if not found:
                    continue
                home = found[name][0][0].device
                layers = torch.stack([torch.cat(chunks, 2).to(home) for chunks in found[name]])
                if name == "prompt_keys":  # later rows see more than the prompt, and earlier chunks of it see less
                    layers = torch.nn.functional.pad(layers[..., :length], (0, max(length - layers.shape[-1], 0)))
                rows = layers.permute(1, 3, 0, 2, *range(4, layers.ndim))
                parts.append(rows.repeat_interleave(batch // rows.shape[0], 0).cpu().numpy())
            out[name] = np.concatenate(parts, 1)[:, at]
        return out

    def received(self, length: int) -> NDArray[np.float32] | None:
        """Averages what the prompt's first slots received.

        Args:
            length: The number of slots of the prompt.

        Returns:
            (b, L, H, n) mean weights, n = min(length, 64); None if they were not asked for.
        """
        if "received" not in self.readout.statistics or any(part is None for part in self._received):
            return None
        sums = torch.stack([part.cpu() for part in self._received if part is not None])[..., : min(length, FIRST)]
        mean = torch.where(sums[:, 1] > 0, sums[:, 0] / sums[:, 1].clamp(min=1), torch.nan)
        return mean.transpose(0, 1).numpy()

    def _kept(self, first: int, count: int) -> tuple[int, int] | None:
        kept = self.slots[-1]
        if not len(kept) or kept[0] >= first + count:
            return None
        return max(int(kept[0]) - first, 0), count

    def _put(self, name: str, value: Tensor) -> None:
        layers = self._found[-1].setdefault(name, [])
        if len(layers) <= self._layer:
            layers.append([])
        layers[-1].append(value.detach())

    def _slots(self, label: str, device: torch.device) -> Tensor | None:
        """(1 or b, n) slots of a span's keys, −1 if a prompt's span is shorter; None if no prompt has the span."""
        key = (label, device)
        if key not in self._index:
            each = [[s for a, b in spans[label] for s in range(a, b)] if label in spans else [] for spans in self.spans]
            longest = max(map(len, each))
            table = torch.tensor([slots + [-1] * (longest - len(slots)) for slots in each], dtype=torch.long)
            self._index[key] = table.to(device)
        found = self._index[key]
        return found if found.shape[1] else None


def _at(weights: Tensor, slots: Tensor, offset: int) -> Tensor:
    """(b, H, r, n) weights at (1 or b, 1 or r, n) slots; 0 for a slot that has no key here."""
    batch, heads, rows, keys = weights.shape
    if slots.shape[0] not in (1, batch):
        slots = slots.repeat_interleave(batch // slots.shape[0], 0)
    index = slots - offset
    inside = (slots >= 0) & (index >= 0) & (index < keys)
    index = index.clamp(0, keys - 1)[:, None].expand(batch, heads, rows, -1)
    return weights.gather(-1, index) * inside[:, None]
