"""The file that ``homeostat localize`` writes and ``homeostat align`` reads."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from homeostat.hub import HubRecord
from homeostat.model_cards import Card, Metric

__all__ = ["Causal", "Localization"]

Row = tuple[float, ...]


class Causal(BaseModel):
    """The causal check: does scaling the attention of the focal heads on the higher instruction change the answer?

    The margin of a conflict is log p(chosen) − log p(rejected), in nats per token.

    Attributes:
        factor: What the attention on the higher instruction is multiplied by.
        cases: The number of conflicts.
        kept_plain: The share of conflicts with a positive margin, without steering.
        kept_focal: The same with the focal heads steered.
        kept_random: The same with as many random other heads steered, for each draw.
        margin_plain: The mean margin without steering.
        margin_focal: The mean margin with the focal heads steered.
        margin_random: The mean margin with as many random other heads steered, for each draw.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    factor: float
    cases: int
    kept_plain: float
    kept_focal: float
    kept_random: tuple[float, ...]
    margin_plain: float
    margin_focal: float
    margin_random: tuple[float, ...]

    @property
    def holds(self) -> bool:
        """Whether the focal heads move the margin more than every random draw does."""
        moved = abs(self.margin_focal - self.margin_plain)
        return all(moved > abs(one - self.margin_plain) for one in self.margin_random)


class Localization(HubRecord):
    """The focal heads and layers of one model. The four tables are (L, H), as in
    :class:`~homeostat.alignment.sail.head_drift.HeadDrift`.

    Attributes:
        model: The model's name.
        weights: The hash of the model's weights; empty if it is not known.
        twins: The number of pairs of twins that were read.
        higher: Labels of the spans of the higher instruction.
        magnitude: Drift of the attention mass on the higher instruction.
        direction: Drift of the direction of the head's output.
        distribution: Drift of the distribution over the spans, in nats.
        score: The sum of the mean z-scores of the three.
        heads: The focal heads as (layer, head), the highest score first.
        layers: The smallest set of layers that contains half of the focal heads.
        causal: The causal check; None if it was skipped.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file_name: ClassVar[str] = "localization.json"
    what: ClassVar[str] = "localization"
    remedy: ClassVar[str] = "run homeostat localize"

    model: str
    weights: str = ""
    twins: int
    higher: tuple[str, ...]
    magnitude: tuple[Row, ...]
    direction: tuple[Row, ...]
    distribution: tuple[Row, ...]
    score: tuple[Row, ...]
    heads: Annotated[tuple[tuple[int, int], ...], Field(min_length=1)]
    layers: Annotated[tuple[int, ...], Field(min_length=1)]
    causal: Causal | None = None

    def card(self) -> Card:
        """Describes the localization for people.

        Returns:
            What its card tells.
        """
        facts = {
            "model": self.model,
            "weights": self.weights or "not known",
            "higher instruction": ", ".join(self.higher),
            "focal heads": " ".join(f"{layer}.{head}" for layer, head in self.heads),
            "focal layers": ", ".join(map(str, self.layers)),
        }
        metrics: tuple[Metric, ...] = ()
        if self.causal is not None:
            check, on = self.causal, f"{self.causal.cases} conflicts, attention scaled by {self.causal.factor:g}"
            facts["causal check"] = "holds" if check.holds else "does not hold"
            metrics = (
                Metric("margin, focal heads steered", check.margin_focal, on, before=check.margin_plain),
                Metric(
                    "margin, random heads steered",
                    sum(check.margin_random) / len(check.margin_random),
                    f"{on}; mean and range of {len(check.margin_random)} draws",
                    interval=(min(check.margin_random), max(check.margin_random)),
                    before=check.margin_plain,
                ),
            )
        return Card(
            title=f"Where {self.model} attends differently when instructions conflict",
            about="The heads and layers whose attention changes between a conflict of instructions and its aligned "
            "twin. Use them with `homeostat align --localization REPO` and `homeostat fit-probe --heads REPO`.",
            load="from homeostat.alignment import Localization\n\n"
            'found = Localization.from_pretrained("REPO")\n'
            "heads, layers = found.heads, found.layers",
            made=f"`homeostat localize` on {self.twins} pairs of twins. The margin is log p(chosen) − log p(rejected), "
            "in nats per token.",
            limits="The heads belong to these weights and these kinds of conflict. A change of attention is no proof "
            "of its effect: see the causal check.",
            facts=facts,
            metrics=metrics,
            base_model=self.model,
            tags=("attention", "instruction-hierarchy", "localization"),
        )
