"""What one probed run collects; ``sensors/probe/results.py`` makes :class:`~homeostat.sensors.attempts.SpanMass` of it.

A *run* lies between ``Probe.start`` and ``Probe.result``; a *forward* is one call of the model within it. Slots are
columns of the whole sequence (see :mod:`homeostat.sensors.spans`). A row at slot s belongs to the prompt if s is below
the prompt's length n, and to generated token t = s − (n − 1) from slot n − 1 on: the prompt's last row produced the
first token, so it is both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from homeostat.errors import ProbeError
from homeostat.sensors.attempts import Readout
from homeostat.sensors.probe.explicit_attention import RowMask, visible
from homeostat.sensors.probe.readout import Extras
from homeostat.sensors.probe.sinks import SinkFinder
from homeostat.sensors.spans import Spans

__all__ = ["Forward", "Recorder", "repeat_rows"]


@dataclass
class Forward:
    """One call of the model: ``queries`` new slots from ``start``, of which those from ``first`` are recorded."""

    start: int
    queries: int
    first: int
    mass: list[list[Tensor]] = field(default_factory=list)  # [layer][chunk] (b, H, r, C)
    # The mask itself is kept with what was made of it: an id must not be reused while it is a key.
    seen: dict[tuple[int, int, int], tuple[Tensor, Tensor, Tensor | None]] = field(default_factory=dict)
    visible: list[Tensor | int] = field(default_factory=list)  # per layer (b, r), or one number for all rows


class Recorder:
    """Collects the span masses of one run. Made by :class:`~homeostat.sensors.Probe`; not for direct use."""

    def __init__(
        self,
        layers: Sequence[int],
        spans: Sequence[Spans],
        rows: int | None,
        sink_threshold: float | None,
        readout: Readout = Readout(),  # noqa: B008 - frozen
        every: int = 1,
    ) -> None:
        """``rows`` None: every row of the prompt; ``sink_threshold`` None: no sinks; ``every``: of k tokens, one."""
        self.layers = tuple(layers)
        self.every = every
        self.active = True
        self.spans = tuple(spans)
        self.rows = rows
        self.sinks = None if sink_threshold is None else SinkFinder(sink_threshold)
        self.labels = tuple(dict.fromkeys(label for s in self.spans for label in s.labels))
        lengths = {s.length for s in self.spans}
        self.length: int | None = None if None in lengths else max(n for n in lengths if n is not None)
        if len(lengths) > 1:
            raise ProbeError(
                f"one batch holds prompts of {sorted(map(str, lengths))} slots; pad them and shift the spans"
            )
        self.total = 0  # slots seen
        self.forwards: list[Forward] = []
        self.extras = Extras(readout, self.spans, len(self.layers)) if readout != Readout() else None
        self._columns: dict[torch.device, Tensor] = {}

    # -- while the model runs ------------------------------------------------------------------------------------

    def begin(self, start: int | None, queries: int) -> None:
        """A forward starts: ``queries`` rows, after ``start`` cached slots (None: as many as this run has seen)."""
        if self.active and self.forwards and len(self.forwards[-1].mass) != len(self.layers):
            raise ProbeError("a forward ended before every probed layer ran; probe fewer layers or none")
        start = self.total if start is None else start
        fresh = start + queries - self.total if self.forwards else queries
        if fresh < 1 or (self.forwards and start > self.total):
            raise ProbeError(
                f"the cache holds {start} slots where this run has seen {self.total}; it was cropped or exchanged "
                "during the run (assisted decoding does): start a new run"
            )
        if self.forwards and fresh == 1 and self.length is None:
            self.end_prompt(self.total)
        self.total = start + queries
        self.active = self._is_read(queries)
        if not self.active:
            return
        wanted = fresh if self.rows is None else min(self.rows, fresh)
        if self.length is not None and self.total > self.length:
            wanted = min(fresh, max(wanted, self.total - self.length + 1))  # every token's row, forced ones too
        if self.sinks is not None and self.length is None:  # each forward may be the prompt's last
            self.sinks.restart()
        self.forwards.append(Forward(start, queries, self.total - wanted))
        if self.extras is not None:
            first = self.total if self.length is None else self.length
            self.extras.begin(np.arange(max(first - 1, self.total - wanted), self.total))

    def _is_read(self, queries: int) -> bool:
        """Whether this forward is: of the forwards on a single generated token, one of every k."""
        if queries > 1 or self.length is None or self.total <= self.length:
            return True
        return (self.total - self.length) % self.every == 0

    @property
    def wanted(self) -> int:
        """How many of the present forward's last rows are recorded."""
        forward = self.forwards[-1]
        return forward.start + forward.queries - forward.first

    def open_layer(self) -> None:
        """The next probed layer begins."""
        forward = self.forwards[-1]
        if len(forward.mass) == len(self.layers):
            raise ProbeError("a probed layer ran twice in one forward; models that share layers can't be probed")
        forward.mass.append([])
        if self.extras is not None:
            self.extras.open_layer()

    def add(self, weights: Tensor, rows: RowMask, mask: Tensor | None, row: int) -> None:
        """(b, H, r, K) weights of the rows from index ``row`` of the layer that was opened last."""
        forward = self.forwards[-1]
        batch, heads, count, keys = weights.shape
        offset = max(self.total - keys, 0)  # a sliding window has dropped the first keys
        columns = self._indicator(weights.device, offset + keys, batch)[:, offset : offset + keys]
        if columns.shape[0] == 1:
            mass = weights.detach().reshape(-1, keys).mm(columns[0])
        else:
            mass = weights.detach().reshape(batch, heads * count, keys).bmm(columns)
        forward.mass[-1].append(mass.view(batch, heads, count, -1))
        self._count_visible(forward, mask, rows, row, count, keys)
        seen = None if mask is None else self._seen(forward, mask, rows, row)[0]
        if self.extras is not None:
            self.extras.add(weights.detach(), forward.start + row, offset)
            inside = count if self.length is None else min(self.length - forward.start - row, count)
            if inside > 0 and "received" in self.extras.readout.statistics:
                part = seen if seen is None or seen.shape[1] == 1 else seen[:, :inside]
                self.extras.receive(weights.detach()[:, :, :inside], part, offset)
        if self.sinks is not None and self._in_prompt(forward):
            after = self.length - self.rows if self.length is not None and self.rows is not None else 0
            last = row + count == forward.queries
            self.sinks.receive(weights.detach(), seen, forward.start + row, offset, self.total, after=after, last=last)

    def add_outputs(self, out: Tensor) -> None:
        """(b, Q, H, D) the outputs of the layer that was opened last, where they are asked for."""
        if self.extras is not None and "outputs" in self.extras.readout.statistics:
            self.extras.add_outputs(out.detach(), self.total - out.shape[1])

    def close_layer(self) -> None:
        """The layer opened last is done; after the forward's last one, the sinks are found."""
        forward = self.forwards[-1]
        if len(forward.mass) == len(self.layers):
            forward.seen.clear()
            if self.sinks is not None and self.sinks.find(self.total):
                self._columns.clear()

    def _in_prompt(self, forward: Forward) -> bool:
        # Where one forward holds prompt and answer, the sinks are known too late for its rows: they stay unmeasured.
        if self.length is None:
            return True
        return forward.start < self.length and self.total <= self.length

    def _count_visible(
        self, forward: Forward, mask: Tensor | None, rows: RowMask, row: int, count: int, keys: int
    ) -> None:
        if mask is None:
            seen: Tensor | int = keys
        else:
            seen = self._seen(forward, mask, rows, row)[1]
        first_chunk = len(forward.mass[-1]) == 1
        if first_chunk:
            forward.visible.append(seen)
        else:
            before = forward.visible[-1]
            if isinstance(before, Tensor) and isinstance(seen, Tensor):
                forward.visible[-1] = torch.cat([before, seen], -1)

    def _seen(self, forward: Forward, mask: Tensor, rows: RowMask, row: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """(b, r, K) whether row sees key, (b, r) how many keys it sees; shared by layers that share a mask."""
        key = (id(rows.mask), row, rows.keys)
        if key not in forward.seen:
            seen = visible(mask)
            forward.seen[key] = (seen, seen.sum(-1), rows.mask)
        return forward.seen[key]

    def end_prompt(self, length: int) -> None:
        """The prompt turns out to have ``length`` slots."""
        self.length = length
        self._columns.clear()

    def _indicator(self, device: torch.device, upto: int, batch: int) -> Tensor:
        """(1 or b, ≥ upto, C) float32: which slots belong to each label, to the output, and are each sink."""
        have = self._columns.get(device)
        if have is None or have.shape[1] < upto or have.shape[0] not in (1, batch):
            # Room to grow: decoding needs one more slot a token, and should not rebuild this each time.
            have = self._columns[device] = self._build(upto + max(256, upto // 4), batch).to(device)
        return have

    def _build(self, slots: int, batch: int) -> Tensor:
        table = torch.zeros(len(self.spans), slots, len(self.labels) + 1)
        for b, spans in enumerate(self.spans):
            for label in spans:
                for start, stop in spans[label]:
                    table[b, start:stop, self.labels.index(label)] = 1
        if self.length is not None:
            table[:, self.length :, -1] = 1
        sinks = torch.zeros(1, slots, 0)
        if self.sinks is not None and self.sinks.slots is not None and self.sinks.valid is not None:
            at, valid = self.sinks.slots.cpu(), self.sinks.valid.cpu().float()
            sinks = torch.zeros(at.shape[0], slots, at.shape[1])
            sinks.scatter_(1, at[:, None, :], valid[:, None, :])
        if table.shape[0] == sinks.shape[0] == 1:
            return torch.cat([table, sinks], -1)
        return torch.cat([repeat_rows(table, batch), repeat_rows(sinks, batch)], -1)


def repeat_rows(tensor: Tensor, batch: int) -> Tensor:
    """A tensor whose first dimension is repeated to ``batch``: n samples from one prompt lie side by side."""
    have = tensor.shape[0]
    if batch % have:
        raise ProbeError(
            f"{have} prompts don't share a batch of {batch} rows evenly; give one Spans, or one for each row"
        )
    return tensor if have == batch else tensor.repeat_interleave(batch // have, 0)
