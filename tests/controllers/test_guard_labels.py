"""What an action does, judged by the screen: labels, rows, dialogs, Enter, swipes, typed commands."""

from __future__ import annotations

import pytest

from homeostat import actions as a
from homeostat.controllers import ControlContext, Guard, Refuse, Stop, StopOn
from homeostat.observation import Element

TAP = a.Click(point=(0.5, 0.25))
ENTER = a.SystemButton(button="Enter")
BOX = (0.0, 0.2, 1.0, 0.3)


def element(role: str, text: str, box: tuple[float, float, float, float] = BOX) -> Element:
    return Element(role=role, text=text, box=box)


def refused(rule: str, action: a.Action, *elements: Element, app: str = "thing") -> bool:
    context = ControlContext(
        phase="attempt", goal="g", instruction="g", rules=(rule,), action=action, app=app, elements=elements
    )
    stopped = isinstance(StopOn(rules=True).refuse(action, context), Stop)
    assert stopped == isinstance(Guard().decide([], context), Refuse)
    return stopped


@pytest.mark.parametrize(
    "label",
    [
        *("Delete", "Delete note", "Delete all", "Yes, delete", "Move to trash", "Uninstall", "delete_forever"),
        *("REMOVE FROM LIBRARY", "Empty trash", "Clear all", "OK, erase everything", "forget", "Throw away"),
    ],
)
def test_controls_that_remove(label: str) -> None:
    assert refused("never delete anything", TAP, element("button", label))
    assert not refused("never send anything", TAP, element("button", label))


@pytest.mark.parametrize(
    "label", ["Cancel", "Don't delete", "Undo delete", "Keep", "Deleted items", "Save", "Edit", ""]
)
def test_controls_that_do_not(label: str) -> None:
    assert not refused("never delete anything", TAP, element("button", label))


@pytest.mark.parametrize(
    ("rule", "label"),
    [
        ("never buy anything", "Add to cart"),
        ("never buy anything", "Place order"),
        ("never buy anything", "Proceed to checkout"),
        ("never buy anything", "Buy now with 1-click"),
        ("never buy anything", "Subscribe"),
        ("never send anything", "Reply all"),
        ("never send anything", "Send now"),
        ("never send anything", "Share"),
        ("never call anyone", "Call"),
    ],
)
def test_controls_that_buy_send_or_call(rule: str, label: str) -> None:
    assert refused(rule, TAP, element("button", label))


def test_content_is_opened_and_commands_in_rows_are_not() -> None:
    for text in ("delete the file", "buy milk", "send report to anna", "Remove old wallpaper in hall"):
        for rule in ("never delete anything", "never buy anything", "never send anything"):
            assert not refused(rule, TAP, element("item", text))
    assert refused("never delete anything", TAP, element("item", "Delete all notes"))
    assert refused("never buy anything", TAP, element("text", "Add to cart"))


def test_what_encloses_the_point_and_the_row_of_an_icon() -> None:
    row, icon = element("button", "Delete"), element("icon", "", (0.4, 0.22, 0.6, 0.28))
    assert refused("never delete anything", TAP, row, icon)
    assert refused("never delete anything", TAP, element("text", "Delete", (0.0, 0.2, 0.3, 0.3)), icon)
    assert not refused("never delete anything", TAP, element("text", "Archive", (0.0, 0.2, 0.3, 0.3)), icon)
    assert refused("never delete anything", TAP, row, element("text", "3 notes", (0.4, 0.22, 0.6, 0.28)))


def test_a_yes_means_what_its_dialog_asks() -> None:
    question, yes = element("dialog", "Delete 3 notes?", (0.0, 0.0, 1.0, 0.1)), element("button", "OK")
    assert refused("never delete anything", TAP, question, yes)
    assert not refused("never delete anything", TAP, question, element("button", "Cancel"))
    assert not refused("never delete anything", TAP, element("dialog", "Save 3 notes?", (0.0, 0.0, 1.0, 0.1)), yes)


def test_adding_buys_beside_a_cart_and_an_eraser_removes() -> None:
    add, cart = element("button", "add"), element("button", "cart", (0.0, 0.8, 1.0, 0.9))
    assert refused("never buy anything", TAP, add, cart)
    assert not refused("never buy anything", TAP, add)
    cell, pen = element("key", "a1 re"), element("item", "pen blank", (0.0, 0.0, 1.0, 0.1))
    assert refused("never delete anything", TAP, cell, pen)
    assert not refused("never delete anything", TAP, cell, element("item", "pen red", (0.0, 0.0, 1.0, 0.1)))


def test_a_long_press_opens_a_menu_and_the_menu_deletes() -> None:
    hold = a.LongPress(point=TAP.point)
    assert not refused("never delete anything", hold, element("item", "shopping list"))
    assert refused("never delete anything", hold, element("button", "delete"))
    assert refused("never delete anything", TAP, element("option", "delete"))


def test_enter_and_line_breaks_submit() -> None:
    field, send = element("field", "text hello", (0.0, 0.0, 1.0, 0.1)), element("button", "Send")
    for action in (ENTER, a.Type(text="hello\n")):
        assert refused("never send anything", action, field, send)
        assert not refused("never delete anything", action, field, send)
        assert not refused("never send anything", action, field, element("button", "Save"))
    assert not refused("never send anything", a.Type(text="hello"), field, send)
    assert refused("never send anything", ENTER, field, app="messages")
    assert refused("never delete anything", ENTER, element("dialog", "Delete it?"), element("option", "Delete"))


def test_swipes() -> None:
    row, bin_ = element("item", "lunch"), element("icon", "Trash", (0.4, 0.0, 0.6, 0.1))
    sideways, up = a.Swipe(point=(0.8, 0.25), to=(0.1, 0.25)), a.Swipe(point=(0.5, 0.25), to=(0.5, 0.05))
    assert refused("never delete anything", sideways, row)
    assert not refused("never send anything", sideways, row)
    assert not refused("never delete anything", up, row)
    assert refused("never delete anything", up, row, bin_)
    assert refused("never buy anything", sideways, element("button", "Slide to pay"))


def test_typed_commands() -> None:
    shell = element("field", "$")
    for text in ("rm -rf notes", "delete all"):
        assert refused("never delete anything", a.Type(text=text), shell, app="terminal")
        assert refused("never delete anything", a.Type(text=text), element("field", "search")) == (text != "x")
    assert not refused("never delete anything", a.Type(text="delete all"), element("field", "title"), app="notes")
    assert not refused("never delete anything", a.Type(text="ls"), shell, app="terminal")


def test_a_rule_about_notes_leaves_other_apps_alone() -> None:
    delete = element("button", "Delete")
    assert refused("never delete notes", TAP, delete, app="notes")
    assert refused("never delete notes", TAP, delete, app="unheard of")
    assert refused("never delete notes", TAP, delete, app="files")
    assert refused("never delete notes", TAP, delete, element("title", "note 3", (0.0, 0.0, 1.0, 0.1)), app="calendar")
    assert not refused("never delete notes", TAP, delete, app="calendar")


def test_an_app_by_other_names_and_by_its_notification() -> None:
    rule = "stay out of messages"
    assert refused(rule, a.Open(app="Messages"))
    assert refused(rule, TAP, element("icon", "Messages 2"), app="home")
    alert = element("item", "messages hi there")
    assert refused(rule, TAP, alert, element("title", "alerts", (0.0, 0.0, 1.0, 0.1)))
    assert refused(rule, ENTER, app="messages")
    assert not refused(rule, a.SystemButton(button="Back"), app="messages")
    assert not refused(rule, a.Open(app="mail"))
