"""The wanted attention of the pointer over the patches of a screenshot. This module does not import torch.

- ``uniform`` (GUI-Actor, arXiv 2506.03143, section 3.2): the same value on every patch that touches the box.
- ``gauss`` (V2P, arXiv 2508.13634, section 3): the mass, within the patch and the box, of a Gaussian at the centre of
  the box with σ = side / s on each axis. The released scripts use s = 1, which is nearly uniform. With s = 4.1325 the
  box is the 96 % interval.
- ``center``: 1 on the patch that contains the centre of the box.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ConfigError

__all__ = ["FLAT", "PEAKED", "Box", "Labels", "inside", "peak_label"]

Box = tuple[float, float, float, float]
"""left, top, right, bottom, as shares of the width and the height."""
Labels = Literal["uniform", "center", "gauss"]
FLAT = 1.0
"""The sharpness s of V2P's released scripts."""
PEAKED = 4.1325
"""The sharpness s with which the box is the 96 % interval."""


def inside(box: Box, rows: int, columns: int) -> NDArray[np.bool_]:
    """Finds the patches that touch a box.

    Args:
        box: The box.
        rows: The number of rows of patches.
        columns: The number of columns of patches.

    Returns:
        (P,), row by row, whether the patch touches the box.

    Raises:
        ConfigError: The box has no area, or reaches beyond the screen.
    """
    left, top, right, bottom = box
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ConfigError(f"box {box!r} is not valid; give left < right and top < bottom, all from 0 to 1")
    x, y = (_overlap(a, b, n) > 1e-9 for a, b, n in ((left, right, columns), (top, bottom, rows)))
    return np.outer(y, x).ravel()


def peak_label(box: Box, rows: int, columns: int, labels: Labels, sharpness: float = PEAKED) -> NDArray[np.float32]:
    """Computes the wanted attention for a box.

    Args:
        box: The box.
        rows: The number of rows of patches.
        columns: The number of columns of patches.
        labels: The form of the attention.
        sharpness: s, for the labels ``gauss``.

    Returns:
        The wanted attention (P,), row by row. It sums to 1.

    Raises:
        ConfigError: The box has no area, or reaches beyond the screen.
    """
    touched = inside(box, rows, columns)
    left, top, right, bottom = box
    if labels == "uniform":
        wanted = touched.astype(np.float64)
    elif labels == "center":
        wanted = np.zeros(rows * columns)
        row, column = int((top + bottom) / 2 * rows), int((left + right) / 2 * columns)
        wanted[min(row, rows - 1) * columns + min(column, columns - 1)] = 1
    else:
        x = _gauss_mass(left, right, columns, sharpness)
        y = _gauss_mass(top, bottom, rows, sharpness)
        wanted = np.outer(y, x).ravel() * touched
    label: NDArray[np.float32] = (wanted / wanted.sum()).astype(np.float32)
    return label


def _overlap(low: float, high: float, count: int) -> NDArray[np.float64]:
    edges = np.arange(count + 1) / count
    overlap: NDArray[np.float64] = np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0, None)
    return overlap


def _gauss_mass(low: float, high: float, count: int, sharpness: float) -> NDArray[np.float64]:
    """Returns the Gaussian's mass within each of ``count`` equal intervals, clipped to [low, high]."""
    middle, sigma = (low + high) / 2, (high - low) / sharpness
    edges = np.clip(np.arange(count + 1) / count, low, high)
    below = np.array([0.5 * (1 + math.erf((e - middle) / (sigma * math.sqrt(2)))) for e in edges])
    return np.diff(below)
