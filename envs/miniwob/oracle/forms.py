"""Oracles for tasks that ask to fill in fields."""

from __future__ import annotations

import re

from homeostat import actions as a
from homeostat.envs.miniwob.oracle.view import View, solves
from homeostat.envs.miniwob.page import Node

__all__: list[str] = []


def _submit(view: View, *texts: str, button: str = "submit") -> a.Action:
    """Fills the page's fields with the texts in order, then presses the button."""
    return view.fill(list(zip(view.of_role("field"), texts, strict=False))) or view.press(button)


@solves("enter-text", "enter-text-dynamic")
def _text(view: View) -> a.Action:
    return _submit(view, view.quoted[0])


@solves("enter-text-2")
def _text_in_case(view: View) -> a.Action:
    text = view.quoted[0]
    return _submit(view, text.upper() if "upper case" in view.goal else text.lower())


@solves("enter-password")
def _password(view: View) -> a.Action:
    return _submit(view, view.quoted[0], view.quoted[0])


@solves("login-user")
def _login(view: View) -> a.Action:
    return _submit(view, view.quoted[0], view.quoted[1], button="login")


@solves("login-user-popup")
def _login_past_a_popup(view: View) -> a.Action:
    cancel = [n for n in view.of_role("button") if n.text.lower() == "cancel"]
    return view.click(cancel) if cancel else _submit(view, view.quoted[0], view.quoted[1], button="ok")


def _problem(view: View) -> str:
    return next(n.text for n in view.nodes if n.id == "math-problem")


@solves("simple-arithmetic")
def _arithmetic(view: View) -> a.Action:
    left, sign, right, _ = _problem(view).split()
    x, y = int(left), int(right)
    return _submit(view, str({"+": x + y, "-": x - y, "x": x * y}[sign]))


@solves("simple-algebra")
def _algebra(view: View) -> a.Action:
    left, sign, right, _, total = _problem(view).split()
    if sign == "+":
        x = int(total) - int(right if left == "x" else left)
    else:
        x = int(total) + int(right) if left == "x" else int(left) - int(total)
    return _submit(view, str(x))


@solves("visual-addition")
def _blocks(view: View) -> a.Action:
    return _submit(view, str(sum("addition-block" in n.classes for n in view.nodes)))


def _rows(view: View) -> dict[str, str]:
    """A two-column table, as the text of the second column by that of the first."""
    rows = [[c.full_text for c in n.children] for n in view.nodes if n.tag == "tr"]
    return {row[0]: row[1] for row in rows if len(row) == 2}


@solves("read-table")
def _cell(view: View) -> a.Action:
    (key,) = view.find("value of (.*) into")
    return _submit(view, _rows(view)[key])


@solves("read-table-2")
def _cells(view: View) -> a.Action:
    rows = _rows(view)
    asked = [n.full_text.rstrip(": ") for n in view.nodes if n.tag == "label"]
    return _submit(view, *(rows[key] for key in asked))


@solves("copy-paste")
def _copy(view: View) -> a.Action:
    source, target = (next(n for n in view.nodes if n.tag == tag) for tag in ("textarea", "input_text"))
    return view.fill([(target, str(source.value))]) or view.press("submit")


@solves("find-word")
def _word(view: View) -> a.Action:
    (number,) = view.find(r"the (\d+)\w\w word")
    text = " ".join(n.text for n in view.nodes if n.tag == "p")
    return _submit(view, re.sub(r"[.,]", "", text.split()[int(number) - 1]))


@solves("text-transform")
def _distorted(view: View) -> a.Action:
    captcha = next(n for n in view.nodes if n.id == "captcha")
    return _submit(view, "".join(n.text for n in captcha.walk()))


def _list(view: View) -> Node:
    return view.of_role("list")[0]


@solves("choose-list")
def _choose(view: View) -> a.Action:
    (name,) = view.find("Select (.*) from the list")
    node = _list(view)
    if node.value == name:
        typed = view.done and isinstance(view.done[-1], a.Type)
        return a.SystemButton(button="Enter") if typed else view.press("submit")
    return a.Type(text=name) if node.focused else view.click([node])


@solves("enter-date")
def _date(view: View) -> a.Action:
    month, day, year = view.find(r"(\d\d)/(\d\d)/(\d{4})")
    return _typed(view, f"{month}{day}{year}", f"{year}-{month}-{day}")


@solves("enter-time")
def _time(view: View) -> a.Action:
    hour, minute, half = view.find(r"(\d+):(\d\d) ([AP]M)")
    late = int(hour) % 12 + (12 if half == "PM" else 0)
    return _typed(view, f"{int(hour):02d}{minute}{half}", f"{late:02d}:{minute}")


def _typed(view: View, keys: str, value: str) -> a.Action:
    """Fills a field whose value differs from the keys that one types."""
    field = view.of_role("field")[0]
    if field.value == value:
        return view.press("submit")
    return a.Type(text=keys) if field.focused else a.Click(point=view.fit.to_screen(_first_part(field)))


def _first_part(field: Node) -> tuple[float, float]:
    left, top, _, bottom = field.box
    return left + 8, (top + bottom) / 2


@solves("use-autocomplete", "use-autocomplete-nodelay")
def _suggested(view: View) -> a.Action:
    start, *ends = view.quoted
    field = next(n for n in view.nodes if n.id == "tags")
    value = str(field.value)
    items = view.of_class("ui-menu-item-wrapper") or view.of_class("ui-menu-item")
    right = [n for n in items if n.full_text.endswith(ends[0] if ends else "")]
    if value.startswith(start) and value.endswith(ends[0] if ends else "") and view.of_role("button"):
        return view.press("submit")
    if value == start:  # or the list covers the button
        return view.click(right) if right else a.Wait(seconds=0.5)
    return a.Type(text=start) if field.focused else view.click([field])
