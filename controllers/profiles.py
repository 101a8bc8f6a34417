"""Which attention heads to steer. ``homeostat profile`` finds them for a model and writes them to a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field, field_serializer

from homeostat.controllers.settings import Settings
from homeostat.errors import ConfigError
from homeostat.hub import HubRecord
from homeostat.model_cards import Card
from homeostat.sensors.steering.head_weights import HeadWeights

__all__ = ["HeadProfile", "Heads"]

Heads = frozenset[tuple[int, int]]
"""(layer, head) pairs, from 0."""


class HeadProfile(HubRecord, Settings):
    """A model's attention heads and gains for several ways of steering.

    Attributes:
        model: The model on which the profile was found.
        weights: The hash of the model's weights; None for a model from the hub.
        suite: The suite of tasks on which it was found.
        heads: The heads by their use, such as ``"pasta"`` or ``"vhr"``.
        gains: Numbers that were chosen by validation, by their use.
        head_weights: (layer, head, weight) of each head, by the span whose attention the weights scale.
    """

    file_name: ClassVar[str] = "heads.json"
    what: ClassVar[str] = "profile"
    remedy: ClassVar[str] = "create it again with homeostat profile"

    model: str
    weights: str | None = None
    suite: str = ""
    heads: Mapping[str, Heads] = Field(default_factory=dict)
    gains: Mapping[str, float] = Field(default_factory=dict)
    head_weights: Mapping[str, tuple[tuple[int, int, float], ...]] = Field(default_factory=dict)

    @field_serializer("heads")
    def _sorted(self, heads: Mapping[str, Heads]) -> dict[str, list[list[int]]]:
        return {use: [list(pair) for pair in sorted(found)] for use, found in heads.items()}

    def of(self, use: str) -> Heads | None:
        """Looks up the heads for a use.

        Args:
            use: The use, such as ``"pasta"``.

        Returns:
            The heads; None if the profile holds none for this use.
        """
        return self.heads.get(use) or None

    def weights_of(self, span: str) -> HeadWeights | None:
        """Looks up the head weights for a span.

        Args:
            span: The span's label.

        Returns:
            The weights; None if the profile holds none for this span.

        Raises:
            ConfigError: A weight is not valid, or a head has two.
        """
        rows = self.head_weights.get(span)
        return HeadWeights.from_rows(rows) if rows else None

    def card(self) -> Card:
        """Describes the profile for people.

        Returns:
            What its card tells.
        """
        found = {
            f"heads for {use}": " ".join(f"{layer}.{head}" for layer, head in sorted(heads))
            for use, heads in self.heads.items()
        }
        gains = {f"gain for {use}": f"{gain:g}" for use, gain in self.gains.items()}
        weights = {f"head weights for {span}": f"{len(rows)} heads" for span, rows in self.head_weights.items()}
        return Card(
            title=f"Attention heads of {self.model} that are worth steering",
            about="The heads, as layer.head, that the steering controllers of homeostat use. Use them with `homeostat "
            "run --heads REPO`.",
            load="from homeostat.controllers import HeadProfile\n\n"
            'profile = HeadProfile.from_pretrained("REPO")\n'
            f"heads = profile.of({next(iter(self.heads), 'pasta')!r})",
            made=f"`homeostat profile`: each head was steered alone on steps of the suite {self.suite or 'not known'} "
            "whose right answer is known, and the heads that made this answer more probable were kept.",
            limits="The heads belong to these weights; others are refused. They were chosen on this suite, so that "
            "their effect elsewhere has to be measured.",
            facts={"model": self.model, "weights": self.weights or "not known", **found, **gains, **weights},
            base_model=self.model,
            tags=("attention", "attention-steering"),
        )

    def check(self, model: str, weights: str | None) -> None:
        """Checks that the profile belongs to a model.

        Args:
            model: The model's name, for the error message.
            weights: The hash of the model's weights; None for a model from the hub.

        Raises:
            ConfigError: The profile was found on other weights.
        """
        if self.weights != weights:
            raise ConfigError(
                f"the head profile was found on {self.model!r} ({self.weights}), not on {model!r} ({weights}); "
                "create it again with homeostat profile"
            )
