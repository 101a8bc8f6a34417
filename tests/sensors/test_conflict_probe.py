"""The learned probe: its features by hand, its value by hand, its file, and a fit that finds what was planted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from homeostat.alignment.probing.fit import auroc, fit_probe
from homeostat.errors import ConfigError
from homeostat.sensors import Attempt, ConflictProbe, ProbeWeights, SensorContext, SpanMass
from homeostat.sensors.conflict_probe import head_features

LABELS = ("system", "user", "output")
LENGTHS = np.array([10, 20, 3], np.int64)


def mass_of(system: float, user: float, *, labels: tuple[str, ...] = LABELS) -> SpanMass:
    mass = np.zeros((2, 2, 3, len(labels)), np.float32)
    mass[0, ..., 0], mass[0, ..., 1] = system, user
    mass[1] = 0.7  # a later token, which is not read
    return SpanMass(
        labels=labels,
        layers=(4, 7),
        mass=mass,
        prompt_mass=mass[:1],
        lengths=LENGTHS[: len(labels)],
        visible=np.array([40, 41], np.int64),
    )


def attempt(mass: SpanMass | None) -> Attempt:
    return Attempt("a b", (1, 2), spans=mass)


def weights(**changes: Any) -> ProbeWeights:
    given: dict[str, Any] = {
        "model": "m",
        "higher": ("system",),
        "lower": ("user",),
        "heads": ((7, 1), (4, 0)),
        "mean": (0.1, 0.2, 0.3, 0.4),
        "scale": (1.0, 2.0, 4.0, 0.5),
        "coefficients": (1.0, -1.0, 0.5, 2.0),
        "intercept": 0.25,
        "threshold": 0.5,
        "rate": 0.1,
        "prompts": 8,
    }
    return ProbeWeights(**(given | changes))


def test_the_features_are_log_intensities_of_the_first_token() -> None:
    found = head_features(mass_of(0.3, 0.1), ((7, 1), (4, 0)), ("system",), ("user",))
    expected = [np.log(0.3 * 40 / 10), np.log(0.1 * 40 / 20)] * 2
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_value_is_the_linear_form() -> None:
    high, low = np.log(0.3 * 4), np.log(0.1 * 2)
    expected = (high - 0.1) / 1 - (low - 0.2) / 2 + 0.5 * (high - 0.3) / 4 + 2 * (low - 0.4) / 0.5 + 0.25
    reading = ConflictProbe(weights()).read(attempt(mass_of(0.3, 0.1)), SensorContext(goal="tell me"))
    assert reading.value == pytest.approx(expected, rel=1e-5)
    assert reading.alarm == (expected > 0.5)
    assert reading.span == "system"
    assert reading.detail["higher"] == pytest.approx(1.2, rel=1e-5)


@pytest.mark.parametrize("threshold", [-9.0, 9.0])
def test_it_alarms_above_its_threshold(threshold: float) -> None:
    sensor = ConflictProbe(weights(threshold=threshold))
    assert sensor.read(attempt(mass_of(0.3, 0.1)), SensorContext(goal="tell me")).alarm is (threshold < 0)


@pytest.mark.parametrize(
    "mass",
    [None, mass_of(0.3, 0.1, labels=("system", "output")), mass_of(0.3, 0.1, labels=("rules", "user", "output"))],
)
def test_what_can_not_be_read_is_not_judged(mass: SpanMass | None) -> None:
    reading = ConflictProbe(weights()).read(attempt(mass), SensorContext(goal="tell me"))
    assert not reading.judged
    assert not reading.alarm


def test_a_head_that_was_not_read_is_not_judged() -> None:
    sensor = ConflictProbe(weights(heads=((7, 1), (9, 0))))
    reading = sensor.read(attempt(mass_of(0.3, 0.1)), SensorContext(goal="tell me"))
    assert not reading.judged


def test_the_file_comes_back_as_it_was(tmp_path: Path) -> None:
    weights().save(tmp_path / "x" / "probe.json")
    assert ProbeWeights.load(tmp_path / "x") == weights()
    assert ConflictProbe.load(tmp_path / "x" / "probe.json").threshold == 0.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "can't be read"),
        ("[]", "probe"),
        (weights().model_dump_json().replace('"intercept":0.25', '"intercept":"x"'), "intercept"),
        (weights().model_dump_json()[:-1] + ',"\\u001b[2Jx":1}', r"\\u001b\[2Jx: Extra inputs"),
        (weights().model_dump_json().replace("[0.1,0.2,0.3,0.4]", "[0.1]"), "mean has 1 numbers for 2 heads"),
        (weights().model_dump_json().replace("[1.0,2.0,4.0,0.5]", "[1.0,2.0,0.0,0.5]"), "not above 0"),
    ],
)
def test_a_damaged_file_is_named(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "probe.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        ProbeWeights.load(file)


def planted(count: int, shift: float, seed: int) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Features of which the first tells the class, all wordings differ in the second, and the others are noise."""
    rng = np.random.default_rng(seed)
    conflict = np.arange(count) % 2 == 0
    wording = np.arange(count) // 2 % 6
    features = rng.normal(size=(count, 6))
    features[:, 0] += shift * conflict
    features[:, 1] += 3.0 * wording
    return features, conflict, wording.tolist()


def fit(features: np.ndarray, conflict: np.ndarray, groups: list[int], rate: float = 0.1) -> ProbeWeights:
    elsewhere, other, _ = planted(400, 3.0, 9)
    heads = ((0, 0), (0, 1), (1, 0))
    more: dict[str, Any] = {"model": "m", "weights": "", "heads": heads, "higher": ("system",), "lower": ("user",)}
    return fit_probe(features, conflict, groups, elsewhere[~other], rate=rate, **more)


def test_a_fit_finds_what_was_planted() -> None:
    probe = fit(*planted(300, 3.0, 1))
    new, conflict, _ = planted(2000, 3.0, 2)
    values = probe.value(new)
    assert auroc(values[conflict], values[~conflict]) > 0.97
    assert 0.06 < (values[~conflict] > probe.threshold).mean() < 0.14
    assert abs(probe.figures["auroc_left_out"] - auroc(values[conflict], values[~conflict])) < 0.03


def test_a_fit_to_noise_says_so() -> None:
    assert 0.4 < fit(*planted(300, 0.0, 3)).figures["auroc_left_out"] < 0.6


def test_auroc_counts_pairs() -> None:
    positive, negative = np.array([0.9, 0.4, 0.4]), np.array([0.1, 0.4])
    pairs = [(p > n) + (p == n) / 2 for p in positive for n in negative]
    assert auroc(positive, negative) == pytest.approx(sum(pairs) / len(pairs))


def test_what_can_not_be_fitted_is_refused() -> None:
    features, conflict, groups = planted(60, 1.0, 4)
    with pytest.raises(ConfigError, match="all of one class"):
        fit(features, np.ones(60, bool), groups)
    with pytest.raises(ConfigError, match="give several wordings"):
        fit(features, conflict, [1] * 60)
    with pytest.raises(ConfigError, match="too few for rate"):
        fit(features, conflict, groups, rate=0.001)
