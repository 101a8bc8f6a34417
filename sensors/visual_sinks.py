"""VisualSinks: how much of the attention on the image lies on sink tokens, which carry no information?

Kang et al. (arXiv 2503.03321): tokens that draw attention whatever the question is have a few very large dimensions in
the residual stream. Let D_sink be the dimensions that are largest on the first token in the middle layers; they are
found for each model. A token with vector x at the input of layer l is a sink if

    φ(x) = max_{d ∈ D_sink} |x_d| / RMS(x) > τ,    τ = 20

A head's row is *image-centric* if at least 0.2 of its attention lies on the image, and at most ρ = 0.5 of that on
sinks. In these rows, the paper moves the attention on sinks to the image's other tokens. Cost: one more forward over
the prompt, for the hidden states.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ConfigError
from homeostat.sensors.attempts import Attempt, Readout
from homeostat.sensors.context import SensorContext
from homeostat.sensors.contracts import HiddenStates, Need
from homeostat.sensors.readings import Reading, not_judged

__all__ = ["VisualSinks", "image_centric", "sink_dimensions", "sink_values"]

TAU, RHO, LEAST = 20.0, 0.5, 0.2


class VisualSinks:
    """Measures the share of the image's attention that lies on visual sinks, and alarms above the threshold.

    ``value`` lies in [0, 1], over all probed heads and tokens. ``sinks`` and ``other_sinks`` hold φ of every sink in
    the image and elsewhere, the largest over the probed layers. ``detail`` holds ``sinks``, the number of the image's
    tokens that are sinks in some probed layer, and ``image_centric``, the share of image-centric (token, head) rows.
    ``layer_sinks`` holds the slots of all sinks of every probed layer.

    The sensor needs a model that implements :class:`~homeostat.sensors.contracts.HiddenStates`.
    """

    needs: frozenset[Need] = frozenset({"attention", "model"})
    side: Literal["above"] = "above"

    def __init__(
        self,
        span: str = "screen",
        *,
        threshold: float = 0.5,
        tau: float = TAU,
        dimensions: tuple[int, ...] | None = None,
        name: str = "visual_sinks",
    ) -> None:
        """Creates the sensor.

        Args:
            span: The image's label.
            threshold: The share above which it alarms. The default is **not calibrated**.
            tau: τ; the default is the paper's.
            dimensions: The model's sink dimensions, as :func:`sink_dimensions` finds them on a typical prompt; None
                finds them on the attempt's own prompt.
            name: The sensor's name.

        Raises:
            ConfigError: A setting is invalid.
        """
        if not 0 <= threshold <= 1 or not tau > 0:
            raise ConfigError(f"threshold={threshold!r}, tau={tau!r}: pass a share, and a τ above 0")
        self.name = name
        self.span = span
        self.threshold = threshold
        self.tau = tau
        self.dimensions = dimensions
        self.reads = Readout(keys=frozenset({span}))

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """Reads an attempt, and runs the model on its prompt."""
        spans = attempt.spans
        keys = None if spans is None else spans.keys.get(self.span)
        if spans is None or spans.spans is None or keys is None or not len(keys):
            return self._nothing(f"the keys of {self.span!r} were not recorded: Readout(keys={{{self.span!r}}})")
        if context.prompt is None or not isinstance(context.model, HiddenStates):
            return self._nothing("there is no prompt, or no model that returns hidden states")
        slots = [s for start, stop in spans.spans[self.span] for s in range(start, stop)]
        hidden = context.model.hidden(context.prompt)
        if max(slots) >= hidden.shape[1] or max(spans.layers) >= len(hidden):
            return self._nothing("the hidden states do not belong to this prompt")
        dimensions = self.dimensions or sink_dimensions(hidden)
        values = sink_values(hidden[list(spans.layers)], dimensions)  # (L, P)
        sinks = values[:, slots] > self.tau  # (L, n)
        mine, most = set(slots), values.max(0)
        strong = {int(slot): float(most[slot]) for slot in np.flatnonzero(most > self.tau)}
        mass = keys.sum(-1, dtype=np.float64)
        wasted = (keys * sinks[None, :, None]).sum(-1, dtype=np.float64)
        value = float(wasted.sum() / mass.sum()) if mass.sum() > 0 else 0.0
        count = int(sinks.any(0).sum())
        return Reading(
            sensor=self.name,
            value=value,
            threshold=self.threshold,
            alarm=value > self.threshold,
            reason=f"{value:.0%} of the attention on {self.span!r} lies on sinks, {count} of its {len(slots)} tokens",
            span=self.span,
            sinks={slot: size for slot, size in strong.items() if slot in mine},
            other_sinks={slot: size for slot, size in strong.items() if slot not in mine},
            layer_sinks={
                layer: tuple(map(int, np.flatnonzero(row > self.tau)))
                for layer, row in zip(spans.layers, values, strict=True)
            },
            detail={"sinks": float(count), "image_centric": float(image_centric(keys, sinks).mean())},
        )

    def _nothing(self, reason: str) -> Reading:
        return not_judged(self.name, reason, threshold=self.threshold, span=self.span)


def sink_dimensions(hidden: NDArray[np.floating], count: int = 2) -> tuple[int, ...]:
    """Finds the dimensions that are largest on the first token, relative to its RMS, in the middle third of the layers.

    Args:
        hidden: (L + 1, P, D) hidden states.
        count: The number of dimensions.

    Returns:
        The dimensions, in ascending order.

    Raises:
        ConfigError: The count is below 1 or above D.
    """
    if not 1 <= count <= hidden.shape[-1]:
        raise ConfigError(
            f"count={count!r} of {hidden.shape[-1]} dimensions; pass 1 or more, and no more than there are"
        )
    third = len(hidden) // 3
    first = hidden[third : max(len(hidden) - third, third + 1), 0].astype(np.float64)
    size = np.abs(first) / _rms(first)[:, None]
    return tuple(sorted(int(d) for d in np.argsort(-size.mean(0), kind="stable")[:count]))


def sink_values(hidden: NDArray[np.floating], dimensions: tuple[int, ...]) -> NDArray[np.float64]:
    """Computes φ.

    Args:
        hidden: (…, D) hidden states.
        dimensions: The sink dimensions.

    Returns:
        (…,) values of φ.
    """
    wide = hidden.astype(np.float64)
    values: NDArray[np.float64] = np.abs(wide[..., list(dimensions)]).max(-1) / _rms(wide)
    return values


def image_centric(
    keys: NDArray[np.floating], sinks: NDArray[np.bool_], least: float = LEAST, rho: float = RHO
) -> NDArray[np.bool_]:
    """Finds the image-centric rows.

    Args:
        keys: (T, L, H, n) weights on the image's n keys.
        sinks: (L, n): whether the key is a sink.
        least: The least mass on the image.
        rho: ρ, the largest share of that mass on sinks.

    Returns:
        (T, L, H): True for image-centric rows.
    """
    mass = keys.sum(-1, dtype=np.float64)
    wasted = (keys * sinks[None, :, None]).sum(-1, dtype=np.float64)
    rows: NDArray[np.bool_] = (mass >= least) & (wasted <= rho * mass)
    return rows


def _rms(values: NDArray[np.float64]) -> NDArray[np.float64]:
    size: NDArray[np.float64] = np.maximum(np.sqrt((values**2).mean(-1)), 1e-12)
    return size
