"""Scanpaths and their distances, against exhaustive search over alignments and counting by hand."""

from __future__ import annotations

import itertools
import math
from functools import cache

import numpy as np
import pytest

from homeostat.errors import ConfigError
from homeostat.observation import Element, Observation
from homeostat.sensors import Attempt, ElementGaze, SensorContext, SpanMass
from homeostat.sensors.scanpaths import centres, edit_distance, fixations, scan_match, search_shares, without_repeats


def alignments(m, n):
    """Every order-keeping way to match positions of one path with positions of another."""
    for count in range(min(m, n) + 1):
        for left in itertools.combinations(range(m), count):
            for right in itertools.combinations(range(n), count):
                yield list(zip(left, right, strict=True))


PATHS = [tuple(np.random.default_rng(seed).integers(0, 4, size).tolist()) for seed, size in enumerate((1, 3, 4, 5, 5))]
PLACES = {0: (0.1, 0.1), 1: (0.2, 0.1), 2: (0.2, 0.3), 3: (0.5, 0.9)}


@pytest.mark.parametrize(("one", "other"), list(itertools.product(PATHS, repeat=2)))
def test_both_comparisons_find_the_best_of_all_alignments(one, other):
    longest = max(len(one), len(other))
    # an edit is a substitution of two matched letters, or an insertion or deletion of an unmatched one
    edits = min(
        sum(one[i] != other[j] for i, j in pairs) + len(one) + len(other) - 2 * len(pairs)
        for pairs in alignments(len(one), len(other))
    )
    assert edit_distance(one, other) == pytest.approx(edits / longest)
    best = max(
        sum(0.25 - math.dist(PLACES[one[i]], PLACES[other[j]]) for i, j in pairs)
        for pairs in alignments(len(one), len(other))
    )
    assert scan_match(one, other, PLACES) == pytest.approx(best / (0.25 * longest))
    assert edit_distance(one, other) == edit_distance(other, one)
    if one == other:
        assert (edit_distance(one, other), scan_match(one, other, PLACES)) == (0, pytest.approx(1))


def test_known_distances():
    assert edit_distance("kitten", "sitting") == pytest.approx(3 / 7)
    assert (edit_distance((), ()), edit_distance("ab", ()), edit_distance("ab", "cd")) == (0, 1, 1)
    assert (scan_match((), (), {}), scan_match((0,), (), PLACES)) == (1, 0)
    near, far = scan_match((0,), (1,), PLACES), scan_match((0,), (3,), PLACES)
    assert near == pytest.approx((0.25 - 0.1) / 0.25)  # a neighbour matches in part, which string edit can't see
    assert far == 0
    with pytest.raises(ConfigError, match="element 7 has no place"):
        scan_match((0,), (7,), PLACES)
    with pytest.raises(ConfigError, match="threshold=0"):
        scan_match((0,), (0,), PLACES, threshold=0)


def test_fixations_repeats_and_how_a_path_searches():
    shares = np.array([[0.2, 0.3, 0.5], [0.4, 0.1, 0.5], [0, 0, 1.0], [0.6, 0.1, 0.3]])
    assert fixations(shares) == (1, 0, None, 0)
    assert fixations(np.ones((2, 1))) == (None, None)
    assert without_repeats("aabbba") == ("a", "b", "a")
    # first visits a, b, c; the second and third b are refixations; the last a is a revisit
    assert search_shares("abbbca") == {"search": 3 / 6, "refixation": 2 / 6, "revisit": 1 / 6}
    assert search_shares("") == {"search": 0, "refixation": 0, "revisit": 0}
    elements = (Element(role="button", text="ok", box=(0.0, 0.5, 0.5, 1.0)),)
    assert centres(elements, 256, 144) == {0: (0.25 * 144 / 256, 0.75)}


def test_element_gaze_reports_the_order_in_which_tokens_look():
    """Four tokens over a screen of 2 × 2 patches; the layers disagree, and their mean decides."""
    elements = (
        Element(role="button", text="save", box=(0.0, 0.0, 0.5, 0.5)),
        Element(role="button", text="cancel", box=(0.5, 0.0, 1.0, 0.5)),
        Element(role="field", text="", box=(0.0, 0.5, 1.0, 1.0)),
    )
    keys = np.array([
        [[[0.5, 0.1, 0.0, 0.0]], [[0.1, 0.2, 0.0, 0.0]]],
        [[[0.0, 0.0, 0.1, 0.2]], [[0.0, 0.25, 0.0, 0.0]]],
        [[[0.0, 0.0, 0.3, 0.3]], [[0.0, 0.0, 0.0, 0.0]]],
        [[[0.1, 0.0, 0.0, 0.0]], [[0.1, 0.0, 0.0, 0.0]]],
    ])  # fmt: skip
    spans = SpanMass(("output",), (0, 1), np.zeros((4, 2, 1, 1)), np.zeros((0, 2, 1, 1)), np.zeros(1, int),
                     np.arange(4), keys={"screen": keys})  # fmt: skip
    seen = Observation(np.zeros((60, 60, 3), np.uint8), elements, "notes")
    context = SensorContext(goal="g", observation=seen)
    reading = ElementGaze().read(Attempt("x", tokens=(1, 2, 3, 4), spans=spans), context)

    @cache
    def looked(token):
        mean = keys[token].mean((0, 1))
        return max(("save", mean[0]), ("cancel", mean[1]), ("field", mean[2] + mean[3]), key=lambda item: item[1])[0]

    assert [looked(t) for t in range(4)] == ["save", "field", "field", "save"]
    assert reading.scanpath == ("save", "field", "save")
    assert reading.detail["fixations"] == 4
    shares = {kind: reading.detail[kind] for kind in ("search", "refixation", "revisit")}
    assert shares == {"search": 0.5, "refixation": 0.25, "revisit": 0.25}
    assert type(reading).model_validate_json(reading.model_dump_json()) == reading
