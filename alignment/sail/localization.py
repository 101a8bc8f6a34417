"""The file that ``homeostat localize`` writes and ``homeostat align`` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from homeostat.errors import ConfigError

__all__ = ["Causal", "Localization"]

Row = tuple[float, ...]


class Causal(BaseModel):
    """The causal check: ``cases`` conflicts, some heads' attention on the higher instruction times ``factor``.

    ``kept_*``: in which share the answer that keeps the hierarchy is likelier than the one that does not; ``margin_*``:
    by how many nats on average. ``plain``: unsteered; ``focal``: the focal heads; ``random``: as many others drawn, one
    number a draw.
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
        """Whether the focal heads move the margin more than every draw of random heads does."""
        moved = abs(self.margin_focal - self.margin_plain)
        return all(moved > abs(one - self.margin_plain) for one in self.margin_random)


class Localization(BaseModel):
    """Focal heads and layers of one model.

    ``magnitude``, ``direction``, ``distribution`` (L, H): the three families' mean drift between twins; ``score``
    (L, H): the sum of their z-scores. ``heads``: the top heads, (layer, head), the best first; ``layers``: the smallest
    set that holds half of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

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

    def save(self, file: Path) -> None:
        """Write as JSON."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, file: Path) -> Localization:
        """Raises :class:`ConfigError` for a file that is none."""
        path = file / "localization.json" if file.is_dir() else file
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"localization {str(path)!r} can't be read ({type(error).__name__}); run localize"
            ) from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ConfigError(
                f"{str(path)!r} is no localization: {where}: {first['msg']}; run localize again"
            ) from None
