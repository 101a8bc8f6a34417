import math

import pytest

from homeostat.errors import ConfigError
from homeostat.sensors import Attempt, Confidence, SensorContext, check_sensor


def read(sensor, *probabilities, history=(), **more):
    attempt = Attempt(text="x", logprobs=tuple(math.log(p) for p in probabilities), **more)
    return sensor.read(attempt, SensorContext(goal="g", history=history))


def test_value_is_the_geometric_mean():
    got = read(Confidence(0.5), 0.9, 0.4, 0.6, entropy=(0.1, 1.0, 0.7), margin=(0.8, 0.1, 0.3))
    assert got.value == pytest.approx((0.9 * 0.4 * 0.6) ** (1 / 3))
    assert not got.alarm
    expected = {"tokens": 3, "probability": got.value, "min_probability": 0.4, "mean_entropy": 0.6, "mean_margin": 0.4}
    assert got.detail == pytest.approx(expected)


def test_alarm_below_the_threshold_whatever_the_baseline():
    sensor = Confidence(0.5)
    high = read(sensor, 0.9)
    low = read(sensor, 0.3, history=(high, read(sensor, 0.7)))
    assert low.alarm
    assert low.baseline == pytest.approx(0.8)
    assert (high.baseline, high.alarm) == (None, False)


def test_length_alone_does_not_lower_it():
    assert read(Confidence(), *[0.8] * 300).value == pytest.approx(read(Confidence(), 0.8).value)


def test_nothing_generated_is_no_alarm_and_no_baseline():
    sensor = Confidence()
    empty = read(sensor)
    assert (empty.value, empty.alarm) == (0.0, False)
    assert read(sensor, 0.9, history=(empty,)).baseline is None


def test_a_model_that_tells_only_probabilities():
    assert set(read(Confidence(), 0.9, 0.8).detail) == {"tokens", "probability", "min_probability"}


def test_bad_threshold():
    with pytest.raises(ConfigError, match=r"threshold=1\.5"):
        Confidence(1.5)


def test_it_keeps_the_contract():
    check_sensor(Confidence())
