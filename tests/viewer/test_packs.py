"""Attention and screenshots within their budgets, read back as the page reads them."""

from __future__ import annotations

import io
import json
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from homeostat.viewer.attention_pack import Detail, dequantised, pack, packed_within, quantised
from homeostat.viewer.screens import encoded, encoded_within


def unpacked(data: bytes) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Reads a pack by its description alone."""
    body = zlib.decompress(data)
    (length,) = struct.unpack_from("<I", body)
    told = json.loads(body[4 : 4 + length])
    n, rows = len(told["tokens"]), len(told["layers"]) * len(told["heads"])
    codes = np.frombuffer(body[4 + length :], np.uint8).astype(float)
    weights = np.where(codes == 0, 0, 10 ** (6 * ((codes - 1) / 254 - 1)))
    by_head = weights[: rows * n].reshape(len(told["layers"]), len(told["heads"]), n)
    return told, by_head, weights[rows * n :].reshape(len(told["rows"]), n)


def test_a_weight_is_read_back_within_three_percent() -> None:
    weights = np.concatenate([np.geomspace(1e-6, 1, 5000), [0.0, 3e-7]])
    back = dequantised(quantised(weights))
    assert np.abs(back[:5000] / weights[:5000] - 1).max() < 0.028
    assert back[5000:].tolist() == [0, 0]


def test_a_pack_holds_the_record(make: Any) -> None:
    record = make.record_of(3)
    told, by_head, by_token = unpacked(pack(record, size=(64, 48)))
    assert told["tokens"] == list(record.tokens)
    assert told["spans"] == {"screen": [[0, 16]], "goal": [[16, 24]]}
    assert told["grids"] == {"screen": [4, 4]}
    for found, true in ((by_head, record.by_head), (by_token, record.by_token)):
        large = true > 1e-5
        assert np.abs(found[large] / true[large].astype(float) - 1).max() < 0.03


def test_less_detail_is_an_average(make: Any) -> None:
    record = make.record_of(4, layers=5, heads=4)
    told, by_head, by_token = unpacked(pack(record, Detail(layers=2, heads=4, answer=3)))
    assert told["layers"] == [[0, 1], [2, 3], [4, 4]]
    assert told["heads"] == [[0, 3]]
    assert told["rows"] == [[0, 2], [3, 3]]
    np.testing.assert_allclose(by_head[1, 0], record.by_head[2:4].astype(float).mean((0, 1)), rtol=0.04, atol=2e-6)
    np.testing.assert_allclose(by_token[0], record.by_token[:3].astype(float).mean(0), rtol=0.04, atol=2e-6)


def test_detail_is_lowered_before_anything_is_left_out(make: Any) -> None:
    names = [f"{at}-0.npz" for at in range(12)]

    def load(name: str) -> Any:
        return make.record_of(int(name.partition("-")[0]), tokens=400, layers=6, heads=8), None

    whole = packed_within(names, load)
    assert (whole.detail, whole.notes, set(whole.packs)) == (Detail(), [], set(names))
    size = sum(map(len, whole.packs.values())) * 4 // 3
    half = packed_within(names, load, size // 2)
    assert set(half.packs) == set(names)
    assert half.detail.heads > 1
    assert sum(map(len, half.packs.values())) * 4 / 3 <= size / 2
    assert "Averaged are" in half.notes[0]
    tiny = packed_within(names, load, 9000)
    assert 0 < len(tiny.packs) < len(names)
    assert list(tiny.packs) == names[: len(tiny.packs)]
    assert f"last {len(names) - len(tiny.packs)} calls is left out" in tiny.notes[-1]
    assert packed_within(["0-0.npz"], lambda name: "it is gone").failed == {"0-0.npz": "it is gone"}


def test_a_picture_of_few_colours_is_exact(make: Any) -> None:
    pixels = make.picture(1)
    made = encoded(pixels)
    assert made.kind == "image/png"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(made.data)).convert("RGB")), pixels)


def test_an_interface_of_many_colours_is_exact_too() -> None:
    pixels = np.zeros((256, 144, 3), np.uint8)
    pixels[:, :, 0], pixels[:, :, 1] = np.arange(256)[:, None], np.arange(144)[None]
    made = encoded(pixels)
    assert made.kind == "image/webp"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(made.data)).convert("RGB")), pixels)


def test_screenshots_shrink_until_they_fit() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (6, 500, 300, 3), dtype=np.uint8)
    names = [str(at) for at in range(6)]
    whole = encoded_within(names, lambda name: noise[int(name)])
    assert (whole.side, whole.reduced, whole.notes) == (1280, 0, [])
    size = sum(len(one.data) for one in whole.found.values()) * 4 // 3
    small = encoded_within(names, lambda name: noise[int(name)], size // 3)
    assert set(small.found) == set(names)
    assert sum(len(one.data) for one in small.found.values()) * 4 / 3 <= size / 3
    assert max(Image.open(io.BytesIO(small.found["0"].data)).size) == small.side < 500
    assert (small.found["0"].width, small.found["0"].height) == (300, 500)
    gone = encoded_within(["a"], lambda name: None)
    assert gone.notes == ["Screenshots that are missing or damaged: 1."]


@pytest.mark.parametrize("detail", [Detail(), Detail(2, 2, 2)])
def test_masses_of_spans_agree_with_the_record(make: Any, detail: Detail) -> None:
    record = make.record_of(8, layers=4, heads=4)
    _, by_head, _ = unpacked(pack(record, detail))
    goal = by_head[..., 16:24].sum(-1).mean()
    assert goal == pytest.approx(float(record.by_head[..., 16:24].astype(float).sum(-1).mean()), rel=0.02)
