"""Which attention heads to steer. ``homeostat profile`` finds them for a model and writes them to a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, field_serializer

from homeostat.controllers.settings import Settings
from homeostat.data_files import DataError, read_json
from homeostat.errors import ConfigError
from homeostat.sensors.steering.head_weights import HeadWeights

__all__ = ["HeadProfile", "Heads"]

Heads = frozenset[tuple[int, int]]
"""(layer, head) pairs, from 0."""


class HeadProfile(Settings):
    """A model's attention heads and gains for several ways of steering.

    Attributes:
        model: The model on which the profile was found.
        weights: The hash of the model's weights; None for a model from the hub.
        suite: The suite of tasks on which it was found.
        heads: The heads by their use, such as ``"pasta"`` or ``"vhr"``.
        gains: Numbers that were chosen by validation, by their use.
        head_weights: (layer, head, weight) of each head, by the span whose attention the weights scale.
    """

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

    def save(self, path: Path) -> None:
        """Writes the profile as JSON.

        Args:
            path: The file.

        Raises:
            ConfigError: The file can't be written.
        """
        try:
            path.write_text(json.dumps(self.model_dump(), indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"can't write the profile {str(path)!r}: {error.strerror}; choose another file") from None

    @classmethod
    def load(cls, path: Path) -> HeadProfile:
        """Reads a profile.

        Args:
            path: The file.

        Returns:
            The profile.

        Raises:
            ConfigError: The file can't be read, or it is not a profile.
        """
        try:
            data: Any = read_json(path)
        except DataError as error:
            raise ConfigError(
                f"profile {str(path)!r} can't be read: {error}; create it again with homeostat profile"
            ) from None
        if not isinstance(data, dict):
            raise ConfigError(
                f"profile {str(path)!r} holds a {type(data).__name__}; create it again with homeostat profile"
            )
        return cls(**data)

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
