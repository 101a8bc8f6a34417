import pickle

import pytest

from homeostat.errors import ConfigError
from homeostat.sensors import Spans


def test_ranges_are_sorted_and_counted():
    spans = Spans({"rules": [(20, 24), (0, 3)], "goal": [(3, 9)]}, length=30)
    assert spans.labels == ("rules", "goal")
    assert spans["rules"] == ((0, 3), (20, 24))
    assert (spans.tokens("rules"), spans.tokens("goal"), spans.tokens("screen")) == (7, 6, 0)
    assert spans.end == 24
    assert "goal" in spans
    assert "screen" not in spans


def test_spans_are_values():
    spans = Spans({"goal": [(3, 9)]}, length=30)
    assert spans == Spans({"goal": ((3, 9),)}, 30)
    assert hash(spans) == hash(Spans({"goal": [(3, 9)]}, 30))
    assert spans != Spans({"goal": [(3, 9)]})
    assert pickle.loads(pickle.dumps(spans)) == spans
    assert eval(repr(spans), {"Spans": Spans}) == spans
    with pytest.raises(AttributeError):
        spans.length = 3  # type: ignore[misc]


def test_left_padding_shifts_everything():
    assert Spans({"goal": [(3, 9)]}, length=30).shift(5) == Spans({"goal": [(8, 14)]}, length=35)


def test_touching_ranges_and_no_labels_are_fine():
    assert Spans({"a": [(0, 3), (3, 5)], "b": [(5, 6)]})["a"] == ((0, 3), (3, 5))
    assert Spans({}).end == 0


@pytest.mark.parametrize(
    ("ranges", "length", "says"),
    [
        ({"goal": [(3, 3)]}, None, "'goal' has the range (3, 3)"),
        ({"goal": [(-1, 3)]}, None, "(-1, 3)"),
        ({"goal": [(3, 31)]}, 30, "beyond the prompt's 30 tokens"),
        ({"goal": []}, None, "'goal' has no range"),
        ({"goal": [(0, 5), (4, 6)]}, None, "overlap"),
        ({"goal": [(0, 5)], "rules": [(4, 6)]}, None, "'goal' (0, 5) and 'rules' (4, 6) overlap"),
        ({"goal": [(0.5, 2)]}, None, "two integers"),
        ({"goal": [7]}, None, "has 7 for a range"),
        ({"output": [(0, 5)]}, None, "'output' is reserved for the generated tokens"),
        ({"": [(0, 5)]}, None, "''"),
        ({}, 0, "0 tokens"),
    ],
)
def test_bad_ranges_are_named(ranges, length, says):
    with pytest.raises(ConfigError) as caught:
        Spans(ranges, length)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
