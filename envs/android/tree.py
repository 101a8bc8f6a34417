"""Parses UIAutomator's XML into elements."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from homeostat.errors import EnvError
from homeostat.observation import Element

__all__ = ["elements"]

_ROLES = {
    "EditText": "field",
    "AutoCompleteTextView": "field",
    "Switch": "toggle",
    "CheckBox": "toggle",
    "ToggleButton": "toggle",
    "RadioButton": "toggle",
    "Button": "button",
    "ImageButton": "button",
    "ImageView": "image",
}
_BOUNDS = re.compile(r"\[(-?\d+),(-?\d+)\]\[(-?\d+),(-?\d+)\]")


def elements(xml: str, size: tuple[int, int]) -> tuple[Element, ...]:
    """Lists the nodes that have a text or a description, or that can be clicked.

    Args:
        xml: UIAutomator's XML.
        size: The screen's width and height in pixels.

    Returns:
        The elements in document order, with boxes that are normalised and clipped to the screen. The text of a toggle
        ends with its state, ``on`` or ``off``.

    Raises:
        EnvError: The text is no XML.
    """
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise EnvError(f"uiautomator wrote no XML ({error}): {xml[:80]!r}; observe again") from None
    return tuple(e for node in root.iter("node") if (e := _element(node, size)) is not None)


def _element(node: ElementTree.Element, size: tuple[int, int]) -> Element | None:
    role = _ROLES.get(node.get("class", "").rsplit(".", 1)[-1], "text")
    text, said = node.get("text", ""), node.get("content-desc", "")
    if role == "field" and said and said != text:
        text = f"{said} {text}".strip()
    text = text or said
    if role == "toggle" or node.get("checkable") == "true":
        role, text = "toggle", f"{text} {'on' if node.get('checked') == 'true' else 'off'}".strip()
    found = _BOUNDS.fullmatch(node.get("bounds", ""))
    if found is None or not (text or node.get("clickable") == "true"):
        return None
    left, top, right, bottom = (int(v) for v in found.groups())
    box = (max(left, 0), max(top, 0), min(right, size[0]), min(bottom, size[1]))
    if box[0] >= box[2] or box[1] >= box[3]:
        return None
    width, height = size
    return Element(role=role, text=text, box=(box[0] / width, box[1] / height, box[2] / width, box[3] / height))
