"""Displays for search, and the measure on attention whose asymmetry is known."""

from __future__ import annotations

import numpy as np
import pytest

from homeostat.errors import ConfigError, UnknownName
from homeostat.sensors.search_asymmetry import FEATURES, asymmetry, displays, fixations_to


def crops(display):
    height, width = display.screenshot.shape[:2]
    found = []
    for element in display.elements:
        left, top, right, bottom = (round(v * s) for v, s in zip(element.box, (width, height) * 2, strict=True))
        found.append(display.screenshot[top:bottom, left:right].tobytes())
    return found


@pytest.mark.parametrize("feature", FEATURES)
def test_one_item_is_odd_and_the_pair_differs_in_nothing_but_the_roles(feature):
    for with_feature, without in displays(feature, 9, 5, seed=3):
        assert (with_feature.present, without.present) == (True, False)
        assert (with_feature.elements, with_feature.target) == (without.elements, without.target)
        one, other = crops(with_feature), crops(without)
        odd = [i for i, crop in enumerate(one) if one.count(crop) == 1]
        assert odd == [with_feature.target]
        assert [i for i, crop in enumerate(other) if other.count(crop) == 1] == odd
        rest = 0 if odd != [0] else 1
        assert (one[odd[0]], one[rest]) == (other[rest], other[odd[0]])  # the shapes have changed places
        ground = with_feature.screenshot.copy()
        for element in with_feature.elements:
            left, top, right, bottom = (round(v * s) for v, s in zip(element.box, (144, 256) * 2, strict=True))
            ground[top:bottom, left:right] = 24
        assert (ground == 24).all()


def test_displays_depend_on_the_seed_alone():
    first, again = (next(displays("gap", 6, 1, seed=1))[0] for _ in range(2))
    other = next(displays("gap", 6, 1, seed=2))[0]
    assert np.array_equal(first.screenshot, again.screenshot)
    assert not np.array_equal(first.screenshot, other.screenshot)
    targets = [pair[0].target for pair in displays("line", 5, 200)]
    assert min(np.bincount(targets, minlength=5)) > 20
    with pytest.raises(UnknownName, match="feature 'colour'"):
        next(displays("colour", 6, 1))
    with pytest.raises(ConfigError, match="items=40: a display has 2 to 28"):
        next(displays("line", 40, 1))
    with pytest.raises(ConfigError, match="do not fit into 100 × 144"):
        next(displays("line", 4, 1, size=(100, 144)))


def test_fixations_are_the_targets_rank():
    assert fixations_to(2, [0.1, 0.5, 0.3, 0.2]) == 2
    assert fixations_to(0, [0.2, 0.2, 0.2]) == 2  # chance
    draws = np.random.default_rng(0).random((4000, 7))
    assert np.mean([fixations_to(3, row) for row in draws]) == pytest.approx(4, abs=0.1)


def test_attention_that_follows_ink_finds_what_has_more_of_it():
    """An observer that looks at the brightest item first finds a Q among Os at once, and an O among Qs last."""

    def ink(display):
        return [np.frombuffer(crop, np.uint8).astype(float).sum() for crop in crops(display)]

    pairs = list(displays("line", 8, 20))
    present, absent = ([fixations_to(d.target, ink(d)) for d in side] for side in zip(*pairs, strict=True))
    found = asymmetry(present, absent)
    assert (found.present, found.absent) == (1, 8)
    assert found.value == pytest.approx(7 / 9)
    assert (found.low, found.high) == (pytest.approx(7 / 9), pytest.approx(7 / 9))
    flat = asymmetry(absent, absent)
    assert (flat.value, flat.low, flat.high, flat.pairs) == (0, 0, 0, 20)


def test_the_interval_covers_no_asymmetry_where_there_is_none():
    """With random attention, about 95 % of the intervals hold 0."""
    rng = np.random.default_rng(5)
    covered = 0
    for seed in range(200):
        one, other = rng.integers(1, 10, (2, 30))
        found = asymmetry(one.tolist(), other.tolist(), draws=400, seed=seed)
        assert found.value == pytest.approx((other.mean() - one.mean()) / (other.mean() + one.mean()))
        covered += found.low <= 0 <= found.high
    assert 180 <= covered <= 198
    with pytest.raises(ConfigError, match="0 and 1 searches"):
        asymmetry([], [1.0])
