"""Confidence of an answer, Repetition, Agreement."""

import itertools
import math
import random
import re

import pytest

from homeostat.errors import ConfigError
from homeostat.sensors import Agreement, Attempt, Confidence, Repetition, SensorContext, check_sensor
from homeostat.sensors.agreement import agreement
from homeostat.sensors.calibration import settings_of
from homeostat.sensors.confidence import answer_tokens
from homeostat.sensors.repetition import looping_share, most_repeated

CONTEXT = SensorContext(goal="g")


def said(text, probabilities=None, **more):
    pieces = tuple(re.findall(r"\w+|\W", text))
    given = probabilities or [0.9] * len(pieces)
    return Attempt(text, pieces=pieces, logprobs=tuple(map(math.log, given)), tokens=tuple(range(len(pieces))), **more)


# -- confidence ----------------------------------------------------------------------------------------------------


def test_the_answer_s_own_tokens_count():
    one = said("so A or B", [0.9, 0.9, 0.2, 0.9, 0.9, 0.9, 0.4])
    assert answer_tokens(one.pieces, re.compile(r"\b([A-J])\b")) == (6,)
    assert Confidence(answer=r"\b([A-J])\b").read(one, CONTEXT).value == pytest.approx(0.4)
    assert Confidence(answer="so A").read(one, CONTEXT).value == pytest.approx((0.9 * 0.9 * 0.2) ** (1 / 3))
    assert not Confidence(answer="C").read(one, CONTEXT).judged
    blind = Attempt("so A", logprobs=(-0.1,), tokens=(1,))
    assert "does not report" in Confidence(answer="A").read(blind, CONTEXT).reason
    point = said('{"coordinate": [40, 104]}')
    found = answer_tokens(point.pieces, re.compile(r"\[(.*)\]"))
    assert "".join(point.pieces[i] for i in found) == "40, 104"


def test_stability_is_against_the_first_reading():
    sensor = Confidence.cyberv()
    first = sensor.read(said("A", [0.8]), CONTEXT)
    assert not first.judged
    later = sensor.read(said("B", [0.3]), SensorContext(goal="g", history=(first,)))
    assert later.value == pytest.approx((0.3 - 0.8) / 0.8)
    assert later.alarm
    assert not sensor.read(said("B", [0.5]), SensorContext(goal="g", history=(first,))).alarm


def test_entropy_alarms_above_and_margin_below():
    one = said("a b", [0.9, 0.9, 0.9], entropy=(1.0, 3.0, 5.0), margin=(0.0, 0.1, 0.05))
    entropy = Confidence(measure="entropy", threshold=2.5).read(one, CONTEXT)
    assert (entropy.value, entropy.alarm) == (pytest.approx(3.0), True)
    margin = Confidence(measure="margin").read(one, CONTEXT)
    assert (margin.value, margin.alarm) == (pytest.approx(0.05), True)
    assert "reports no entropy" in Confidence(measure="entropy").read(said("a"), CONTEXT).reason


# -- repetition ----------------------------------------------------------------------------------------------------


def slow_share(text, times=3, least=24):
    best = 0
    for p in range(1, len(text)):
        run = next((k for k in range(len(text) - p) if text[-1 - k] != text[-1 - k - p]), len(text) - p) + p
        if run >= max(times * p, least):
            best = max(best, run)
    return best / len(text) if text else 0.0


def test_the_looping_share_is_that_of_a_plain_search():
    rng = random.Random(4)
    for _ in range(300):
        head = "".join(rng.choices("ab c", k=rng.randint(0, 40)))
        piece = "".join(rng.choices("ab", k=rng.randint(1, 12)))
        text = head + piece * rng.randint(0, 8) + piece[: rng.randint(0, len(piece))]
        assert looping_share(text)[1] == pytest.approx(slow_share(text))


def test_a_loop_is_named_and_a_phrase_used_often_is_none():
    looped = Repetition().read(Attempt("tap the first one " + "and then again " * 20), CONTEXT)
    assert looped.value == pytest.approx(300 / 318, abs=0.01)
    assert looped.alarm
    assert "over and over" in looped.reason
    honest = "the price of the ticket was nine, the price of the ticket was ten, and the price of the ticket fell"
    assert Repetition().read(Attempt(honest), CONTEXT).value == 0
    assert looping_share("x" * 23) == ("", 0.0)
    assert looping_share("x" * 24) == ("x", 1.0)
    assert looping_share("") == ("", 0.0)


def test_cyberv_counts_fifteen_characters():
    text = "0123456789abcde" * 4 + "!"
    assert most_repeated(text) == 4
    assert not Repetition.cyberv().read(Attempt(text), CONTEXT).alarm
    assert Repetition.cyberv().read(Attempt(text + "0123456789abcde"), CONTEXT).alarm
    assert most_repeated("short") == 0


def test_cyberv_leaves_short_texts_alone():
    """Their code asks for more than 30 characters; 15 in a row, overlapping, occur 16 times in 30 of one letter."""
    assert most_repeated("x" * 30) == 16
    short, long = (Repetition.cyberv().read(Attempt("x" * n), CONTEXT) for n in (30, 31))
    assert (short.value, short.alarm, short.detail["count"]) == (0, False, 16)
    assert (long.value, long.alarm) == (17, True)


def test_a_loop_that_ends_is_seen_by_the_count_alone():
    reading = Repetition().read(Attempt("and then again " * 20 + '"}'), CONTEXT)
    assert (reading.value, reading.alarm) == (0, False)
    assert reading.detail["count"] == 20


def test_the_count_is_that_of_every_size_from_15_to_29():
    def by_all_sizes(text):
        counts = {}
        for size in range(15, 30):
            for i in range(len(text) - size + 1):
                counts[text[i : i + size]] = counts.get(text[i : i + size], 0) + 1
        return any(n >= 5 for n in counts.values())

    rng = random.Random(9)
    seen = set()
    for _ in range(200):
        piece = "".join(rng.choices("ab ", k=rng.randint(10, 32)))
        text = "".join(piece + "".join(rng.choices("xyz", k=rng.randint(0, 3))) for _ in range(rng.randint(2, 8)))
        text = text if len(text) > 30 else text * 4
        alarm = Repetition.cyberv().read(Attempt(text), CONTEXT).alarm
        assert alarm == by_all_sizes(text)
        seen.add(alarm)
    assert seen == {True, False}


def test_a_long_text_is_no_trouble():
    text = "".join(random.Random(1).choices("ab", k=20_000)) + "no end " * 3_000
    assert Repetition().read(Attempt(text), CONTEXT).value == pytest.approx(21_000 / 41_000, abs=0.01)


# -- agreement -----------------------------------------------------------------------------------------------------


def test_votes_of_every_split_of_four():
    for answers in itertools.product("abcd", repeat=4):
        votes = agreement(answers)
        counts = [answers.count(x) for x in set(answers)]
        assert votes.share == max(counts) / 4
        assert answers.count(votes.answer) == max(counts)
        assert votes.entropy == pytest.approx(-sum(c / 4 * math.log(c / 4, 4) for c in counts))
        assert votes.distinct == len(counts)


def test_weights_decide():
    votes = agreement(["x", "y", "y"], [0.9, 0.2, 0.3])
    assert (votes.answer, votes.share) == ("x", pytest.approx(0.9 / 1.4))
    for bad in ([1, 2], [1, -1, 1], [0, 0, 0], [1, math.nan, 1], [1, math.inf, 1]):
        with pytest.raises(ConfigError, match="do not fit 3 answers"):
            agreement(["x", "y", "y"], bad)
    with pytest.raises(ConfigError, match=r"answers=\(\)"):
        agreement([])


def test_an_attempt_among_its_candidates():
    mine = Attempt(" tap ok ")
    others = (mine, Attempt("tap ok"), Attempt("back"), Attempt("home"))
    reading = Agreement().read(mine, SensorContext(goal="g", candidates=tuple(others)))
    assert (reading.value, reading.alarm) == (0.5, False)
    assert reading.detail["majority"] == 0.5
    stray = Agreement().read(Attempt("wait"), SensorContext(goal="g", candidates=tuple(others)))
    assert (stray.value, stray.alarm) == (0.2, True)
    assert not Agreement().read(mine, CONTEXT).judged
    first = Agreement(key=lambda a: a.text.split()[0]).read(mine, SensorContext(goal="g", candidates=tuple(others)))
    assert first.value == 0.5
    weighed = {"candidates": others, "weights": (0.1, 0.1, 0.7, 0.1)}
    assert Agreement().read(mine, SensorContext(goal="g", **weighed)).value == pytest.approx(0.2)


@pytest.mark.parametrize("weights", [[1], [0, 0], [1, -1], [math.inf, 1]])
def test_weights_that_don_t_fit_are_said_and_not_raised(weights):
    mine = Attempt("ok")
    extra = {"candidates": (mine, Attempt("back")), "weights": tuple(weights)}
    reading = Agreement().read(mine, SensorContext(goal="g", **extra))
    assert (reading.judged, reading.alarm) == (False, False)
    assert "do not fit 2 answers" in reading.reason


def test_a_calibrated_agreement_is_known_again_elsewhere():
    """Settings are compared as text: they may hold no address of this process's memory."""
    assert settings_of(Agreement()) == "Agreement(key=None, name='agreement')"
    assert settings_of(Agreement(key=agreement)) == "Agreement(key=agreement, name='agreement')"
    assert " at 0x" not in settings_of(Confidence(answer="x"))


@pytest.mark.parametrize(
    "sensor",
    [
        Confidence(answer="word"),
        Confidence(measure="entropy"),
        Confidence(measure="margin"),
        Confidence.cyberv("word"),
        Repetition(),
        Repetition.cyberv(),
        Agreement(),
    ],
    ids=lambda s: s.name,
)
def test_the_contract_is_kept(sensor):
    check_sensor(sensor)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Confidence(measure="mood"), "measure='mood' is unknown"),
        (lambda: Confidence(1.5), r"threshold=1\.5 is not a probability"),
        (lambda: Confidence(-1, measure="entropy"), "threshold=-1 is not an entropy"),
        (lambda: Confidence(answer="("), r"answer='\(' is not a regular expression"),
        (lambda: Repetition(measure="x"), "measure='x'"),
        (lambda: Repetition(times=1), "times=1"),
        (lambda: Repetition(-1), "threshold=-1"),
        (lambda: Agreement(2), "threshold=2"),
    ],
)
def test_bad_settings_are_named(make, says):
    with pytest.raises(ConfigError, match=says):
        make()
