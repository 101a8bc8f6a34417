"""What travels between a client of vLLM and its workers: requests as text, and masses as bytes. No vLLM is needed."""

import json

import numpy as np
import pytest

from homeostat.agent.vllm.wire import EXTRA, SpanRequest, joined_masses, packed_rows
from homeostat.errors import ConfigError, ProbeError
from homeostat.sensors import Spans
from homeostat.sensors.steering.actuators import Actuator, Centric

SPANS = Spans({"system": [(0, 4)], "goal": [(6, 9), (10, 12)]}, length=13)
RULES = (
    Actuator("system", gain=3.0, heads=frozenset({(2, 1), (0, 3)})),
    Actuator(((0, 2), (4, 5)), target=0.25, rows="output", raise_only=True, layers=frozenset({1, 2})),
    Actuator("goal", scale=0.5, to="system", where=Centric("system", 0.1), after=((0, 1),), from_layer=1, to_layer=-1),
    Actuator("goal", stretch=0.2, reach="prefix"),
    Actuator(None, output=0.0),
    Actuator(None, scale=0.3, sinks=0.1),
    Actuator("goal", floor=0.2),
)


def test_a_request_survives_the_way_through_extra_args():
    asked = SpanRequest("one", SPANS, layers=(0, 2), rows=5, steer=RULES, watch=False, samples=3, every=2)
    carried = asked.extra_args()
    assert set(carried) == {EXTRA}
    assert isinstance(carried[EXTRA], str)
    assert SpanRequest.of(json.loads(json.dumps(carried))) == asked


def test_other_extra_args_want_nothing():
    assert SpanRequest.of(None) is None
    assert SpanRequest.of({"kv_transfer_params": {}}) is None


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        "{}",
        json.dumps({"key": "a", "spans": {}, "length": 0}),
        json.dumps({"key": "a", "spans": {"x": [[0]]}, "length": 3}),
        json.dumps({"key": "a", "spans": {"x": [[0, 5]]}, "length": 3}),
        json.dumps({"key": "a", "spans": {}, "length": 3, "steer": [{"span": "x"}]}),
        json.dumps({"key": "a", "spans": {}, "length": 3, "steer": [{"span": "x", "gain": 2, "unheard": 1}]}),
        json.dumps({"key": "", "spans": {}, "length": 3}),
        json.dumps({"key": "a", "spans": {}, "length": 3, "rows": 0}),
        json.dumps({"key": "a", "spans": {}, "length": 3, "layers": []}),
        json.dumps({"key": "a", "spans": {}, "length": 3, "samples": 0}),
        json.dumps({"key": "a", "spans": {}, "length": 3, "every": 0}),
    ],
)
def test_a_text_that_is_no_request_is_refused(text):
    with pytest.raises(ConfigError):
        SpanRequest.of({EXTRA: text})


def rank(masses, positions, samples=("0",)):
    packed = packed_rows(masses, positions, [p + 1 for p in positions], (0, 3))
    return {"error": "", "samples": dict.fromkeys(samples, packed)}


def test_ranks_are_joined_along_the_heads():
    rng = np.random.default_rng(0)
    left, right = (rng.random((6, 2, heads, 3), np.float32) for heads in (2, 1))
    positions = [10, 11, 12, 13, 14, 15]  # three rows of the prompt, of which the last one is the first token's
    asked = SpanRequest("one", SPANS, rows=2)
    (found,) = joined_masses(asked, [rank(left, positions), rank(right, positions)], {0: 3})
    whole = np.concatenate([left, right], 2)
    assert found.labels == ("system", "goal", "output")
    assert found.layers == (0, 3)
    assert found.prompt == 13
    np.testing.assert_array_equal(found.mass, whole[2:5])  # the row of the last token produces none of the three
    np.testing.assert_array_equal(found.prompt_mass, whole[1:3])
    assert found.lengths.tolist() == [4, 5, 2]
    assert found.visible.tolist() == [13, 14, 15]


def test_what_a_worker_could_not_read_is_an_error():
    asked = SpanRequest("one", SPANS)
    masses = np.zeros((2, 2, 1, 3), np.float32)
    with pytest.raises(ProbeError, match=r"'one': the label cache is full"):
        joined_masses(asked, [{"error": "the label cache is full", "samples": {}}], {0: 1})
    with pytest.raises(ProbeError, match="read nothing of answer 1"):
        joined_masses(asked, [rank(masses, [11, 12])], {0: 1, 1: 1})
    with pytest.raises(ProbeError, match="read 1 of 4 tokens"):
        joined_masses(asked, [rank(masses, [11, 12])], {0: 4})


def test_every_second_token_keeps_its_place():
    masses = np.arange(5 * 2 * 1 * 3, dtype=np.float32).reshape(5, 2, 1, 3)
    asked = SpanRequest("one", SPANS, rows=1, every=2)
    (found,) = joined_masses(asked, [rank(masses, [12, 13, 14, 15, 16])], {0: 4})  # more than was asked for
    np.testing.assert_array_equal(found.mass, masses[[0, 2]])
    assert found.position.tolist() == [0, 2]
    assert found.lengths[-1] == 3
