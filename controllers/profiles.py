"""Which heads to steer: found once for a model by ``homeostat profile``, kept in a file, read by the presets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, field_serializer

from homeostat.controllers.settings import Settings
from homeostat.errors import ConfigError

__all__ = ["HeadProfile"]

Heads = frozenset[tuple[int, int]]


class HeadProfile(Settings):
    """``heads``: (layer, head) pairs by use (``pasta``, ``vhr``, …); ``gains``: numbers chosen by validation, by use.

    ``model``, ``weights`` (their hash; None for a hub name) and ``suite`` say what it was found on.
    """

    model: str
    weights: str | None = None
    suite: str = ""
    heads: Mapping[str, Heads] = Field(default_factory=dict)
    gains: Mapping[str, float] = Field(default_factory=dict)

    @field_serializer("heads")
    def _sorted(self, heads: Mapping[str, Heads]) -> dict[str, list[list[int]]]:
        return {use: [list(pair) for pair in sorted(found)] for use, found in heads.items()}

    def of(self, use: str) -> Heads | None:
        """The heads for a use; None (all) where none were found."""
        return self.heads.get(use) or None

    def save(self, path: Path) -> None:
        """Write it as JSON. Raises :class:`ConfigError` where it can't be written."""
        try:
            path.write_text(json.dumps(self.model_dump(), indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"can't write the profile {str(path)!r}: {error.strerror}; give another file") from None

    @classmethod
    def load(cls, path: Path) -> HeadProfile:
        """Read it. Raises :class:`ConfigError`, one line."""
        try:
            data: Any = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"profile {str(path)!r} can't be read: {error.strerror}; see homeostat profile") from None
        except ValueError:
            raise ConfigError(f"profile {str(path)!r} is no JSON; make it anew: homeostat profile") from None
        if not isinstance(data, dict):
            raise ConfigError(f"profile {str(path)!r} holds {type(data).__name__}, no object; make it anew")
        return cls(**data)

    def check(self, model: str, weights: str | None) -> None:
        """Raise :class:`ConfigError` where it was found on other weights."""
        if self.weights != weights:
            raise ConfigError(
                f"the head profile was found on {self.model!r} ({self.weights}), not on {model!r} ({weights}); "
                "find it anew: homeostat profile"
            )
