"""What the pointer's attention over patches should be, and the losses that ask for it.

V2P (arXiv 2508.13634, section 3) and GUI-Actor (2506.03143, section 3.2). With a the attention over P patches,

    peak    KL(p ‖ a)
    valley  Σ a_i over the patches outside of the box

``uniform`` (GUI-Actor): p is the same on every patch that touches the box. ``gauss`` (V2P): p_i ∝ the mass within
patch ∩ box of a Gaussian at the box's centre, σ = side / s on each axis; the released scripts use s = 1, which is
nearly uniform, and with s = 4.1325 the box is the 96 % interval. ``center``: all on the patch that holds the centre.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ConfigError

__all__ = ["FLAT", "PEAKED", "Box", "Labels", "inside", "peak_label"]

Box = tuple[float, float, float, float]
"""left, top, right, bottom, normalised."""
Labels = Literal["uniform", "center", "gauss"]
FLAT, PEAKED = 1.0, 4.1325


def inside(box: Box, rows: int, columns: int) -> NDArray[np.bool_]:
    """(P,) which patches, row by row, touch the box. Raises :class:`ConfigError` for a box that is none."""
    left, top, right, bottom = box
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ConfigError(f"box {box!r} is none; give left < right and top < bottom, all from 0 to 1")
    x, y = (_overlap(a, b, n) > 1e-9 for a, b, n in ((left, right, columns), (top, bottom, rows)))
    return np.outer(y, x).ravel()


def peak_label(box: Box, rows: int, columns: int, labels: Labels, sharpness: float = PEAKED) -> NDArray[np.float32]:
    """(P,) the wanted attention, summing to 1."""
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
    """The Gaussian's mass within each of ``count`` equal intervals, cut to [low, high]."""
    middle, sigma = (low + high) / 2, (high - low) / sharpness
    edges = np.clip(np.arange(count + 1) / count, low, high)
    below = np.array([0.5 * (1 + math.erf((e - middle) / (sigma * math.sqrt(2)))) for e in edges])
    return np.diff(below)
