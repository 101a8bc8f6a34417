"""Collects what one probed run reads; ``sensors/probe/results.py`` turns it into span masses.

A *run* lasts from ``Probe.start`` to ``Probe.result``; a *forward* is one call of the model within it. Slots are
columns of the whole sequence (see :mod:`homeostat.sensors.spans`). In a prompt of n slots, the row at slot s belongs to
the prompt if s < n, and it produces generated token t = s − (n − 1) if s ≥ n − 1. The prompt's last row is therefore
both.
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
from homeostat.sensors.probe.key_columns import KeyColumns
from homeostat.sensors.probe.readout import ReadoutRecorder
from homeostat.sensors.probe.sinks import SinkFinder
from homeostat.sensors.probe.thinned_keys import KeyReader, ThinnedKeys, head_columns, spread
from homeostat.sensors.spans import Spans

__all__ = ["Forward", "Recorder"]


@dataclass
class Forward:
    """One call of the model.

    Attributes:
        start: The first new slot.
        queries: The number of new slots.
        first: The first slot whose row is recorded.
        mass: [layer][chunk] (b, H, r, C) masses by column (labels, output, sinks).
        seen: By mask, first row and number of keys: (b, r, K) whether the row sees the key, and (b, r) how many keys
            it sees. The mask itself is kept with them, so that its id is not reused while it is part of a key.
        columns: By device, slot of the first key and number of keys: (1 or b, K, C) which columns each key belongs to.
        visible: Per layer, (b, r) the number of visible keys, or one number for all rows.
    """

    start: int
    queries: int
    first: int
    mass: list[list[Tensor]] = field(default_factory=list)
    seen: dict[tuple[int, int, int], tuple[Tensor, Tensor, Tensor | None]] = field(default_factory=dict)
    columns: dict[tuple[torch.device, int, int], Tensor] = field(default_factory=dict)
    visible: list[Tensor | int] = field(default_factory=list)


class Recorder:
    """Collects the span masses of one run. :class:`~homeostat.sensors.Probe` creates it; it is not for direct use.

    Attributes:
        layers: The probed layers.
        every: One generated token in so many is recorded.
        active: Whether the present forward is recorded.
        spans: The spans: one, or one for each prompt of the batch.
        rows: How many of the prompt's last rows are recorded; None for all.
        sinks: Finds attention sinks; None if they are not measured.
        labels: All labels of all prompts.
        length: The number of slots of the prompt; None until it is known.
        total: The number of slots seen so far.
        forwards: The recorded forwards.
        readouts: Records what else was asked for; None if only masses are.
        thinned: The run's key-value cache, where it lacks the keys of some tokens; None where it holds all.
        reader: Who is told the weights of single keys; None for nobody.
        held: By layer, (G or 1, K) the slots of the keys that a thinned cache held in the last recorded forward.
    """

    def __init__(
        self,
        layers: Sequence[int],
        spans: Sequence[Spans],
        rows: int | None,
        sink_threshold: float | None,
        readout: Readout = Readout(),  # noqa: B008 - frozen
        every: int = 1,
    ) -> None:
        """Prepares an empty recording.

        Args:
            layers: The probed layers.
            spans: One, or one for each prompt of the batch.
            rows: How many of the prompt's last rows are recorded; None for all.
            sink_threshold: The mean weight above which a key is a sink; None measures no sinks.
            readout: What is recorded besides span masses.
            every: Record one generated token in so many.

        Raises:
            ProbeError: The prompts of the batch differ in length.
        """
        self.layers = tuple(layers)
        self.every = every
        self.active = True
        self.spans = tuple(spans)
        self.rows = rows
        self.sinks = None if sink_threshold is None else SinkFinder(sink_threshold)
        self._columns = KeyColumns(self.spans, self.sinks)
        self.labels = self._columns.labels
        lengths = {s.length for s in self.spans}
        self.length: int | None = None if None in lengths else max(n for n in lengths if n is not None)
        if len(lengths) > 1:
            raise ProbeError(
                f"one batch holds prompts of {sorted(map(str, lengths))} slots; pad them and shift the spans"
            )
        self.total = 0
        self._generating = False
        self.forwards: list[Forward] = []
        self.readouts = ReadoutRecorder(readout, self.spans, len(self.layers)) if readout != Readout() else None
        self.thinned: ThinnedKeys | None = None
        self.reader: KeyReader | None = None
        self.held: dict[int, Tensor] = {}

    def begin_generation(self, length: int) -> None:
        """Compares the prompt that ``generate`` gets with the spans. Without their length, the prompt's is taken.

        Args:
            length: The number of slots of the prompt.

        Raises:
            ProbeError: The spans belong to a prompt of another length, or end after the prompt.
        """
        self._generating = True
        if self.length is not None and self.total >= self.length:
            return  # the run goes on behind its prompt
        if self.length is None and self.total <= length:
            self.end_prompt(length)
        if self.length is not None and self.length != length:
            raise ProbeError(
                f"generate got a prompt of {length} tokens, but the spans are those of a prompt of {self.length}; pass "
                "it what prepare() returned, or start() the spans of this prompt, its tools and padding included"
            )
        self.check_ends()

    def end_generation(self) -> None:
        """Notes that ``generate`` has returned."""
        self._generating = False

    def begin(self, start: int | None, queries: int) -> None:
        """Starts a forward.

        Args:
            start: The number of cached slots; None means as many as this run has seen.
            queries: The number of new rows.

        Raises:
            ProbeError: The previous forward ended early, the cache was cropped or exchanged during the run, or
                ``generate`` runs more tokens than its prompt has.
        """
        if self.active and self.forwards and len(self.forwards[-1].mass) != len(self.layers):
            raise ProbeError("a forward ended before every probed layer ran; probe fewer layers or none")
        start = self.total if start is None else start
        fresh = start + queries - self.total if self.forwards else queries
        if fresh < 1 or (self.forwards and start > self.total):
            raise ProbeError(
                f"the cache holds {start} slots, but this run has seen {self.total}; it was cropped or exchanged "
                "during the run (assisted decoding does that): start a new run"
            )
        if self.forwards and fresh == 1 and self.length is None:
            self.end_prompt(self.total)
        before = self.total if self.forwards else start
        if self._generating and self.length is not None and before < self.length < start + queries:
            raise ProbeError(
                f"generate runs {start + queries} tokens at once for a prompt of {self.length}: learned prompt tokens "
                "and assisted decoding put tokens where the spans have none; generate without them"
            )
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
        if self.readouts is not None:
            first = self.total if self.length is None else self.length
            self.readouts.begin(np.arange(max(first - 1, self.total - wanted), self.total))

    def _is_read(self, queries: int) -> bool:
        """Whether this forward is recorded; of the forwards on a single generated token, one in ``every`` is."""
        if queries > 1 or self.length is None or self.total <= self.length:
            return True
        return (self.total - self.length) % self.every == 0

    @property
    def wanted(self) -> int:
        """How many of the present forward's last rows are recorded."""
        forward = self.forwards[-1]
        return forward.start + forward.queries - forward.first

    def open_layer(self) -> None:
        """Starts the next probed layer.

        Raises:
            ProbeError: A probed layer ran twice in this forward.
        """
        forward = self.forwards[-1]
        if len(forward.mass) == len(self.layers):
            raise ProbeError("a probed layer ran twice in one forward; models that share layers can't be probed")
        forward.mass.append([])
        if self.readouts is not None:
            self.readouts.open_layer()

    def add(self, weights: Tensor, rows: RowMask, mask: Tensor | None, row: int) -> None:
        """Records some rows of the open layer.

        Args:
            weights: (b, H, r, K) weights.
            rows: Which keys each of the layer's rows sees.
            mask: The mask of these r rows; None if they see every key.
            row: The index of the first of these rows in the forward.
        """
        forward = self.forwards[-1]
        batch, heads, count, keys = weights.shape
        slots = self.slots()
        if slots is None:
            offset = max(self.total - keys, 0)  # a sliding window has dropped the first keys
            columns = self._columns_of(forward, weights.device, offset, keys, batch)
        else:
            offset = 0
            columns = head_columns(self._columns.table(weights.device, self.total, batch, self.length), slots)
            self.held[self.layers[len(forward.mass) - 1]] = slots
        if columns.ndim == 4:
            folded = weights.detach().reshape(batch, columns.shape[1], -1, keys)
            mass = folded @ columns.to(folded.dtype)
        elif columns.shape[0] == 1:
            mass = weights.detach().reshape(-1, keys).mm(columns[0])
        else:
            mass = weights.detach().reshape(batch, heads * count, keys).bmm(columns)
        forward.mass[-1].append(mass.reshape(batch, heads, count, -1))
        self._count_visible(forward, mask, rows, row, count, keys)
        if self.reader is not None:
            self.reader.weights(self._layer, weights.detach(), forward.start + row, slots, recorded=True)
        in_prompt = self._in_prompt(forward)
        if self.readouts is None and (self.sinks is None or not in_prompt):
            return
        seen = None if mask is None else self._seen(forward, mask, rows, row)[0]
        every: Tensor = weights.detach()
        if slots is not None:
            every = spread(every, slots, self.total)
            seen = self._spread_seen(seen, slots, count, weights.device)
        if self.readouts is not None:
            self.readouts.add(every, forward.start + row, offset)
            inside = count if self.length is None else min(self.length - forward.start - row, count)
            if inside > 0 and "received" in self.readouts.readout.statistics:
                part = seen if seen is None or seen.shape[1] == 1 else seen[:, :inside]
                self.readouts.receive(every[:, :, :inside], part, offset)
        if self.sinks is not None and in_prompt:
            after = self.length - self.rows if self.length is not None and self.rows is not None else 0
            last = row + count == forward.queries
            self.sinks.receive(every, seen, forward.start + row, offset, self.total, after=after, last=last)

    def read_unrecorded(self, weights: Tensor, row: int) -> None:
        """Tells the reader the weights of rows that are not recorded, if it listens to every row.

        Args:
            weights: (b, H, r, K) weights of the open layer.
            row: The index of the first of these rows in the forward.
        """
        if self.reader is not None and self.reader.every_row:
            start = self.forwards[-1].start + row
            self.reader.weights(self._layer, weights.detach(), start, self.slots(), recorded=False)

    def slots(self) -> Tensor | None:
        """Returns the slots of the open layer's keys.

        Returns:
            (K,), or (G, K) where each key head holds keys of its own; None where the cache holds the key of every
            token, or the last keys without a gap.
        """
        return None if self.thinned is None else self.thinned.key_slots(self._layer)

    @property
    def _layer(self) -> int:
        """The index of the open layer."""
        return self.layers[len(self.forwards[-1].mass) - 1]

    def _spread_seen(self, seen: Tensor | None, slots: Tensor, count: int, device: torch.device) -> Tensor:
        """(b, r, total) the share of the key heads whose key in the slot is held and seen by the row."""
        groups = 1 if slots.ndim == 1 else len(slots)
        given = torch.ones(1, count, slots.shape[-1], device=device) if seen is None else seen.float()
        given = given.expand(-1, count, -1)
        wide = spread(given[:, None].expand(-1, groups, -1, -1), slots, self.total)
        return wide.mean(1)

    def add_outputs(self, out: Tensor) -> None:
        """Records the outputs of the open layer, if they are asked for.

        Args:
            out: (b, Q, H, D) outputs.
        """
        if self.readouts is not None and "outputs" in self.readouts.readout.statistics:
            self.readouts.add_outputs(out.detach(), self.total - out.shape[1])

    def close_layer(self) -> None:
        """Ends the open layer, and finds the sinks after the forward's last layer."""
        forward = self.forwards[-1]
        if len(forward.mass) == len(self.layers):
            forward.seen.clear()
            forward.columns.clear()
            if self.sinks is not None and self.sinks.find(self.total):
                self._columns.clear()

    def _in_prompt(self, forward: Forward) -> bool:
        # If one forward holds prompt and answer, the sinks are known too late for its rows: they stay unmeasured.
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
        """(b, r, K) whether the row sees the key, (b, r) how many keys it sees; shared by layers that share a mask."""
        key = (id(rows.mask), row, rows.keys)
        if key not in forward.seen:
            seen = visible(mask)
            forward.seen[key] = (seen, seen.sum(-1), rows.mask)
        return forward.seen[key]

    def end_prompt(self, length: int) -> None:
        """Fixes the prompt's length.

        Args:
            length: The number of slots of the prompt.
        """
        self.length = length
        self._columns.clear()

    def check_ends(self) -> None:
        """Checks that every span lies within the prompt.

        Raises:
            ProbeError: A span ends after the prompt.
        """
        for spans in self.spans:
            if self.length is not None and spans.end > self.length:
                raise ProbeError(
                    f"a span ends at slot {spans.end}, after the prompt's {self.length} slots; render the prompt again"
                )

    def _columns_of(self, forward: Forward, device: torch.device, offset: int, keys: int, batch: int) -> Tensor:
        """(1 or b, K, C): the table's rows of some keys, the same for all layers that hold them."""
        key = (device, offset, keys)
        if key not in forward.columns:
            table = self._columns.table(device, offset + keys, batch, self.length)
            forward.columns[key] = table[:, offset : offset + keys]
        return forward.columns[key]
