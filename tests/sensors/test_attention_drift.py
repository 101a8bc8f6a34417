import dataclasses
import math
from dataclasses import replace

import numpy as np
import pytest

from homeostat.errors import ConfigError
from homeostat.sensors import Attempt, AttentionDrift, Confidence, Reading, SensorContext, SpanMass, check_sensor

LABELS = ("goal", "screen", "output")


def spans(goal, *, tokens=2, prompt=100, sink=0.0, in_goal=0.0, length=10):
    """Every head gives ``goal`` to the goal's tokens and the rest evenly to the others."""
    mass = np.zeros((tokens, 3, 2, 3), np.float32)
    mass[..., 0] = goal
    mass[..., 1] = (1 - goal - sink + in_goal) / 2
    inside = np.zeros_like(mass)
    inside[..., 0] = in_goal
    return SpanMass(
        labels=LABELS,
        layers=(4, 5, 6),
        mass=mass,
        prompt_mass=mass[:1],
        lengths=np.array([length, 40, tokens - 1]),
        visible=np.arange(prompt, prompt + tokens),
        sink=np.full(mass.shape[:3], sink, np.float32),
        sink_in_span=inside,
    )


def attempt(mass):
    pieces = (*" " * (len(mass.mass) - 1), '{"action": "wait"}')  # the last token holds the answer
    return Attempt(text="x", tokens=(1,) * len(mass.mass), spans=mass, pieces=pieces)


def read(sensor, *masses):
    """The last reading of an episode of these attempts."""
    history: tuple[Reading, ...] = ()
    for mass in masses:
        history += (sensor.read(attempt(mass), SensorContext(goal="g", history=history)),)
    return history[-1]


def test_first_reading_has_no_baseline_and_no_alarm():
    got = read(AttentionDrift(), spans(0.001))
    assert (got.value, got.baseline, got.alarm) == (0.0, None, False)
    assert got.span == "goal"
    assert "first reading" in got.reason


def test_several_spans_count_as_one():
    first, second = spans(0.2), spans(0.1)
    got = read(AttentionDrift(("goal", "screen")), first, second)
    level = [(m.mass[0, 0, 0, 0] + m.mass[0, 0, 0, 1]) / 50 * 100.5 for m in (first, second)]
    assert got.span == "goal+screen"
    assert got.value == pytest.approx(math.log(level[1] / level[0]), abs=1e-2)
    cyberv = read(AttentionDrift.cyberv(("goal", "screen")), first, second)
    change = second.mass[-1, -1, 0, :2].sum() - first.mass[-1, -1, 0, :2].sum()
    assert cyberv.value == pytest.approx(change)
    alone = read(AttentionDrift(("goal", "memo")), first, second)
    assert alone.value == pytest.approx(read(AttentionDrift(), first, second).value)
    with pytest.raises(ConfigError, match=r"span=\(\) is not a label"):
        AttentionDrift(())


def test_a_label_covers_its_parts():
    first, second = (replace(spans(mass), labels=("tool.search", "tool.mail", "output")) for mass in (0.2, 0.1))
    named = ("tool.search", "tool.mail")
    assert read(AttentionDrift("tool"), first, second).value == read(AttentionDrift(named), first, second).value
    assert read(AttentionDrift("tool"), first).by_span["tool"].mass == pytest.approx(0.2 + 0.8 / 2)


def test_the_output_s_keys_are_counted_at_the_token_s_own_place():
    """With every third token read, row 1 is token 3 and sees three of them."""
    from dataclasses import replace

    from homeostat.sensors.attention_drift import intensities

    whole = spans(0.1, tokens=4)
    mass = whole.mass.copy()
    mass[..., 2] = 0.3
    some = replace(
        whole, mass=mass[::3], visible=whole.visible[::3], sink=None, sink_in_span=None, index=np.array([0, 3])
    )
    assert intensities(some)[1]["output"] == pytest.approx(0.3 / 3 * 103)


def test_intensity_is_mass_per_token_over_uniform():
    got = read(AttentionDrift(), spans(0.3, tokens=2, prompt=100))
    # 10 of 100, then 10 of 101 visible keys would get 10 % of the attention, were it even.
    assert got.by_span["goal"].intensity == pytest.approx((0.3 / 10 * 100 + 0.3 / 10 * 101) / 2)
    assert got.by_span["goal"].mass == pytest.approx(0.3)
    assert set(got.by_span) == set(LABELS)
    assert got.by_span["output"].intensity == 0.0


def test_value_is_the_log_ratio_to_the_mean_of_the_earlier_ones():
    got = read(AttentionDrift(), spans(0.4), spans(0.2), spans(0.1))
    assert got.baseline == pytest.approx(0.3 / 10 * 100.5)
    assert got.value == pytest.approx(math.log(0.1 / 0.3), rel=1e-5)
    assert got.threshold == pytest.approx(-math.log(2))
    assert got.alarm


def test_a_longer_prompt_with_the_same_focus_is_no_drift():
    short, long = spans(0.3, tokens=1, prompt=100), spans(0.1, tokens=1, prompt=300)
    corrected = read(AttentionDrift(), short, long)
    assert corrected.value == pytest.approx(0, abs=1e-6)
    assert not corrected.alarm
    assert read(AttentionDrift.cyberv("goal"), short, long).alarm  # the plain mass takes length for drift


def test_a_growing_sink_is_no_drift():
    before, after = spans(0.4), spans(0.1, sink=0.75)
    assert read(AttentionDrift(), before, after).value == pytest.approx(0, abs=1e-5)


def test_the_sinks_share_of_the_span_is_left_out():
    got = read(AttentionDrift(), spans(0.4, sink=0.3, in_goal=0.3))
    assert got.by_span["goal"].intensity == pytest.approx(0.1 / 10 * 100.5 / 0.7)
    assert got.detail["sink"] == pytest.approx(0.3)


def test_chosen_layers_heads_and_tokens():
    mass = spans(0.2, tokens=3)
    mass.mass[0, ..., 0] = 0.5
    mass.mass[:, 2, :, 0] = 0.8
    mass.mass[:, 1, 1, 0] = 0.6

    def goal(**how):
        return read(AttentionDrift(**how), mass).by_span["goal"].mass

    assert goal(layers=[6]) == pytest.approx(0.8)
    assert goal(layers="last") == pytest.approx(0.8)
    assert goal(heads=[(5, 1), (6, 0)]) == pytest.approx(0.7)
    assert goal(layers=[4], tokens="first") == pytest.approx(0.5)
    assert goal(layers=[4], tokens="last") == pytest.approx(0.2)
    nothing = read(AttentionDrift(layers=[40]), mass)
    assert (nothing.value, nothing.alarm) == (0, False)
    assert "[4, 5, 6]" in nothing.reason


def test_cyberv_is_the_signed_change_of_mass_against_the_first():
    sensor = AttentionDrift.cyberv()
    got = read(sensor, spans(0.1), spans(0.9), spans(0.35))
    assert got.sensor == "cyberv_drift"
    assert got.threshold == -0.1
    assert got.value == pytest.approx((0.65 - 0.9) / 2)
    assert got.baseline == pytest.approx(0.45)
    assert got.alarm
    assert not read(sensor, spans(0.1), spans(0.28)).alarm


def test_cyberv_reads_the_last_layer_s_row_that_produced_the_answer_token():
    pieces = (
        '{"name": "mobile_use", "arguments": ',
        '{"action": "click", ',
        '"coordinate": [',
        "4",
        "0",
        ", ",
        "9",
        "6]}}",
    )
    mass = spans(0.5, tokens=len(pieces))
    mass.mass[:, :, :, 1] = np.arange(24).reshape(8, 3, 1) / 100  # the screen's mass, by token and layer
    given = Attempt("".join(pieces), tokens=(1,) * 8, spans=mass, pieces=pieces)
    read_ = AttentionDrift.cyberv().read(given, SensorContext(goal="g"))
    assert read_.by_span["screen"].mass == pytest.approx(
        (3 * 3 + 2) / 100
    )  # token 3 is the point's x, layer 2 the last
    several = dataclasses.replace(given, text="{}", pieces=("{}", *[""] * 7))
    missing = AttentionDrift.cyberv().read(several, SensorContext(goal="g"))
    assert (missing.judged, missing.by_span) == (False, {})
    probabilities = [0.9, 0.8, 0.7, 0.25, 0.5, 0.5, 0.5, 0.5]
    sure = dataclasses.replace(given, logprobs=tuple(map(math.log, probabilities)))
    assert Confidence.cyberv_probability().read(sure, SensorContext(goal="g")).value == pytest.approx(0.25)
    with pytest.raises(ConfigError, match="is not a regular expression"):
        AttentionDrift(answer="(")


def test_an_absent_span_is_no_alarm_and_no_baseline():
    sensor = AttentionDrift("rules")
    got = read(sensor, spans(0.3), spans(0.1))
    assert (got.value, got.baseline, got.alarm) == (0.0, None, False)
    assert "no span 'rules'" in got.reason
    assert got.by_span["goal"].intensity is not None


def test_a_span_that_gets_nothing_still_has_a_value():
    got = read(AttentionDrift(), spans(0.3), spans(0.0))
    assert got.alarm
    assert math.isfinite(got.value)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"threshold": 0.1}, "threshold=0.1"),
        ({"tokens": "some"}, "tokens='some'"),
        ({"base": "last"}, "base='last'"),
        ({"measure": "norm"}, "measure='norm'"),
        ({"layers": "middle"}, "layers='middle'"),
        ({"layers": [1], "heads": [(1, 2)]}, "contradict"),
    ],
)
def test_bad_settings_are_named(how, says):
    with pytest.raises(ConfigError, match=says):
        AttentionDrift(**how)


@pytest.mark.parametrize(
    "sensor",
    [AttentionDrift(), AttentionDrift.cyberv(), AttentionDrift(heads=[(0, 1)]), AttentionDrift("tool", tokens="last")],
)
def test_it_keeps_the_contract(sensor):
    check_sensor(sensor)
