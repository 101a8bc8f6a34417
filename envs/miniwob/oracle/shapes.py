"""Oracles for tasks about colours, shapes and coordinates."""

from __future__ import annotations

import re

from PIL import ImageColor

from homeostat import actions as a
from homeostat.envs.miniwob.oracle.view import View, solves
from homeostat.envs.miniwob.page import Node

__all__: list[str] = []

_FIGURES = {"rect": "rectangle", "circle": "circle", "polygon": "triangle"}
_DRAWN = ("text", *_FIGURES)
_LARGE = 15.0  # CSS pixels: shapes are drawn 10 or 20 large


def _rgb(background: str) -> tuple[int, ...]:
    return tuple(int(v) for v in re.findall(r"\d+", background)[:3])


@solves("click-color")
def _colour(view: View) -> a.Action:
    (name,) = view.find("the (.*) colored box")
    return view.click([n for n in view.of_class("color") if _rgb(n.background) == ImageColor.getrgb(name)[:3]])


def _kind(node: Node) -> str:
    """``shape``, ``digit`` or ``letter``."""
    if node.tag != "text":
        return "shape"
    return "digit" if node.text.isdigit() else "letter"


def _matches(node: Node, words: list[str]) -> bool:
    """Whether a node is what the goal describes: an optional size and colour, then the kind of shape."""
    *qualities, what = words
    size = node.attributes.get("font-size") or str(node.box[2] - node.box[0])
    large = float(size.removesuffix("px")) > _LARGE
    if ("large" in qualities and not large) or ("small" in qualities and large):
        return False
    colours = [w for w in qualities if w not in ("large", "small")]
    if colours and node.attributes.get("fill") != colours[0]:
        return False
    return what in ("item", _kind(node), _FIGURES.get(node.tag) or node.text)


@solves("click-shape")
def _shape(view: View) -> a.Action:
    (said,) = view.find("Click on an? (.*)")
    return view.click([n for n in view.nodes if n.tag in _DRAWN and _matches(n, said.split())])


@solves("identify-shape")
def _identify(view: View) -> a.Action:
    node = next(n for n in view.nodes if n.tag in _DRAWN)
    return view.press({"letter": "Letter", "digit": "Number"}.get(_kind(node)) or _FIGURES[node.tag])


@solves("count-shape")
def _count(view: View) -> a.Action:
    (said,) = view.find("How many (.*) are there")
    words = said.split()
    words[-1] = words[-1] if len(words[-1]) == 1 else words[-1].removesuffix("s")
    count = sum(n.tag in _DRAWN and _matches(n, words) for n in view.nodes)
    return view.press(str(count))


@solves("grid-coordinate")
def _coordinate(view: View) -> a.Action:
    x, y = (int(v) for v in view.find(r"\((-?\d),(-?\d)\)"))
    step = 30  # CSS pixels between lines; the origin is at (75, 75) of the drawing
    spot = (str(75 + step * x), str(75 - step * y))
    return view.click([n for n in view.nodes if (n.attributes.get("cx"), n.attributes.get("cy")) == spot])


@solves("ascending-numbers")
def _ascending(view: View) -> a.Action:
    numbers = sorted((n for n in view.nodes if n.tag == "text"), key=lambda n: int(n.text))
    return view.click(numbers or [n for n in view.nodes if n.tag == "rect"])  # the squares stand in the same order


@solves("click-shades")
def _shades(view: View) -> a.Action:
    (name,) = view.find("shades of (red|green|blue)")
    channel = ("red", "green", "blue").index(name)
    patches = [n for n in view.of_role("shape") if max(range(3), key=_rgb(n.background).__getitem__) == channel]
    left = [n for n in patches if not n.clicked]
    return view.click(left) if left else view.press("submit")


@solves("click-pie", "click-pie-nodelay")
def _slice(view: View) -> a.Action:
    named = {n.id: n.full_text for n in view.nodes if "-title-" in n.id}
    parts = {n.id.replace("slice", "title"): n for n in view.nodes if n.tag == "path" and n.point is not None}
    right = [n for title, n in parts.items() if named.get(title) == view.quoted[0]]
    if right:
        return view.click(right)
    if view.done:
        return a.Wait(seconds=0.5)  # the wheel is still growing
    return view.click([n for n in view.nodes if n.id.endswith("-spreader")])


@solves("drag-box")
def _drag(view: View) -> a.Action:
    small, large = sorted((n for n in view.nodes if "ui-draggable" in n.classes), key=lambda n: n.box[2] - n.box[0])
    if view.done:
        return view.press("submit")
    return a.Swipe(point=view.fit.to_screen(_centre(small)), to=view.fit.to_screen(_centre(large)))


def _centre(node: Node) -> tuple[float, float]:
    left, top, right, bottom = node.box
    return (left + right) / 2, (top + bottom) / 2
