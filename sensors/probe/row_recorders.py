"""Records each row of a changing batch as a run of its own, as if the row were alone.

Rows may enter and leave the batch between two forwards. A row's padding, which lies on its left, is cut off before its
:class:`~homeostat.sensors.probe.recorder.Recorder` sees anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor

from homeostat.errors import ConfigError
from homeostat.sensors.attempts import Readout, SpanMass
from homeostat.sensors.probe.explicit_attention import RowMask
from homeostat.sensors.probe.recorder import Forward, Recorder
from homeostat.sensors.probe.results import first_tokens, span_masses
from homeostat.sensors.probe.thinned_keys import KeyReader, ThinnedKeys
from homeostat.sensors.spans import Spans
from homeostat.sensors.steering.actuators import Actuator
from homeostat.sensors.steering.binding import Steering
from homeostat.sensors.steering.row_steering import RowSteering

__all__ = ["RowRecorders", "RowRun"]


@dataclass(eq=False)
class RowRun:
    """The run of one row.

    Attributes:
        recorder: Collects what the row reads.
        steering: How the row is steered; None where it is not.
        padding: The number of columns in front of the row's first token.
    """

    recorder: Recorder
    steering: Steering | None = None
    padding: int = 0

    def result(self, tokens: int) -> SpanMass:
        """Ends the run.

        Args:
            tokens: The number of generated tokens to keep.

        Returns:
            The row's span masses.

        Raises:
            ProbeError: The row did not run, or its attention is not a number.
        """
        return first_tokens(span_masses(self.recorder)[0], tokens)


class RowRecorders:
    """Hands what a batch reads to its rows. :meth:`homeostat.sensors.Probe.start_rows` creates it.

    Attributes:
        rows: The run of each row of the next forward, in order; None for a row that nobody reads.
        active: Whether the present forward is recorded.
        reader: Nobody is told the weights of single keys.
        thinned: A cache that lacks keys can't be read row by row.
        length: The rows' prompts differ in length.
        total: The number of columns seen so far.
        steering: How the rows of the present forward are steered; None where none is.
    """

    reader: KeyReader | None = None
    thinned: ThinnedKeys | None = None
    length: int | None = None

    def __init__(
        self,
        recorder: Callable[[Spans, Readout], Recorder],
        steering: Callable[[Spans, tuple[Actuator, ...]], Steering],
    ) -> None:
        """Starts without rows.

        Args:
            recorder: Makes a row's recorder.
            steering: Resolves a row's rules.
        """
        self.rows: Sequence[RowRun | None] = ()
        self.active, self.total = False, 0
        self.steering: RowSteering | None = None
        self._recorder, self._steering, self._start = recorder, steering, 0
        self._masks: dict[tuple[int, int, int], tuple[Tensor, Tensor, RowMask]] = {}

    def run(self, spans: Spans, readout: Readout, steer: Iterable[Actuator] = ()) -> RowRun:
        """Makes the run of a new row.

        Args:
            spans: The spans of its prompt, without padding.
            readout: What is recorded besides span masses.
            steer: The row's steering rules. The prompt of a steered row has to run in a forward of its own.

        Returns:
            The run, to be put into :attr:`rows`.

        Raises:
            ConfigError: A rule names a span or a layer that is missing, or is about attention sinks.
        """
        rules = tuple(steer)
        for rule in rules:
            if rule.sinks is not None:
                raise ConfigError(f"sinks={rule.sinks!r} can't steer a row of a changing batch; run the call alone")
        return RowRun(self._recorder(spans, readout), self._steering(spans, rules) if rules else None)

    @property
    def forwards(self) -> Sequence[Forward]:
        """The present forward of some row."""
        return next((run.recorder.forwards[-1:] for run in self.rows if run is not None), [])

    @property
    def wanted(self) -> int:
        """How many of the present forward's last rows are recorded."""
        return max((run.recorder.wanted for run in self.rows if run is not None), default=0)

    def begin(self, start: int | None, queries: int) -> None:
        """Starts a forward.

        Args:
            start: The number of cached columns; None means as many as were seen.
            queries: The number of new columns.
        """
        self._start = self.total if start is None else start
        self.total = self._start + queries
        self._masks.clear()
        self.active = any(run is not None for run in self.rows)
        rules = [
            (run.steering, run.padding) if run is not None and run.steering is not None else None for run in self.rows
        ]
        if not any(rules):
            self.steering = None
        elif self.steering is None or not self.steering.same(rules):
            self.steering = RowSteering(rules)
        for run in self.rows:
            if run is not None:
                first = max(self._start - run.padding, 0)
                run.recorder.begin(first, self.total - run.padding - first)

    def begin_generation(self, length: int) -> None:
        """Is not used: a changing batch is not run by ``generate``.

        Args:
            length: The number of slots of a prompt.
        """

    def end_generation(self) -> None:
        """Is not used: a changing batch is not run by ``generate``."""

    def slots(self) -> Tensor | None:
        """Returns None: the cache holds the key of every token."""
        return None

    def read_unrecorded(self, weights: Tensor, row: int) -> None:
        """Is not used: nobody is told the weights of single keys.

        Args:
            weights: (b, H, r, K) weights.
            row: The index of the first of these rows in the forward.
        """

    def open_layer(self) -> None:
        """Starts the next probed layer."""
        for run in self.rows:
            if run is not None:
                run.recorder.open_layer()

    def add(self, weights: Tensor, rows: RowMask, mask: Tensor | None, row: int) -> None:
        """Records some rows of the open layer for each run.

        Args:
            weights: (b, H, r, K) weights.
            rows: Which keys each of the layer's rows sees.
            mask: The mask of these r rows; None if they see every key.
            row: The index of the first of these rows in the forward.
        """
        count = weights.shape[2]
        for number, run in enumerate(self.rows):
            if run is None:
                continue
            ahead = max(run.padding - self._start, 0)  # rows of this forward that are the row's padding
            skip = max(ahead - row, 0)
            if skip >= count:
                continue
            mine = weights[number : number + 1, :, skip:, run.padding :]
            seen, own = (None, rows) if count == 1 or mask is None else self._own(mask, rows, number, run, skip)
            run.recorder.add(mine, own, seen, row + skip - ahead)

    def add_outputs(self, out: Tensor) -> None:
        """Records the outputs of the open layer, for each run that asks for them.

        Args:
            out: (b, Q, H, D) outputs.
        """
        for number, run in enumerate(self.rows):
            if run is not None:
                run.recorder.add_outputs(out[number : number + 1, max(run.padding - self._start, 0) :])

    def close_layer(self) -> None:
        """Ends the open layer."""
        for run in self.rows:
            if run is not None:
                run.recorder.close_layer()

    def _own(self, mask: Tensor, rows: RowMask, number: int, run: RowRun, skip: int) -> tuple[Tensor, RowMask]:
        """The mask of one run's rows without padding; the same objects for all layers that share a mask."""
        key = (id(rows.mask), number, skip)
        if key not in self._masks or self._masks[key][1].shape[2] != mask.shape[2] - skip:
            mine = mask[number : number + 1] if mask.shape[0] > 1 else mask
            mine = mine[:, :, skip:, run.padding :]
            own = RowMask(mine, mine.shape[2], mine.shape[3], rows.causal, rows.device)
            self._masks[key] = (mask, mine, own)
        return self._masks[key][1:]
