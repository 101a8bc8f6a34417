"""The file that ``homeostat localize`` writes and ``homeostat align`` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from homeostat.data_files import read_record

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


class Localization(BaseModel):
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
        """Writes a JSON file.

        Args:
            file: The file; its folder is created if it does not exist.
        """
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, file: Path) -> Localization:
        """Reads a JSON file.

        Args:
            file: The file, or a folder with ``localization.json``.

        Returns:
            The localization.

        Raises:
            ConfigError: The file can't be read or holds something else.
        """
        path = file / "localization.json" if file.is_dir() else file
        return read_record(cls, path, "localization", "run homeostat localize")
