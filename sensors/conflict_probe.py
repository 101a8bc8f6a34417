"""ConflictProbe: a learned reading of whether the instructions of a prompt contradict each other.

A linear probe on the attention masses of single heads, as Lookback Lens (Chuang et al., arXiv 2407.07071, section 2)
has one on each head's ratio of attention to context and to new tokens. Here the features are the masses of the answer's
first token on the instruction with authority and on the one without, in the heads that ``homeostat localize`` found:

    x = (log intensity on the higher span, log intensity on the lower span) of every head,
    value = w · (x − μ) / σ + b

An intensity is the mass for each key, relative to attention that is spread evenly over all visible keys, so that the
length of a span does not matter by itself. ``homeostat fit-probe`` learns w and b on conflicts and their aligned twins,
and sets the threshold on other wordings. A mean over heads shows nothing of a conflict on the models that were tried;
single heads do (``docs/evidence.md``).
"""

from __future__ import annotations

import os
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, model_validator

from homeostat.hub import HubRecord
from homeostat.model_cards import Card, Metric
from homeostat.sensors.attempts import Attempt, SpanMass
from homeostat.sensors.attention_drift import FLOOR
from homeostat.sensors.context import SensorContext
from homeostat.sensors.contracts import Need
from homeostat.sensors.readings import Reading, not_judged
from homeostat.sensors.spans import covered

__all__ = ["ConflictProbe", "ProbeWeights", "head_features"]

_AUROC_DEV = ("AUROC on dev", "dev wordings")


class ProbeWeights(HubRecord):
    """What ``homeostat fit-probe`` learns for one model.

    Attributes:
        model: The model's name.
        weights: The hash of the model's weights; empty if it is not known.
        higher: Labels of the spans of the instruction with authority.
        lower: Labels of the spans of the instruction without.
        heads: The N heads, as (layer, head).
        mean: The 2 N means of the features on the training prompts: each head's higher, then its lower one.
        scale: Their 2 N standard deviations.
        coefficients: The 2 N weights of the standardised features.
        intercept: What is added.
        threshold: The value above which there is an alarm.
        rate: The share of aligned prompts that may raise an alarm.
        prompts: The number of training prompts.
        figures: What was measured while fitting, by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    file_name: ClassVar[str] = "probe.json"
    what: ClassVar[str] = "probe"
    remedy: ClassVar[str] = "write it with homeostat fit-probe"

    model: str
    weights: str = ""
    higher: Annotated[tuple[str, ...], Field(min_length=1)]
    lower: Annotated[tuple[str, ...], Field(min_length=1)]
    heads: Annotated[tuple[tuple[int, int], ...], Field(min_length=1)]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float
    threshold: float
    rate: float = Field(gt=0, lt=1)
    prompts: int
    figures: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _sizes(self) -> Self:
        for name in ("mean", "scale", "coefficients"):
            if len(getattr(self, name)) != 2 * len(self.heads):
                raise ValueError(f"{name} has {len(getattr(self, name))} numbers for {len(self.heads)} heads")
        if min(self.scale) <= 0:
            raise ValueError("scale holds a number that is not above 0")
        return self

    def value(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Computes the probe's values.

        Args:
            features: (n, 2 N) or (2 N,) features, as :func:`head_features` makes them.

        Returns:
            (n,) or a scalar.
        """
        standard = (features - np.array(self.mean)) / np.array(self.scale)
        found: NDArray[np.float64] = standard @ np.array(self.coefficients) + self.intercept
        return found

    def card(self) -> Card:
        """Describes the probe for people.

        Returns:
            What its card tells.
        """
        told = {"auroc_left_out": ("AUROC", "train wordings that were left out of the fit"), "auroc_dev": _AUROC_DEV}
        told |= {"alarms_dev": ("share of conflicts with an alarm", "dev wordings")}
        known = [(*told.get(name, (name, "not known")), value) for name, value in self.figures.items()]
        return Card(
            title=f"A probe of contradicting instructions for {self.model}",
            about=f"A linear probe on the attention of {len(self.heads)} heads, which alarms where the user's "
            "instruction contradicts the system's. Use it with `homeostat run --probe REPO`.",
            load="from homeostat.sensors import ConflictProbe\n\n"
            'sensor = ConflictProbe.from_pretrained("REPO")\n'
            "threshold = sensor.threshold",
            made=f"`homeostat fit-probe` on {self.prompts} prompts: conflicts and their aligned twins. The threshold "
            f"was set on other wordings, so that at most {self.rate:.0%} of the twins alarm.",
            limits="The probe belongs to these weights; others are refused. It was learned on generated conflicts of "
            "the kinds that homeostat knows, and reads a correlate of the conflict, not its cause.",
            facts={
                "model": self.model,
                "weights": self.weights or "not known",
                "higher spans": ", ".join(self.higher),
                "lower spans": ", ".join(self.lower),
                "heads": " ".join(f"{layer}.{head}" for layer, head in self.heads),
                "alarm above": f"{self.threshold:+.4g}",
            },
            metrics=tuple(Metric(name, value, on) for name, on, value in known),
            base_model=self.model,
            tags=("attention", "instruction-hierarchy", "probe"),
        )


class ConflictProbe:
    """Alarms where the model's attention looks as it does when instructions contradict each other.

    ``value`` is the probe's value; 0 lies midway between conflicts and aligned prompts of the training data. ``detail``
    holds the mean intensities of the ``higher`` and the ``lower`` spans over the probe's heads.
    """

    needs: frozenset[Need] = frozenset({"attention"})
    side: Literal["above"] = "above"

    def __init__(self, probe: ProbeWeights, *, name: str = "conflict_probe") -> None:
        """Creates the sensor.

        Args:
            probe: What was learned.
            name: The sensor's name.
        """
        self.probe, self.name = probe, name
        self.threshold = probe.threshold

    @classmethod
    def load(cls, file: str | os.PathLike[str]) -> ConflictProbe:
        """Creates the sensor from a file.

        Args:
            file: The file that ``homeostat fit-probe`` wrote, or its folder.

        Returns:
            The sensor.

        Raises:
            ConfigError: The file can't be read or holds something else.
        """
        return cls(ProbeWeights.load(file))

    @classmethod
    def from_pretrained(
        cls, name: str | os.PathLike[str], *, revision: str | None = None, token: str | None = None
    ) -> ConflictProbe:
        """Creates the sensor from a folder, a file or the hub.

        Args:
            name: A folder, a file, or a name on the hub.
            revision: The version on the hub; None takes the newest.
            token: The token for the hub; None takes the one that you are logged in with.

        Returns:
            The sensor.

        Raises:
            ConfigError: There is no such file, or it holds something else.
            HubError: The hub has nothing of this name, or can't be reached.
        """
        return cls(ProbeWeights.from_pretrained(name, revision=revision, token=token))

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """Reads an attempt; it is not judged without attention, or without spans of both kinds."""
        spans = attempt.spans
        if spans is None or not len(spans.mass):
            return self._nothing("no attention was read" if spans is None else "no token was generated")
        features = head_features(spans, self.probe.heads, self.probe.higher, self.probe.lower)
        if features is None:
            return self._nothing("the prompt lacks one of the two instructions, or a head of the probe was not read")
        value = float(self.probe.value(features))
        high, low = np.exp(features.reshape(-1, 2)).mean(0)
        return Reading(
            sensor=self.name,
            value=value,
            threshold=self.threshold,
            alarm=value > self.threshold,
            reason=f"the attention looks like that of a conflict ({value:+.2f}, alarm above {self.threshold:+.2f})",
            span=covered(self.probe.higher, spans.labels)[0],
            detail={"higher": float(high), "lower": float(low)},
        )

    def _nothing(self, reason: str) -> Reading:
        return not_judged(self.name, reason, threshold=self.threshold)


def head_features(
    spans: SpanMass, heads: tuple[tuple[int, int], ...], higher: tuple[str, ...], lower: tuple[str, ...]
) -> NDArray[np.float64] | None:
    """Computes the probe's features of one prompt.

    Args:
        spans: The span masses; the first token's row is used.
        heads: The N heads.
        higher: Labels of the instruction with authority.
        lower: Labels of the instruction without.

    Returns:
        (2 N,) log intensities: each head's on the higher span, then on the lower one. None if a head was not probed, or
        a side has no tokens.
    """
    if any(layer not in spans.layers or head >= spans.mass.shape[2] for layer, head in heads):
        return None
    rows = [spans.layers.index(layer) for layer, _ in heads]
    columns = [head for _, head in heads]
    sides = []
    for labels in (higher, lower):
        mine = [spans.labels.index(label) for label in covered(labels, spans.labels)]
        keys = int(spans.lengths[mine].sum()) if mine else 0
        if not keys:
            return None
        mass = spans.mass[0][rows, columns][:, mine].sum(-1, dtype=np.float64)
        sides.append(np.log(np.maximum(mass * float(spans.visible[0]) / keys, FLOOR)))
    return np.stack(sides, 1).reshape(-1)
