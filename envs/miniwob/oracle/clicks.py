"""Oracles for tasks that ask for one click or several clicks in order."""

from __future__ import annotations

from homeostat import actions as a
from homeostat.envs.miniwob.oracle.view import View, solves

__all__: list[str] = []

_ORDINALS = {"1st": 0, "2nd": 1, "3rd": 2}


@solves("click-test")
def _only_button(view: View) -> a.Action:
    return view.click(view.of_role("button"))


@solves("click-test-2", "click-test-transfer", "click-button-sequence")
def _buttons_in_turn(view: View) -> a.Action:
    names = [part.split()[0].strip(".,") for part in view.goal.split("button ")[1:]]
    return view.press(names[len(view.done)])


@solves("click-button", "unicode-test")
def _quoted_button(view: View) -> a.Action:
    return view.click([n for n in view.of_role("button") if n.text == view.quoted[0]])


@solves("click-dialog", "click-dialog-2")
def _dialog_button(view: View) -> a.Action:
    if view.quoted[0] == "x":
        return view.click(view.of_class("ui-dialog-titlebar-close"))
    return view.press(view.quoted[0])


@solves("click-link")
def _link(view: View) -> a.Action:
    return view.click([n for n in view.of_role("link") if n.text == view.quoted[0]])


@solves("click-tab")
def _tab(view: View) -> a.Action:
    (name,) = view.find(r"(Tab #\d+)")
    return view.click([n for n in view.of_class("ui-tabs-anchor") if n.text == name])


@solves("click-tab-2", "click-tab-2-easy", "click-tab-2-medium", "click-tab-2-hard")
def _link_behind_a_tab(view: View) -> a.Action:
    links = [n for n in view.of_class("alink") if n.text == view.quoted[0]]
    tabs = view.of_class("ui-tabs-anchor")  # the first is open at the start
    return view.click(links or tabs[len(view.done) + 1 :])


@solves("click-collapsible", "click-collapsible-nodelay")
def _expand_and_submit(view: View) -> a.Action:
    if any("ui-accordion-content" in n.classes for n in view.nodes):
        return view.press("submit")
    return view.click(view.of_class("ui-accordion-header"))


@solves("click-collapsible-2", "click-collapsible-2-nodelay")
def _link_behind_a_section(view: View) -> a.Action:
    links = [n for n in view.of_class("alink") if n.text == view.quoted[0]]
    return view.click(links or view.of_class("ui-accordion-header")[len(view.done) :])


@solves("click-widget")
def _widget(view: View) -> a.Action:
    tag = {"radio": "input_radio", "checkbox": "input_checkbox", "text": "input_text"}.get(view.quoted[0])
    return view.click([n for n in view.nodes if n.tag == (tag or view.quoted[0])])


@solves("focus-text", "focus-text-2")
def _field(view: View) -> a.Action:
    fields = view.of_role("field")
    index = next((i for word, i in _ORDINALS.items() if word in view.goal), 0)
    return view.click(fields[index:])


@solves("click-checkboxes", "click-checkboxes-large", "click-checkboxes-transfer")
def _checkboxes(view: View) -> a.Action:
    (names,) = view.find("Select (.*) and click Submit")
    return _tick(view, names.split(", "))


@solves("click-option")
def _option(view: View) -> a.Action:
    return _tick(view, view.find("Select (.*) and click Submit"))


def _tick(view: View, names: list[str]) -> a.Action:
    labels = [n for n in view.nodes if n.tag == "label" and n.full_text in names]
    boxes = [c for n in labels for c in n.children if c.tag in ("input_checkbox", "input_radio") and c.value is False]
    return view.click(boxes) if boxes else view.press("submit")


@solves("navigate-tree")
def _tree(view: View) -> a.Action:
    named = [n for n in view.nodes if n.tag == "span" and n.text == view.quoted[0]]
    closed = [n for n in view.of_class("folder") if not n.clicked]
    return view.click(named or closed)


@solves("odd-or-even")
def _odd_or_even(view: View) -> a.Action:
    numbers = [n for n in view.nodes if "display-number" in n.classes]
    row = len(view.done)
    if row == len(numbers):
        return view.press("submit")
    name = "odd" if int(numbers[row].text) % 2 else "even"
    return view.click(view.of_class(name)[row:])
