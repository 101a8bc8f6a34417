"""The visible DOM as a flat list of elements for agents."""

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
    """Classifies a node by its use.

    Args:
        node: The node.

    Returns:
        The role, such as ``button``, ``field`` or ``shape``; ``text`` for anything else.
    """
    if node.tag in _SHAPES or _is_patch(node):
        return "shape"
    if node.tag == "span" and "alink" in node.classes.split():  # MiniWoB's pages style spans as links
        return "link"
    return _ROLES.get(node.tag) or ("field" if node.tag.startswith("input_") else "text")


def _is_patch(node: Node) -> bool:
    """Whether the node is an empty coloured box."""
    clear = node.background.startswith("rgba") and node.background.endswith(", 0)")
    return node.tag in ("div", "span", "td") and not (node.children or node.text or clear)


def is_clickable(node: Node) -> bool:
    """Whether a node looks clickable to a user.

    Args:
        node: The node.

    Returns:
        True for a visible node with a clickable role.
    """
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
    """Lists the visible nodes that have a text or a role.

    Args:
        root: The root of the page's DOM; None for an empty page.
        fit: How the page is placed on the screen.

    Returns:
        The elements in document order, with normalised boxes.
    """
    found = []
    for node in root.walk() if root is not None else ():
        text, kind = _text(node), role(node)
        box = fit.box(node.box)
        if box is not None and node.point is not None and (text or kind != "text"):
            found.append(Element(role=kind, text=text, box=box, state="focused" if node.focused else ""))
    return tuple(found)
