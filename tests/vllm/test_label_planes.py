"""Which request's labels lie in which blocks and columns of a label cache. No vLLM is needed."""

import numpy as np
import pytest
import torch

from homeostat.agent.vllm.label_planes import PLANES, Planes
from homeostat.agent.vllm.watched import Watched, vectors
from homeostat.agent.vllm.wire import SpanRequest
from homeostat.sensors import Spans

BLOCK, HEADS, SIZE = 4, 2, 8


def planes():
    return Planes(lambda: torch.zeros(16, HEADS, BLOCK, 2 * SIZE), HEADS, SIZE)


def request(key="one", length=10, **spans):
    return Watched(SpanRequest(key, Spans({label: [pair] for label, pair in spans.items()}, length=length)), 0)


def test_columns_name_the_label_of_every_slot():
    one = request(system=(0, 3), goal=(5, 8))
    place = one.in_group(0, planes(), [1, 2, 3], 0, BLOCK)
    columns = one.columns(place, 0, 12)
    named = dict(zip(one.names, place.columns.tolist(), strict=True))
    system, goal, output = named["system"], named["goal"], named["output"]
    assert columns.tolist() == [system] * 3 + [0, 0] + [goal] * 3 + [0, 0] + [output] * 2
    told = vectors(place.plane, columns)
    assert told.shape == (12, HEADS, SIZE)
    expected = np.zeros((12, SIZE))
    for slot, column in enumerate(columns):
        if column:
            expected[slot, column - 1] = 1
    np.testing.assert_array_equal(told[:, 0], expected)
    np.testing.assert_array_equal(told[:, 1], expected)


def test_alike_labels_share_a_plane_and_its_columns():
    room = planes()
    first, second = request(system=(0, 8)), request("two", system=(0, 8), goal=(8, 9))
    place = first.in_group(0, room, [1, 2, 3], 0, BLOCK)
    first.fill(place, 10, BLOCK)
    other = second.in_group(0, room, [1, 2, 4], 8, BLOCK)
    assert other.plane is place.plane
    assert len(room.planes) == 1
    assert other.columns[0] == place.columns[0]  # "system"


def test_other_labels_on_shared_blocks_get_another_plane_until_the_first_request_ends():
    room = planes()
    first, second, third = request(system=(0, 8)), request("two", rules=(0, 8)), request("three", rules=(0, 8))
    place = first.in_group(0, room, [1, 2, 3], 0, BLOCK)
    first.fill(place, 10, BLOCK)
    other = second.in_group(0, room, [1, 2, 4], 8, BLOCK)
    assert other.plane is not place.plane
    second.leave()
    first.leave()
    assert third.in_group(0, room, [1, 2, 4], 8, BLOCK).plane is place.plane


def test_columns_of_ended_requests_are_free_again():
    room = planes()
    for turn in range(50):
        one = request(f"turn {turn}", **{f"label {turn}.{i}": (i, i + 1) for i in range(SIZE - 1)})
        assert one.in_group(0, room, [1, 2, 3], 0, BLOCK).plane.width <= SIZE + 1
        one.leave()
    assert len(room.planes) == 1


def test_more_labels_than_channels_are_refused():
    one = request(**{f"label {i}": (i, i + 1) for i in range(SIZE)})  # and "output"
    with pytest.raises(ValueError, match="9 labels are more than a head's 8 channels"):
        one.in_group(0, planes(), [1, 2, 3], 0, BLOCK)


def test_the_number_of_planes_is_bounded():
    room = planes()
    for turn in range(PLANES + 1):
        one = request(f"turn {turn}", **{f"label {turn}": (0, 8)})
        if turn == PLANES:
            with pytest.raises(ValueError, match=f"{PLANES} open requests label the same"):
                one.in_group(0, room, [1, 2, 3], 8, BLOCK)
        else:
            one.fill(one.in_group(0, room, [1, 2, 3], 8, BLOCK), 10, BLOCK)
    assert room.bytes == PLANES * room.planes[0].labels.nbytes


def test_a_request_that_comes_back_from_a_preemption_writes_its_labels_again():
    room = planes()
    one = request(system=(0, 8))
    place = one.in_group(0, room, [1, 2, 3], 0, BLOCK)
    one.fill(place, 10, BLOCK)
    assert one.in_group(0, room, [1, 2, 3], 10, BLOCK).written == 10
    back = one.in_group(0, room, [5, 6, 7], 0, BLOCK)
    assert back.written == 0
    assert not place.plane.clashes([(1, b"anything")])


def test_a_sliding_window_drops_blocks_without_a_new_beginning():
    room = planes()
    one = request(system=(0, 8))
    place = one.in_group(0, room, [1, 2, 3], 0, BLOCK)
    one.fill(place, 10, BLOCK)
    assert one.in_group(0, room, [0, 2, 3, 4], 12, BLOCK) is place


def test_which_rows_of_a_step_are_read():
    one = Watched(SpanRequest("one", Spans({"system": [(0, 3)]}, length=10), rows=4, every=3), 0)
    assert [one.rows(0, 4), one.rows(4, 8), one.rows(8, 10), one.rows(0, 10)] == [0, 2, 2, 4]  # chunks of the prompt
    assert [one.rows(slot, slot + 1) for slot in range(10, 17)] == [0, 0, 1, 0, 0, 1, 0]  # tokens 1 to 7
    assert one.rows(3, 14) == 8  # computed anew after a preemption
