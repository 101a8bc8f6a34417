"""FocusScore against loops, its heads, and what length does to it."""

from dataclasses import replace

import numpy as np
import pytest

from homeostat.errors import ConfigError
from homeostat.sensors import Attempt, FocusScore, SensorContext, SpanMass, check_sensor
from homeostat.sensors.focus_score import focus_ratios, select_heads

LABELS = ("system", "goal", "screen", "tool", "output")
CONTEXT = SensorContext(goal="g")


def made(seed=0, lengths=(3, 4, 20, 9), tokens=3, sinks=True):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(6), (tokens, 2, 3)).astype(np.float32)[..., :5]
    inside = (shares * rng.uniform(0, 0.5, shares.shape)).astype(np.float32)
    return SpanMass(
        labels=LABELS,
        layers=(4, 7),
        mass=shares,
        prompt_mass=shares,
        lengths=np.array([*lengths, tokens - 1]),
        visible=np.arange(50, 50 + tokens),
        sink=inside.sum(-1) if sinks else None,
        sink_in_span=inside if sinks else None,
    )


def by_loops(mass, t, layer, head, *, per_token):
    own = foreign = 0.0
    own_keys = foreign_keys = 0
    for s, label in enumerate(mass.labels):
        weight = float(mass.mass[t, layer, head, s])
        if per_token and mass.sink_in_span is not None:
            weight -= float(mass.sink_in_span[t, layer, head, s])
        if label in ("system", "goal"):
            own, own_keys = own + weight, own_keys + int(mass.lengths[s])
        elif label in ("screen", "tool"):
            foreign, foreign_keys = foreign + weight, foreign_keys + int(mass.lengths[s])
    if per_token:
        own, foreign = own / own_keys, foreign / foreign_keys
    return own / (own + foreign)


@pytest.mark.parametrize("sinks", [True, False])
@pytest.mark.parametrize("per_token", [True, False])
def test_ratios_equal_the_formula(per_token, sinks):
    mass = made(sinks=sinks)
    ratios = focus_ratios(mass, ("system", "goal"), ("screen", "tool"), per_token=per_token)
    for t in range(3):
        for layer in range(2):
            for head in range(3):
                expected = by_loops(mass, t, layer, head, per_token=per_token)
                assert ratios[t, layer, head] == pytest.approx(expected, rel=1e-5)


def test_the_reading_is_the_mean_over_the_chosen_heads_of_the_chosen_tokens():
    mass, heads = made(), ((7, 0), (4, 2))
    each = [np.mean([by_loops(mass, t, (4, 7).index(la), h, per_token=True) for la, h in heads]) for t in range(3)]
    for tokens, expected in (("first", each[0]), ("all", np.mean(each)), ("lowest", min(each))):
        reading = FocusScore(tokens=tokens, heads=heads).read(Attempt("x", spans=mass), CONTEXT)
        assert reading.value == pytest.approx(expected, rel=1e-5)
        assert reading.alarm == (expected < 0.5)
        assert reading.judged
    paper = FocusScore.plain(heads).read(Attempt("x", spans=mass), CONTEXT)
    plain = np.mean([by_loops(mass, 0, (4, 7).index(la), h, per_token=False) for la, h in heads])
    assert paper.value == pytest.approx(plain, rel=1e-5)
    assert paper.threshold == 0.5


def test_a_label_covers_its_parts():
    """A conversation's results lie in spans such as ``tool.search``; all of them together are ``tool``."""
    mass = made()
    named = replace(mass, labels=("system", "goal", "tool.search", "tool.mail", "output"))
    plain = replace(mass, labels=("system", "goal", "screen", "tool", "output"))
    for per_token in (True, False):
        both = focus_ratios(named, ("system", "goal"), ("tool",), per_token=per_token)
        np.testing.assert_array_equal(
            both, focus_ratios(plain, ("system", "goal"), ("screen", "tool"), per_token=per_token)
        )
    reading = FocusScore().read(Attempt(text="", spans=named), CONTEXT)
    assert reading.judged
    assert reading.detail["data"] == pytest.approx(float(named.mass[..., 2:4].sum(-1).mean()))


def test_longer_data_moves_the_paper_s_score_and_not_the_corrected_one():
    """Attention spread evenly over every token: nothing prefers anything."""

    def even(data):
        total = 7 + data
        shares = np.array([3 / total, 4 / total, data / total, 0, 0], np.float32)
        mass = np.broadcast_to(shares, (1, 2, 3, 5)).copy()
        lengths = np.array([3, 4, data, 0, 0])
        return Attempt("x", spans=SpanMass(LABELS, (4, 7), mass, mass, lengths, np.array([total])))

    ours = [FocusScore().read(even(n), CONTEXT).value for n in (7, 700)]
    paper = [FocusScore.plain().read(even(n), CONTEXT) for n in (7, 700)]
    assert ours == pytest.approx([0.5, 0.5])
    assert [r.value for r in paper] == pytest.approx([0.5, 0.0099], abs=1e-4)
    assert paper[1].alarm


def test_heads_that_tell_attacks_apart_are_found():
    def prompt(seed, attacked):
        mass = made(seed, sinks=False).mass * 0.01
        for layer, head in ((0, 1), (1, 2)):
            mass[0, layer, head, :] = (0, 0.2, 0.6, 0.1, 0) if attacked else (0, 0.8, 0.1, 0, 0)
            mass[0, layer, head] *= 1 + 0.01 * np.random.default_rng(seed).normal()
        return SpanMass(LABELS, (4, 7), mass, mass, np.array([3, 4, 20, 9, 2]), np.array([50, 51, 52]))

    benign, attacked = [prompt(s, False) for s in range(8)], [prompt(s + 50, True) for s in range(8)]
    assert select_heads(benign, attacked, deviations=3) == ((4, 1), (7, 2))
    with pytest.raises(ConfigError, match=r"no head passes deviations=3\.0"):
        select_heads(attacked, benign, deviations=3.0)
    with pytest.raises(ConfigError, match="1 benign and 8 attacked prompts are too few"):
        select_heads(benign[:1], attacked)


def test_the_contract_and_bad_settings():
    for sensor in (FocusScore(), FocusScore(tokens="lowest"), FocusScore.plain()):
        check_sensor(sensor)
    assert not FocusScore(heads=((99, 0),)).read(Attempt("x", spans=made()), CONTEXT).judged
    assert not FocusScore(data=("nothing",)).read(Attempt("x", spans=made()), CONTEXT).judged
    for settings, why in (
        ({"threshold": 2}, "threshold=2"),
        ({"tokens": "last"}, "tokens='last'"),
        ({"data": ("goal",)}, "span 'goal' is both in"),
        ({"heads": ()}, "reads nothing"),
        ({"data": ()}, "neither may be empty"),
    ):
        with pytest.raises(ConfigError, match=why):
            FocusScore(**settings)
