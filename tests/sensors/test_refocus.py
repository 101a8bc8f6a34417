"""Elastic-Cache's drift test on successive tokens, against eager attention and against hand-made rows."""

from __future__ import annotations

import numpy as np
import pytest

from homeostat.errors import ConfigError
from homeostat.sensors import Attempt, Readout, Refocus, SensorContext, SpanMass, Spans, check_sensor, watch
from homeostat.sensors.refocus import similarities

CONTEXT = SensorContext(goal="g")
SPANS = Spans({"system": [(1, 4)], "goal": [(6, 12)], "screen": [(20, 36)]}, length=40)


def masses(keys, layers=(4,), **changes):
    tokens, _, heads, _ = next(iter(keys.values())).shape
    shape = (tokens, len(layers), heads, 1)
    return SpanMass(("output",), layers, np.zeros(shape), np.zeros((0, *shape[1:])), np.zeros(1, int),
                    np.arange(tokens), keys=keys, **changes)  # fmt: skip


def attempt(spans):
    return Attempt("words", tokens=tuple(range(len(spans.mass))), spans=spans)


def by_hand(rows, keys, layer):
    """σ of one layer over (L, H, T, K) attention rows, key by key."""
    found = []
    for t in range(rows.shape[2] - 1):
        totals = {k: sum(float(rows[layer, h, t, k]) for h in range(rows.shape[1])) for k in keys}
        most = max(totals, key=lambda k: totals[k])
        a, b = rows[layer, :, t, most], rows[layer, :, t + 1, most]
        if a.any() and b.any():
            found.append(float(a @ b / np.sqrt((a @ a) * (b @ b))))
        else:  # keys outside of a sliding window
            found.append(float(a.any() == b.any()))
    return found


@pytest.mark.parametrize("family", ["llama", "gemma3", "llava"])
def test_the_probe_gives_the_cosines_of_eager_attention(tiny, reference, family):
    case = tiny(family)
    sensor = Refocus(spans=("goal", "screen"))
    with watch(case.model, readout=sensor.reads) as probe:
        probe.start(SPANS)
        sequences = case.model.generate(**case.inputs, **case.generate)
        got = probe.result()
    reading = sensor.read(attempt(got), CONTEXT)
    maps = reference.maps(case.model, **reference.whole(case.inputs, sequences))[0]
    rows = maps[:, :, 39:].astype(np.float64)
    keys = [k for label in ("goal", "screen") for a, b in SPANS[label] for k in range(a, b)]
    table = np.array([by_hand(rows, keys, layer) for layer in range(len(maps))])
    assert reading.value == pytest.approx(table.mean(0).min(), abs=1e-4)
    assert reading.detail["token"] == table.mean(0).argmin() + 1
    assert reading.detail["mean"] == pytest.approx(table.mean(), abs=1e-4)
    assert reading.detail["rate"] == pytest.approx((table < 0.9).mean(), abs=0.02)
    for layer, values in enumerate(table):
        assert reading.by_layer[layer] == pytest.approx(values.mean(), abs=1e-4)


def test_a_common_factor_is_no_drift_and_a_turn_to_other_heads_is():
    still = np.array([[[0.6, 0.1], [0.3, 0.1]], [[0.06, 0.5], [0.03, 0.4]]])  # key 0 is most attended, then × 0.1
    np.testing.assert_allclose(similarities(still), [1.0])
    turned = np.array([[[0.6, 0.0], [0.0, 0.1]], [[0.0, 0.5], [0.6, 0.4]]])  # what head 0 attended to, head 1 does
    np.testing.assert_allclose(similarities(turned), [0.0])
    np.testing.assert_allclose(similarities(np.zeros((3, 2, 2))), [1.0, 1.0])
    gone = np.stack([np.full((2, 2), 0.5), np.zeros((2, 2))])
    np.testing.assert_allclose(similarities(gone), [0.0])
    reading = Refocus(spans=["screen"]).read(attempt(masses({"screen": turned[:, None]})), CONTEXT)
    assert (reading.value, reading.alarm, reading.detail["from_layer"]) == (0.0, True, 4.0)
    calm = Refocus(spans=["screen"]).read(attempt(masses({"screen": still[:, None]})), CONTEXT)
    assert (calm.alarm, calm.detail["rate"]) == (False, 0.0)
    assert "from_layer" not in calm.detail


def test_chosen_heads_and_what_cannot_be_judged():
    rng = np.random.default_rng(0)
    keys = rng.random((5, 2, 3, 7))
    spans = masses({"goal": keys[..., :2], "screen": keys[..., 2:]}, layers=(3, 8))
    reading = Refocus(heads=[(8, 0), (8, 2), (3, 1)]).read(attempt(spans), CONTEXT)
    assert set(reading.by_layer) == {8}
    expected = by_hand(np.moveaxis(keys[:, 1][:, [0, 2]], 0, 1)[None], range(7), 0)
    assert reading.value == pytest.approx(min(expected))
    assert "two chosen heads" in Refocus(heads=[(3, 1)]).read(attempt(spans), CONTEXT).reason
    assert "Readout(keys={'rules'})" in Refocus(spans=["rules"]).read(attempt(spans), CONTEXT).reason
    one = masses({"screen": keys[:1]}, layers=(3, 8))
    assert "no successive pair" in Refocus().read(attempt(one), CONTEXT).reason
    gaps = masses({"screen": keys}, layers=(3, 8), index=np.arange(0, 10, 2))
    assert not Refocus().read(attempt(gaps), CONTEXT).judged
    check_sensor(Refocus())
    assert Refocus(spans=["a"]).reads == Readout(keys=frozenset({"a"}))
    for settings, says in (
        ({"threshold": 2}, "threshold=2"),
        ({"spans": "goal"}, "spans='goal'"),
        ({"spans": ()}, "spans"),
    ):
        with pytest.raises(ConfigError, match=says):
            Refocus(**settings)
