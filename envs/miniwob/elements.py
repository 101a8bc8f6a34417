"""The visible DOM as the flat list of elements that agents may read."""

from __future__ import annotations

from homeostat.envs.miniwob.fit import Fit
from homeostat.envs.miniwob.page import Node
from homeostat.observation import Element

__all__ = ["elements", "is_clickable", "role"]

_ROLES = {
    "a": "link",
    "button": "button",
    "input_button": "button",
    "input_submit": "button",
    "input_checkbox": "checkbox",
    "input_radio": "radio",
    "input_range": "slider",
    "select": "list",
    "textarea": "field",
    "img": "image",
    "canvas": "image",
}
_SHAPES = ("circle", "rect", "polygon", "path", "ellipse", "line", "polyline")
_CLICKABLE = ("link", "button", "checkbox", "radio", "slider", "list", "field", "shape")


def role(node: Node) -> str:
    """What a node is to a user; a piece of text where it is nothing else."""
    if node.tag in _SHAPES or _is_patch(node):
        return "shape"
    if node.tag == "span" and "alink" in node.classes.split():  # MiniWoB's pages style spans as links
        return "link"
    return _ROLES.get(node.tag) or ("field" if node.tag.startswith("input_") else "text")


def _is_patch(node: Node) -> bool:
    """A coloured box with nothing in it."""
    clear = node.background.startswith("rgba") and node.background.endswith(", 0)")
    return node.tag in ("div", "span", "td") and not (node.children or node.text or clear)


def is_clickable(node: Node) -> bool:
    """Whether a user would take it for something to click."""
    return node.point is not None and role(node) in _CLICKABLE


def _text(node: Node) -> str:
    kind = role(node)
    if kind in ("checkbox", "radio"):
        return "on" if node.value is True else "off"
    if kind == "shape":
        return node.background if _is_patch(node) else f"{node.attributes.get('fill', '')} {node.tag}".strip()
    if kind == "button":
        return node.full_text or str(node.value or "") or node.attributes.get("title", "")
    return node.text or str(node.value or "")


def elements(root: Node | None, fit: Fit) -> tuple[Element, ...]:
    """Those of a page's nodes that can be seen and say or do something, in the document's order."""
    found = []
    for node in root.walk() if root is not None else ():
        text, kind = _text(node), role(node)
        box = fit.box(node.box)
        if box is not None and node.point is not None and (text or kind != "text"):
            found.append(Element(role=kind, text=text, box=box))
    return tuple(found)
