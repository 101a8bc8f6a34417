"""The spellings of actions and places that public vision models write, each with the action that it stands for."""

import json
import math

import pytest

from homeostat import actions as a
from homeostat.envs.mobile_use import Grid, format_action, parse_action
from homeostat.errors import UnparsableAction
from homeostat.observation import Element

GRID = Grid(144, 256)
THOUSANDTHS = Grid(1000, 1000)
HERE = a.Click(point=(40 / 144, 96 / 256))
FIELD = Element(role="field", text="", box=(0.0, 0.0, 0.5, 0.1), state="")
FOCUSED = Element(role="field", text="find oat milk", box=(0.0, 0.5, 0.5, 0.6), state="focused")
BUTTON = Element(role="button", text="send", box=(0.5, 0.5, 1.0, 0.6), state="")


def call(**arguments):
    return "<tool_call>\n" + json.dumps({"name": "mobile_use", "arguments": arguments}) + "\n</tool_call>"


def point(action):
    return (action.point[0] * GRID.width, action.point[1] * GRID.height)


@pytest.mark.parametrize(
    "place",
    [
        [40, 96],
        "[40, 96]",
        "(40,96)",
        "40, 96",
        "<point>40 96</point>",
        "<|box_start|>(40,96)<|box_end|>",
        ["40", "96"],
        [[40, 96]],
        {"x": 40, "y": 96},
        [30, 90, 50, 102],
        "[30, 90, 50, 102]",
        [[30, 90], [50, 102]],
        [30.0, 90.0, 50.0, 102.0],
    ],
    ids=str,
)
def test_a_place_in_every_spelling(place):
    assert parse_action(call(action="click", coordinate=place), GRID) == HERE


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"name": "mobile_use", "arguments": json.dumps({"action": "click", "coordinate": [40, 96]})}),
        '{"name": "computer_use", "arguments": {"action": "left_click", "coordinate": [40, 96]}}',
        '{"action": "double_click", "coordinate": [40, 96]}',
        '{"name": "click", "arguments": {"coordinate": [40, 96]}}',
        '{"action": "click", "x": 40, "y": 96}',
        '{"action": "click", "bbox": [30, 90, 50, 102]}',
        '{"action_type": "click", "x": 40, "y": 96}',
        'Reason: it opens the app.\nAction: {"action_type": "double_tap", "x": 40, "y": 96}',
        "Thought: I tap it.\nAction: click(start_box='(40,96)')",
        "Thought: I tap it.\nAction: click(start_box='<|box_start|>(40,96)<|box_end|>')",
        "Thought: Action: is what follows.\nAction: click(point='<point>40 96</point>')",
        "Action: left_single(start_box='[30, 90, 50, 102]')\n\nwait()",
        "click(40, 96)",
        "<tool_call>\n<function=computer_use>\n<parameter=action>\nleft_click\n</parameter>\n<parameter=coordinate>\n"
        "[40, 96]\n</parameter>\n</function>\n</tool_call>",
    ],
)
def test_a_click_in_every_form(text):
    assert parse_action(text, GRID) == HERE


@pytest.mark.parametrize(
    ("text", "action"),
    [
        (call(action="key", text="enter"), a.SystemButton(button="Enter")),
        (call(action="key", text="KEYCODE_BACK"), a.SystemButton(button="Back")),
        ('{"name": "computer_use", "arguments": {"action": "key", "keys": ["esc"]}}', a.SystemButton(button="Back")),
        (call(action="system_button", button="home"), a.SystemButton(button="Home")),
        (
            '<function=computer_use><parameter=action>key</parameter><parameter=keys>["enter"]</parameter></function>',
            a.SystemButton(button="Enter"),
        ),
        (
            "<function=mobile_use>\n<parameter=action>\ntype\n</parameter>\n<parameter=text>\n42\n</parameter>\n</function>",
            a.Type(text="42"),
        ),
        (call(action="open", text="File Manager"), a.Open(app="File Manager")),
        (call(action="wait", time=2), a.Wait(seconds=2.0)),
        (call(action="terminate"), a.Terminate(status="success")),
        (call(action="terminate", status="fail"), a.Terminate(status="failure")),
        (call(action="swipe", coordinate=[72, 192], coordinate2=[72, 64]), a.Swipe(point=(0.5, 0.75), to=(0.5, 0.25))),
        (call(action="right_click", coordinate=[72, 64]), a.LongPress(point=(0.5, 0.25))),
        ('{"action_type": "open_app", "app_name": "notes"}', a.Open(app="notes")),
        ('{"action_type": "navigate_home"}', a.SystemButton(button="Home")),
        ('{"action_type": "keyboard_enter"}', a.SystemButton(button="Enter")),
        ('{"action_type": "answer", "text": "42"}', a.Answer(text="42")),
        ('{"action_type": "status", "goal_status": "infeasible"}', a.Terminate(status="failure")),
        ('{"action_type": "input_text", "text": "milk"}', a.Type(text="milk")),
        ("Action: press_back()", a.SystemButton(button="Back")),
        ("Action: hotkey(key='enter')", a.SystemButton(button="Enter")),
        ("Action: open_app(app_name='notes')", a.Open(app="notes")),
        (r"Action: type(content='it\'s 2\" (two)')", a.Type(text="it's 2\" (two)")),
        ("Action: type(content='it's here')", a.Type(text="it's here")),
        (r"Action: type(content='\n')", a.SystemButton(button="Enter")),
        ("Action: wait()", a.Wait()),
        ("Action: call_user()", a.Terminate(status="failure")),
        ("Action: finished()", a.Terminate(status="success")),
        ("Action: long_press(point='<point>72 64</point>')", a.LongPress(point=(0.5, 0.25))),
        (
            "Action: drag(start_point='<point>72 192</point>', end_point='<point>72 64</point>')",
            a.Swipe(point=(0.5, 0.75), to=(0.5, 0.25)),
        ),
    ],
)
def test_every_action_of_the_public_models(text, action):
    assert parse_action(text, GRID) == action


@pytest.mark.parametrize(
    ("text", "finger"),
    [
        ('{"action": "scroll", "pixels": -500}', "up"),
        ('{"action": "scroll", "pixels": 5, "coordinate": [72, 128]}', "down"),
        ('{"action": "hscroll", "pixels": 5}', "left"),
        ('{"action": "scroll", "direction": "down"}', "up"),
        ('{"action": "swipe", "direction": "down", "coordinate": [72, 128]}', "down"),
        ('{"action_type": "scroll", "direction": "down"}', "up"),
        ('{"action_type": "swipe", "direction": "up"}', "up"),
        ("Action: scroll(start_box='(72,128)', direction='left')", "right"),
    ],
)
def test_the_finger_moves_against_the_direction_of_reading(text, finger):
    action = parse_action(text, GRID)
    dx, dy = action.to[0] - action.point[0], action.to[1] - action.point[1]
    across = {"left": -dx, "right": dx, "up": -dy, "down": dy}
    assert max(across, key=across.get) == finger
    assert 0.39 <= across[finger] <= 1
    assert min(abs(dx), abs(dy)) == pytest.approx(0)


@pytest.mark.parametrize("grid", [GRID, THOUSANDTHS, Grid(672, 1484)])
def test_the_upper_end_of_the_range_is_the_edge(grid):
    right = parse_action(call(action="click", coordinate=[grid.width, grid.height // 2]), grid)
    assert right.point == pytest.approx((1.0, 0.5))
    bottom = parse_action(call(action="click", coordinate=[0, grid.height]), grid)
    assert bottom.point == pytest.approx((0.0, 1.0))
    for size in range(1, 5000):  # the edge is the last pixel of a screen of any size
        assert math.floor(right.point[0] * size) == size - 1
    assert parse_action(format_action(right, grid), grid) == right
    for x in (-1, grid.width + 1):
        with pytest.raises(UnparsableAction, match=f"at most {grid.width}"):
            parse_action(call(action="click", coordinate=[x, 1]), grid)


def test_thousandths_are_thousandths():
    assert parse_action(call(action="click", coordinate=[1000, 500]), THOUSANDTHS).point == pytest.approx((1.0, 0.5))
    assert parse_action(call(action="click", coordinate=[447, 81]), THOUSANDTHS).point == (0.447, 0.081)


def test_android_worlds_numbers_name_elements():
    screen = (FIELD, FOCUSED, BUTTON)
    click = parse_action('{"action_type": "click", "index": 2}', GRID, screen)
    assert click.point == pytest.approx((0.75, 0.55))
    down = parse_action('{"action_type": "scroll", "direction": "down", "index": 2}', GRID, screen)
    assert (down.point, down.to) == (pytest.approx((0.75, 0.55)), pytest.approx((0.75, 0.5)))
    with pytest.raises(UnparsableAction, match=r"element 3 .* has 3"):
        parse_action('{"action_type": "click", "index": 3}', GRID, screen)
    with pytest.raises(UnparsableAction, match="index, or x and y"):
        parse_action('{"action_type": "click"}', GRID, screen)


def test_a_text_for_a_field_goes_one_action_at_a_time():
    screen = (FIELD, FOCUSED, BUTTON)
    other = '{"action_type": "input_text", "text": "oat milk", "index": 0}'
    assert parse_action(other, GRID, screen) == a.Click(point=(0.25, 0.05))
    fresh = FOCUSED.model_copy(update={"text": "find"})
    same = '{"action_type": "input_text", "text": "oat milk", "index": 1}'
    assert parse_action(same, GRID, (FIELD, fresh, BUTTON)) == a.Type(text="oat milk")
    assert parse_action(same, GRID, screen) == a.SystemButton(button="Enter")
    unknown = tuple(e.model_copy(update={"state": None}) for e in screen)
    assert parse_action(other, GRID, unknown) == a.Type(text="oat milk")


def test_a_submitted_text_is_typed_first():
    submitted, plain = (rf"Action: type(content='Oat Milk{end}')" for end in (r"\n", ""))
    assert parse_action(submitted, GRID) == a.Type(text="Oat Milk")
    assert parse_action(submitted, GRID, (FIELD, FOCUSED)) == a.SystemButton(button="Enter")
    assert parse_action(plain, GRID, (FIELD, FOCUSED)) == a.Type(text="Oat Milk")


def test_the_last_word_is_said_before_the_end():
    text = "Action: finished(content='It costs $12.')"
    assert parse_action(text, GRID) == a.Answer(text="It costs $12.")
    assert parse_action(text, GRID, answered=["It costs $12."]) == a.Terminate(status="success")


def test_qwen3s_thought_and_action_are_no_calls():
    """A recorded answer (QwenLM/Qwen3-VL, cookbooks/mobile_agent.ipynb)."""
    text = (
        "Thought: To search for Musk in X, I need to click on the search bar at the top of the screen. This will allow "
        'me to type in the search query.\nAction: "I tapped on the search bar to begin searching for Musk."\n'
        '<tool_call>\n{"name": "mobile_use", "arguments": {"action": "click", "coordinate": [447, 81]}}\n</tool_call>'
    )
    assert parse_action(text, THOUSANDTHS) == a.Click(point=(0.447, 0.081))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (call(action="key", text="volume_up"), "'volume_up'"),
        ('{"action": "key", "keys": ["ctrl", "a"]}', "['ctrl', 'a']"),
        ('{"action": "mouse_move", "coordinate": [1, 1]}', "'mouse_move'"),
        ('{"action": "scroll"}', "'scroll'"),
        ('{"action": "scroll", "direction": "sideways"}', "'sideways'"),
        ('{"action": "swipe", "coordinate": [1, 1]}', "'coordinate2'"),
        ('{"action": "left_click_drag", "coordinate": [1, 1]}', "'coordinate2'"),
        ('{"action": "type", "text": 5}', "5"),
        ('{"action_type": "fly"}', "fly"),
        ('{"action_type": "unknown"}', "unknown"),
        ('{"action_type": "click", "index": 1, "x": 3, "y": 4}', "index"),
        ('{"name": "mobile_use", "arguments": "click"}', "no tool call"),
        ("Action: fly(point='<point>40 96</point>')", "no tool call"),
        ("Action: click(point='<point>here</point>')", "here"),
        ("a='" * 3000, "no tool call"),
        ("Action: click(" + "a='" * 3000, "'coordinate'"),
    ],
)
def test_what_no_device_does_is_named_in_one_line(text, named):
    with pytest.raises(UnparsableAction) as caught:
        parse_action(text, GRID)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
