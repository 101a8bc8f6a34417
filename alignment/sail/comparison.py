"""How many focal heads two localizations share, against chance.

Merullo, Eickhoff and Pavlick (arXiv 2310.08744) find that two tasks use largely the same attention heads. Here the two
sets are focal heads: of two tasks, of two models of one shape, or of two seeds. Their overlap is compared with two null
models, in each of which one of the sets is replaced by a random one:

- *Equal size.* The random set has as many heads, drawn from all N heads of the model. The number of shared heads is
  then hypergeometric: of N heads K are focal in one localization and n in the other, and K · n / N are expected.
- *Equal size in every layer.* The random set also has as many heads in each layer. The number of shared heads is a sum
  of one hypergeometric number for each layer. Focal heads gather in the middle layers of almost any model, so this null
  model says whether the localizations agree on heads and not only on layers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy import stats

from homeostat.alignment.sail.localization import Localization
from homeostat.data_files import StrPath
from homeostat.errors import ConfigError

__all__ = ["HeadOverlap", "Layer", "compare_heads"]

Heads = tuple[tuple[int, int], ...]


class Layer(BaseModel):
    """The focal heads of one layer.

    Attributes:
        layer: The layer's index.
        one: The number of focal heads in the first localization.
        other: The number in the second.
        shared: The number of heads that are focal in both.
        expected: The shared heads to expect of a random set of as many heads of this layer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layer: int
    one: int
    other: int
    shared: int
    expected: float


class HeadOverlap(BaseModel):
    """The overlap of two localizations' focal heads.

    Attributes:
        one: The name of the first localization's model.
        other: The name of the second's.
        heads: N, the number of all heads.
        focal_one: K, the number of focal heads in the first localization.
        focal_other: n, the number in the second.
        shared: The heads that are focal in both, as (layer, head).
        only_one: The heads that are focal in the first only.
        only_other: The heads that are focal in the second only.
        jaccard: The shared heads divided by the heads that are focal in either.
        expected: The number of shared heads to expect of a random set of equal size, K · n / N.
        more: The probability that a random set of equal size shares as many heads or more.
        fewer: The probability that it shares as many heads or fewer.
        expected_in_layers: The number to expect of a random set of equal size in every layer.
        more_in_layers: The probability that such a set shares as many heads or more.
        rank_correlation: Spearman's correlation of the two scores over all heads; None if a score is constant.
        layers: The layers in which either localization has a focal head.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    one: str
    other: str
    heads: int
    focal_one: int
    focal_other: int
    shared: Heads
    only_one: Heads
    only_other: Heads
    jaccard: float
    expected: float
    more: float
    fewer: float
    expected_in_layers: float
    more_in_layers: float
    rank_correlation: float | None
    layers: tuple[Layer, ...]

    def save(self, file: StrPath) -> None:
        """Writes a JSON file.

        Args:
            file: The file; its folder is created if it does not exist.

        Raises:
            ConfigError: The file can't be written.
        """
        path = Path(file)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"can't write {str(path)!r}: {error.strerror}; give another --out") from None


def compare_heads(one: Localization, other: Localization) -> HeadOverlap:
    """Compares the focal heads of two localizations.

    Args:
        one: A localization.
        other: Another one, of the same model or of a model of the same shape.

    Returns:
        The overlap.

    Raises:
        ConfigError: The models differ in their number of layers or heads, or a focal head lies outside of its table.
    """
    tables = [_table(found) for found in (one, other)]
    if tables[0].shape != tables[1].shape:
        shapes = " and ".join(f"{la} × {h}" for la, h in (t.shape for t in tables))
        raise ConfigError(
            f"{one.model!r} and {other.model!r} have {shapes} layers and heads; compare models of one shape"
        )
    layers, width = tables[0].shape
    first, second = set(one.heads), set(other.heads)
    for name, focal in ((one.model, first), (other.model, second)):
        if outside := [head for head in focal if not (0 <= head[0] < layers and 0 <= head[1] < width)]:
            raise ConfigError(f"{name!r} has no head {min(outside)!r}; it has {layers} layers of {width} heads")
    shared, total = first & second, layers * width
    counts = [np.bincount([la for la, _ in focal], minlength=layers) for focal in (first, second, shared)]
    k, n = counts[0], counts[1]
    chance = stats.hypergeom(total, len(first), len(second))
    sums = np.ones(1)  # the probabilities of 0, 1, 2, … shared heads, over the layers so far
    for a, b in zip(k, n, strict=True):
        sums = np.convolve(sums, stats.hypergeom(width, a, b).pmf(np.arange(min(a, b) + 1)))
    varies = all(np.ptp(table) > 0 for table in tables)
    return HeadOverlap(
        one=one.model,
        other=other.model,
        heads=total,
        focal_one=len(first),
        focal_other=len(second),
        shared=tuple(sorted(shared)),
        only_one=tuple(sorted(first - second)),
        only_other=tuple(sorted(second - first)),
        jaccard=len(shared) / len(first | second),
        expected=len(first) * len(second) / total,
        more=_probability(chance.sf(len(shared) - 1)),
        fewer=_probability(chance.cdf(len(shared))),
        expected_in_layers=float((k * n / width).sum()),
        more_in_layers=_probability(sums[len(shared) :].sum()),
        rank_correlation=float(stats.spearmanr(*(t.ravel() for t in tables)).statistic) if varies else None,
        layers=tuple(
            Layer(layer=la, one=int(a), other=int(b), shared=int(s), expected=float(a * b / width))
            for la, (a, b, s) in enumerate(zip(*counts, strict=True))
            if a or b
        ),
    )


def _table(found: Localization) -> NDArray[np.float64]:
    """The (L, H) scores."""
    if len({len(row) for row in found.score}) != 1:
        raise ConfigError(
            f"the scores of {found.model!r} are no table of layers and heads; run homeostat localize again"
        )
    table: NDArray[np.float64] = np.array(found.score, np.float64)
    return table


def _probability(value: Any) -> float:
    """Within [0, 1], which rounding may leave by a little."""
    return float(np.clip(value, 0, 1))
