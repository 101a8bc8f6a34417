"""Actions that name elements by number: what is written is read back, and what small models write is understood."""

import json

import pytest

from homeostat import actions as a
from homeostat.envs.element_actions import (
    click_point,
    describe_element_action,
    element_schema,
    format_element_action,
    naming_texts,
    parse_element_action,
)
from homeostat.envs.grid import Grid
from homeostat.envs.harness import load_suite
from homeostat.envs.phone import PhoneEnv
from homeostat.errors import UnparsableAction
from homeostat.observation import Element, element_at

GRID = Grid(1000, 1000)
ELEMENTS = (
    Element(role="title", text="notes", box=(0.0, 0.0, 1.0, 0.1), state=""),
    Element(role="field", text="title milk", box=(0.0, 0.1, 1.0, 0.2), state="focused"),
    Element(role="field", text="body", box=(0.0, 0.2, 1.0, 0.3), state=""),
    Element(role="button", text="Save", box=(0.0, 0.8, 0.5, 0.9), state=""),
    Element(role="button", text="Cancel all", box=(0.5, 0.8, 1.0, 0.9), state=""),
)
SAVE = a.Click(point=(0.25, 0.85))


def read(text: str) -> a.Action:
    action = parse_element_action(text, ELEMENTS, GRID)
    return a.Click(point=tuple(round(v, 6) for v in action.point)) if isinstance(action, a.Click) else action


@pytest.mark.parametrize(
    "text",
    [
        '{"action": "click", "index": 3}',
        '{"action": "click", "index": "3"}',
        '{"action": "click", "index": "[3]"}',
        '{"action": "click", "index": 3.0}',
        '{"action": "Tap", "element": "3 button"}',
        '{"action_type": "click", "index": 3}',
        '{"action": "click", "index": "save"}',
        '{"action": "click", "text": "Save"}',
        '{"action": "click", "point": [250, 850]}',
        '{"action": "click", "coordinate": ["250", "850"]}',
        '{"action": "click", "x": 250, "y": 850}',
        '{"action": {"type": "click", "index": 3}}',
        '{"action": "click 3"}',
        '{"click": 3}',
        '{"click": {"index": 3}}',
        '{"name": "mobile_use", "arguments": {"action": "click", "index": 3}}',
        'Reason: the note is done.\nAction: {"action_type": "click", "index": 3}',
        '```json\n{"action": "click", "index": 3}\n```',
        '{"action": "click", "index": 3}\n{"action": "back"}',
        "click 3",
        "Action: click [3]",
        "click(3)",
        'click("Save")',
        '{"action": "press", "index": 3}',
    ],
)
def test_every_spelling_of_a_click_is_read(text: str) -> None:
    assert read(text) == SAVE


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ('{"action": "open", "text": "notes"}', a.Open(app="notes")),
        ('{"action": "open_app", "app_name": "notes"}', a.Open(app="notes")),
        ('{"open": "notes"}', a.Open(app="notes")),
        ("open notes", a.Open(app="notes")),
        ('{"action": "type", "text": "milk"}', a.Type(text="milk")),
        ('{"action": "input_text", "text": "milk", "index": 1}', a.Type(text="milk")),
        ('{"action": "type", "text": "milk", "index": 2}', a.Click(point=(0.5, 0.25))),
        ('{"action": "long_press", "index": 3}', a.LongPress(point=(0.25, 0.85))),
        ('{"action": "back"}', a.SystemButton(button="Back")),
        ('{"action": "system_button", "button": "home"}', a.SystemButton(button="Home")),
        ('{"action_type": "navigate_back"}', a.SystemButton(button="Back")),
        ("enter", a.SystemButton(button="Enter")),
        ('{"action": "wait"}', a.Wait()),
        ('{"action": "answer", "text": 12}', a.Answer(text="12")),
        ('{"answer": "12"}', a.Answer(text="12")),
        ('{"action": "terminate", "status": "success"}', a.Terminate(status="success")),
        ('{"action": "terminate"}', a.Terminate(status="success")),
        ('{"action_type": "status", "goal_status": "infeasible"}', a.Terminate(status="failure")),
        ("done", a.Terminate(status="success")),
        ('{"action": "scroll", "direction": "down"}', a.Swipe(point=(0.5, 0.7), to=(0.5, 0.3))),
        ('{"action": "scroll_up"}', a.Swipe(point=(0.5, 0.3), to=(0.5, 0.7))),
        ('{"action": "swipe", "direction": "up"}', a.Swipe(point=(0.5, 0.7), to=(0.5, 0.3))),
        ('{"action": "swipe", "point": [100, 200], "to": [300, 400]}', a.Swipe(point=(0.1, 0.2), to=(0.3, 0.4))),
        ('{"action": "notifications"}', a.Swipe(point=(0.5, 0.0), to=(0.5, 0.5))),
    ],
)
def test_every_action_is_read(text: str, action: a.Action) -> None:
    got = parse_element_action(text, ELEMENTS, GRID)
    assert _near(got, action), got


def _near(one: a.Action, other: a.Action) -> bool:
    """Equal up to the rounding of points."""
    mine, theirs = one.model_dump(), other.model_dump()
    return mine.keys() == theirs.keys() and all(
        mine[key] == (pytest.approx(theirs[key]) if isinstance(theirs[key], tuple) else theirs[key]) for key in mine
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no action in ''"),
        ("I would click on the Save button now.", "no action"),
        ('{"action": "fly"}', "unknown action 'fly'"),
        ('{"action": "click", "index": 5}', "give a number from 0 to 4"),
        ('{"action": "click", "index": -1}', "give a number from 0 to 4"),
        ('{"action": "click", "index": "delete"}', "no element has the text 'delete'"),
        ('{"action": "click"}', "lacks the argument 'index'"),
        ('{"action": "click", "point": [1200, 10]}', "off the screen"),
        ('{"action": "scroll"}', "needs a direction"),
        ('{"action": "type"}', "lacks the argument 'text'"),
        ('{"action": "terminate", "status": "perhaps"}', "'perhaps'"),
        ('{"action": "click", "index": ' + "9" * 5000 + "}", "no action"),
    ],
)
def test_what_is_no_action_is_one_line_that_says_why(text: str, reason: str) -> None:
    with pytest.raises(UnparsableAction) as error:
        parse_element_action(text, ELEMENTS, GRID)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) <= 400


def test_the_field_is_clicked_before_it_is_typed_into_and_a_place_without_known_focus_is_ignored() -> None:
    text = '{"action": "type", "text": "milk", "index": 0}'
    known = (Element(role="field", text="title", box=(0.0, 0.0, 1.0, 0.5), state=""),)
    unknown = (Element(role="field", text="title", box=(0.0, 0.0, 1.0, 0.5)),)
    assert parse_element_action(text, known, GRID) == a.Click(point=(0.5, 0.25))
    assert parse_element_action(text, unknown, GRID) == a.Type(text="milk")


def test_a_click_lands_on_its_element_also_where_a_smaller_one_covers_the_centre() -> None:
    elements = (
        Element(role="list", text="all", box=(0.0, 0.0, 1.0, 1.0)),
        Element(role="button", text="play", box=(0.4, 0.4, 0.6, 0.6)),
    )
    for index in (0, 1):
        assert element_at(elements, click_point(index, elements)) == index


def test_the_history_names_elements_by_their_texts() -> None:
    assert describe_element_action(SAVE, ELEMENTS, GRID) == 'click "Save"'
    assert describe_element_action(a.Click(point=(0.5, 0.5)), ELEMENTS, GRID) == "click [500, 500]"
    assert describe_element_action(a.Type(text="milk"), ELEMENTS, GRID) == 'type "milk"'
    assert describe_element_action(a.Swipe(point=(0.5, 0.7), to=(0.5, 0.3)), ELEMENTS, GRID) == "scroll down"
    assert describe_element_action(a.Terminate(status="success"), ELEMENTS, GRID) == "terminate success"
    assert describe_element_action(a.SystemButton(button="Back"), ELEMENTS, GRID) == "back"


def test_the_schema_admits_what_is_written_and_nothing_that_is_refused() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    check = jsonschema.Draft202012Validator(element_schema(len(ELEMENTS), GRID)).is_valid
    points: list[a.Action] = [SAVE, a.Click(point=(0.5, 0.5)), a.LongPress(point=(0.5, 0.15))]
    swipes = [a.Swipe(point=(0.1, 0.2), to=(0.3, 0.4)), a.Swipe(point=(0.5, 0.7), to=(0.5, 0.3))]
    others = [a.Type(text="x"), a.Open(app="notes"), a.Answer(text="12"), a.Wait(), a.Terminate(status="failure")]
    buttons = [a.SystemButton(button=name) for name in ("Back", "Home", "Menu", "Enter")]
    for action in (*points, *swipes, *others, *buttons):
        assert check(json.loads(format_element_action(action, ELEMENTS, GRID))), action
    for wrong in (
        {"action": "click", "index": 5},
        {"action": "click", "index": -1},
        {"action": "click"},
        {"action": "click", "point": [1000, 0]},
        {"action": "fly"},
        {"action": "type", "text": ""},
        {"action": "scroll", "direction": "there"},
        {"action": "terminate"},
    ):
        assert not check(wrong), wrong
    bare = jsonschema.Draft202012Validator(element_schema(0, GRID)).is_valid
    assert not bare({"action": "click", "index": 0})
    assert bare({"action": "click", "point": [0, 999]})


def test_the_oracle_solves_the_phone_through_written_answers_only() -> None:
    """Every action of the built-in solution keeps its effect when it is written as text and read back."""
    env = PhoneEnv(split="test")
    for case in load_suite("atomic-test", episodes=40).cases():
        info = env.reset_task(case.task, seed=case.seed)
        for _ in range(info.max_steps):
            seen, wanted = env.observe(), env.oracle()
            action = parse_element_action(format_element_action(wanted, seen.elements, GRID), seen.elements, GRID)
            env.act(action)
            if isinstance(action, a.Terminate):
                break
        assert env.success(), info.goal


def test_an_element_is_named_by_a_text_that_means_no_other() -> None:
    boxes = [(0.0, n / 6, 1.0, n / 6 + 0.15) for n in range(6)]
    texts = ["Save", "5", "delete", "delete", "on", "on  air"]
    elements = [Element(role="button", text=text, box=box) for text, box in zip(texts, boxes, strict=True)]
    written = [
        json.loads(format_element_action(a.Click(point=click_point(n, elements)), elements, GRID, by_text=True))
        for n in range(6)
    ]
    assert written == [
        {"action": "click", "text": "Save"},
        {"action": "click", "index": 1},  # "5" would be read as a number
        {"action": "click", "index": 2},
        {"action": "click", "index": 3},
        {"action": "click", "text": "on"},
        {"action": "click", "text": "on air"},
    ]
    assert naming_texts(elements, GRID) == ["Save", "on", "on air"]
    jsonschema = pytest.importorskip("jsonschema")
    check = jsonschema.Draft202012Validator(element_schema(6, GRID, texts=naming_texts(elements, GRID))).is_valid
    assert all(map(check, written))
    assert not check({"action": "click", "text": "delete"})


@pytest.mark.parametrize("suite", ["atomic-test", "transition"])
def test_the_oracle_solves_the_phone_by_texts(suite: str) -> None:
    loaded = load_suite(suite, episodes=20)
    env = PhoneEnv(split="test", **loaded.options)
    by_text = 0
    for case in loaded.cases():
        info = env.reset_task(case.task, seed=case.seed)
        for _ in range(2 * info.max_steps):
            seen, wanted = env.observe(), env.oracle()
            written = format_element_action(wanted, seen.elements, GRID, by_text=True)
            by_text += wanted.kind == "click" and "text" in json.loads(written)
            action = parse_element_action(written, seen.elements, GRID)
            env.act(action)
            if isinstance(action, a.Terminate):
                break
        assert env.success(), info.goal
    assert by_text > 30
