"""Split conformal thresholds: the stated rate, the side, the file."""

import numpy as np
import pytest

from homeostat.errors import ConfigError
from homeostat.sensors import AttentionDrift, Calibration, Confidence
from homeostat.sensors.calibration import calibrated_alarms, conformal_threshold, settings_of


@pytest.mark.parametrize("side", ["below", "above"])
@pytest.mark.parametrize(("n", "rate"), [(19, 0.05), (99, 0.1), (137, 0.05), (200, 0.02)])
def test_one_more_benign_episode_alarms_at_the_stated_rate(side, n, rate):
    """Over all n + 1 ways to leave one of n + 1 scores out, exactly ⌊(n + 1)·rate⌋ alarm, or one less."""
    rng = np.random.default_rng(n)
    scores = rng.standard_cauchy(n + 1)  # no mean, no variance: nothing of the distribution is used
    alarms = 0
    for i in range(n + 1):
        threshold = conformal_threshold(np.delete(scores, i).tolist(), rate, side)
        alarms += bool(scores[i] < threshold if side == "below" else scores[i] > threshold)
    k = int((n + 1) * rate + 1e-9)
    assert alarms == k
    assert alarms / (n + 1) <= rate


def test_the_threshold_is_the_order_statistic_of_numpy():
    scores = np.random.default_rng(1).normal(size=99)
    assert conformal_threshold(scores.tolist(), 0.1, "below") == np.partition(scores, 9)[9]
    assert conformal_threshold(scores.tolist(), 0.1, "above") == -np.partition(-scores, 9)[9]


def test_ties_never_raise_the_rate():
    assert conformal_threshold([0.0] * 50, 0.1, "below") == 0.0  # and 0 < 0 is no alarm


def test_thresholds_come_from_the_episodes_most_alarming_values():
    episodes = [{"confidence": (0.9, 0.5 + i / 100, 0.8), "attention_drift": (-i / 10, 0.3)} for i in range(20)]
    drift, confidence = calibrated_alarms([AttentionDrift(), Confidence()], episodes, 0.1)
    assert (drift.sensor, drift.threshold) == ("attention_drift", pytest.approx(-1.8))  # the second of −1.9, −1.8, …
    assert confidence.threshold == pytest.approx(0.51)
    assert [confidence.raised_in(e) for e in episodes] == [True] + [False] * 19
    assert not confidence.raised_in({})


def made(**changes):
    alarms = calibrated_alarms([Confidence()], [{"confidence": (0.5 + i / 100,)} for i in range(20)], 0.1)
    fields = {
        "model": "homeostat/nano", "weights": "abc", "template": "t", "suite": "atomic", "split": "dev", "seed": 0,
        "rate": 0.1, "alarms": alarms,
    }  # fmt: skip
    return Calibration(**fields | changes)


def test_the_file_gives_the_sensors_their_thresholds(tmp_path):
    made().save(tmp_path / "new" / "c.json")
    loaded = Calibration.load(tmp_path / "new" / "c.json")
    assert loaded == made()
    before = Confidence()
    drift, confidence = loaded.apply([AttentionDrift(), before])
    assert confidence.threshold == pytest.approx(0.51)
    assert before.threshold == 0.5
    assert drift.threshold == AttentionDrift().threshold
    assert settings_of(confidence) == settings_of(before)


def test_what_it_does_not_hold_for_is_refused():
    with pytest.raises(ConfigError, match=r"for weights 'abc', not 'abd'; calibrate again"):
        made().check("homeostat/nano", "abd", "t")
    with pytest.raises(ConfigError, match=r"for template 't', not 'u'"):
        made().check("homeostat/nano", "abc", "u")
    with pytest.raises(ConfigError, match=r"for model 'homeostat/nano', not 'org/model'"):
        made().check("org/model", None, "t")
    made().check("another name for the same weights", "abc", "t")
    alarms = calibrated_alarms([AttentionDrift("rules")], [{"attention_drift": (-1.0,)}] * 20, 0.1)
    with pytest.raises(ConfigError, match="calibrate again"):
        made(alarms=alarms).apply([AttentionDrift("goal")])


def test_too_few_episodes_and_bad_files_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"18 episodes are too few for rate=0.05; take 19 or more"):
        conformal_threshold([0.0] * 18, 0.05, "below")
    with pytest.raises(ConfigError, match=r"rate=5 is not a false-alarm rate"):
        conformal_threshold([0.0] * 18, 5, "below")
    with pytest.raises(ConfigError, match=r"'confidence' judged only 1 of 20 episodes"):
        calibrated_alarms([Confidence()], [{"confidence": (0.4,)}] + [{}] * 19, 0.1)
    (tmp_path / "c.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"c\.json': model: Field required; write it with homeostat calibrate"):
        Calibration.load(tmp_path / "c.json")
    with pytest.raises(ConfigError, match=r"none\.json' can't be read"):
        Calibration.load(tmp_path / "none.json")
