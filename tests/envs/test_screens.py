"""Screenshots on disk: what is read back, by us and by another decoder, is what was written."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from homeostat.envs.screens import load_screen, save_screen, screen_digest

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 9, 3), (9, 1, 3), (37, 53, 3)])
@pytest.mark.parametrize("kind", ["noise", "flat", "every second column"])
def test_a_screen_is_read_back_by_pillow_too(tmp_path: Path, shape: tuple[int, int, int], kind: str) -> None:
    image = RANDOM.integers(0, 256, shape).astype(np.uint8)
    if kind == "flat":
        image = np.full(shape, 200, np.uint8)
    elif kind == "every second column":
        image = np.repeat(image, 2, axis=1)[:, ::2]  # pixels that don't lie one behind the other in memory
    digest = save_screen(tmp_path, image)
    assert digest == screen_digest(image) == hashlib.sha256(str(image.shape).encode() + image.tobytes()).hexdigest()
    assert np.array_equal(load_screen(tmp_path, digest), image)
    with Image.open(tmp_path / f"{digest}.png") as seen:
        assert (seen.format, seen.mode) == ("PNG", "RGB")
        assert np.array_equal(np.asarray(seen), image)
    assert (tmp_path / f"{digest}.png").stat().st_mode & 0o777 == 0o600
