"""Typed actions, and their conversion to and from the mobile_use tool call."""

import json

import pytest
from pydantic import ValidationError

from homeostat import actions as a
from homeostat.envs.mobile_use import Grid, format_action, parse_action
from homeostat.errors import UnparsableAction

GRID = Grid(144, 256)
EVERY = [
    a.Click(point=(40.5 / 144, 96.5 / 256)),
    a.LongPress(point=(0.0, 0.0)),
    a.LongPress(point=(0.5, 0.5), seconds=2.0),
    a.Swipe(point=(0.5, 0.75), to=(0.5, 0.25)),
    a.Type(text='say "hi"\nthere'),
    a.SystemButton(button="Back"),
    a.Open(app="notes"),
    a.Wait(seconds=3.0),
    a.Answer(text="42"),
    a.Terminate(status="failure"),
]


@pytest.mark.parametrize("action", EVERY, ids=lambda x: x.kind)
def test_every_action_survives_the_tool_call(action):
    text = format_action(action, GRID)
    call = json.loads(text.removeprefix("<tool_call>\n").removesuffix("\n</tool_call>"))
    assert call["name"] == "mobile_use"
    back = parse_action(text, GRID)
    assert format_action(back, GRID) == text
    assert type(back) is type(action)
    assert a.action_from_dict(json.loads(back.model_dump_json())) == back


def test_a_cell_centre_is_spelled_as_its_pixel():
    for column in range(9):
        for row in range(16):
            point = ((column + 0.5) / 9, (row + 0.5) / 16)
            assert GRID.spell(point) == [16 * column + 8, 16 * row + 8]
            assert GRID.read(GRID.spell(point)) == pytest.approx(point)


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "mobile_use", "arguments": {"action": "tap", "coordinate": [40, 96]}}',
        'I will tap it. {"action": "click", "coordinate": [[40, 96]]} Done.',
        '<tool_call>{"name": "mobile_use", "arguments": {"action": "click", "coordinate": ["40", "96"]}}',
    ],
)
def test_the_parser_forgives_known_variants(text):
    assert parse_action(text, GRID) == a.Click(point=(40 / 144, 96 / 256))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "no tool call"),
        ("{{{", "no tool call"),
        ('{"action": "fly"}', "'fly'"),
        ('{"action": "click"}', "'coordinate'"),
        ('{"action": "click", "coordinate": [145, 10]}', "[145, 10]"),
        ('{"action": "click", "coordinate": [10, 257]}', "[10, 257]"),
        ('{"action": "click", "coordinate": [10, 20, 30, 300]}', "[10, 20, 30, 300]"),
        ('{"action": "click", "coordinate": [NaN, 10]}', "nan"),
        ('{"action": "click", "coordinate": [-1, 10]}', "[-1, 10]"),
        ('{"action": "click", "coordinate": "here"}', "'here'"),
        ('{"action": "click", "coordinate": [1, 2, 3]}', "[1, 2, 3]"),
        ('{"action": "system_button", "button": "Turbo"}', "'Turbo'"),
        ('{"action": "terminate", "status": "maybe"}', "'maybe'"),
        ('{"action": "wait", "time": -1}', "-1"),
        ('{"action": "open", "text": ""}', "''"),
    ],
)
def test_what_cannot_be_read_is_named_in_one_line(text, named):
    with pytest.raises(UnparsableAction) as caught:
        parse_action(text, GRID)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_points_are_normalised():
    with pytest.raises(ValidationError):
        a.Click(point=(1.0, 0.0))
    with pytest.raises(ValidationError):
        a.Click(point=(0.5, 0.5), colour="red")
