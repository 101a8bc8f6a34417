"""Follows the measurements of a training run and warns, in one line, before a collapse.

Two things end badly (arXiv 2303.06296 and 2309.14322): a layer's attention entropy falls towards 0, because each row
looks at a single key, and the attention logits grow without bound, which is how it gets there; or the output logits
drift away. Notable choices, which are ours:

- The warning looks ahead. A line through the logarithms of the last measurements is extended by as many steps as they
  span, because entropies fall and logits grow by factors. An entropy that falls ever more slowly is therefore no alarm.
- A pretrained layer may look at few keys by design. A layer is therefore warned about only if its entropy is, or soon
  will be, below ``floor`` and below half of its first value.
- Each layer is warned about once for each cause.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from homeostat.alignment.stability.measurement import Measurement
from homeostat.errors import ConfigError

__all__ = ["StabilityWatch"]


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class StabilityWatch:
    """Remembers the measurements of a run, and says when one of them heads for a collapse.

    Attributes:
        every: The number of steps from one measurement to the next.
        warnings: The warnings so far.
    """

    def __init__(
        self,
        every: int = 20,
        *,
        floor: float = 0.05,
        ceiling: float = 1e4,
        drift: float = 50.0,
        last: int = 5,
        say: Callable[[str], None] = _to_stderr,
    ) -> None:
        """Creates the watch.

        Args:
            every: The number of steps from one measurement to the next.
            floor: The normalised attention entropy that counts as collapsed.
            ceiling: The attention logit that counts as diverged; models were seen to diverge above 1e4 (arXiv
                2309.14322, section 3.3).
            drift: How far log Z may move from its first value, in nats.
            last: The number of measurements that the trend is taken from, at least 3.
            say: Receives each warning.

        Raises:
            ConfigError: A setting is out of its range.
        """
        if every < 1:
            raise ConfigError(f"every={every!r} counts steps; give 1 or more")
        if not 0 < floor < 1:
            raise ConfigError(f"floor={floor!r} is not a normalised entropy; give a number between 0 and 1")
        if last < 3:
            raise ConfigError(f"last={last!r} measurements give no trend; give 3 or more")
        self.every, self.warnings = every, list[str]()
        self._floor, self._ceiling, self._drift, self._last, self._say = floor, ceiling, drift, last, say
        self._history: dict[str, list[tuple[int, float]]] = {}
        self._warned: set[str] = set()

    def due(self, step: int) -> bool:
        """Checks whether a step is to be measured.

        Args:
            step: The number of finished steps.

        Returns:
            Whether it is a multiple of ``every``.
        """
        return step % self.every == 0

    def add(self, step: int, measurement: Measurement) -> dict[str, float]:
        """Remembers a measurement, and warns if it heads for a collapse.

        Args:
            step: The number of finished steps.
            measurement: The measurement.

        Returns:
            The measured values by name, for a log.
        """
        figures = measurement.figures()
        self.recall(step, figures)
        for layer in measurement.entropy:
            self._check_entropy(f"attention_entropy/{layer}", layer)
        for layer in measurement.max_logit:
            self._check_logit(f"attention_logit/{layer}", layer)
        if measurement.log_z is not None:
            self._check_output()
        return figures

    def recall(self, step: int, figures: Mapping[str, float]) -> None:
        """Remembers values without a warning, such as those of a run that is resumed.

        Args:
            step: The number of finished steps.
            figures: The values by name, as :meth:`add` returned them.
        """
        for name, value in figures.items():
            self._history.setdefault(name, []).append((step, value))

    def tell(self, line: str) -> None:
        """Passes a line on, and keeps it among the warnings.

        Args:
            line: The line.
        """
        self.warnings.append(line)
        self._say(line)

    def summary(self) -> dict[str, list[float]]:
        """Returns the first and the last value of everything that was measured, by name."""
        return {name: [values[0][1], values[-1][1]] for name, values in self._history.items()}

    def _check_entropy(self, name: str, layer: int) -> None:
        (_, first), values = self._history[name][0], self._history[name]
        now, bound = values[-1][1], min(self._floor, first / 2)
        if now < bound:
            self._warn(name, f"the attention of layer {layer} has collapsed: its entropy is {now:.3f} of 1")
        elif now < first and _ahead(values, self._last) < bound:
            self._warn(
                name,
                f"the attention of layer {layer} is about to collapse: its entropy fell from {first:.3f} to {now:.3f} "
                "of 1",
            )

    def _check_logit(self, name: str, layer: int) -> None:
        values = self._history[name]
        first, now = values[0][1], values[-1][1]
        if not math.isfinite(now) or now > self._ceiling:
            self._warn(name, f"the attention logits of layer {layer} have diverged: the largest is {now:.3g}")
        elif now > 2 * max(first, 1.0) and _ahead(values, self._last) > self._ceiling:
            self._warn(
                name,
                f"the attention logits of layer {layer} are about to diverge: the largest grew from {first:.3g} to "
                f"{now:.3g}",
            )

    def _check_output(self) -> None:
        values = self._history["log_z"]
        first, now = values[0][1], values[-1][1]
        if not math.isfinite(now) or abs(now - first) > self._drift:
            self._warn("log_z", f"the output logits drift: log Z went from {first:.1f} to {now:.1f}")

    def _warn(self, name: str, what: str) -> None:
        if name in self._warned:
            return
        self._warned.add(name)
        step = self._history[name][-1][0]
        line = f"warning: step {step}: {what}; lower the learning rate, or warm up for longer"
        self.tell(line)


def _ahead(values: Sequence[tuple[int, float]], last: int) -> float:
    """The value after as many steps again as the last ones span, by a line through logarithms; the last if too few."""
    steps = np.array([step for step, _ in values[-last:]], dtype=np.float64)
    found = np.array([value for _, value in values[-last:]], dtype=np.float64)
    if len(values) < last or steps[-1] == steps[0] or not np.isfinite(found).all():
        return values[-1][1]
    slope, start = np.polyfit(steps - steps[0], np.log(np.maximum(found, 1e-6)), 1)
    return math.exp(min(start + slope * 2 * (steps[-1] - steps[0]), 700.0))
