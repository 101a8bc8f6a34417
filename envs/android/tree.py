"""Parses UIAutomator's XML into elements.

UIAutomator writes the texts of apps as they are, so its XML may hold what XML forbids: control characters, and emoji as
two character references, one for each half of a surrogate pair. The text is cleaned before it is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree

from homeostat.errors import EnvError
from homeostat.observation import Element

__all__ = ["cleaned", "elements", "without_controls"]

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
_BOUNDS = re.compile(r"\[(-?\d{1,9}),(-?\d{1,9})\]\[(-?\d{1,9}),(-?\d{1,9})\]", re.ASCII)
_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REFERENCES = re.compile(r"(?:&#(?:[0-9]+|[xX][0-9a-fA-F]+);)+")
_REFERENCE = re.compile(r"&#([^;]+);")
_AMPERSAND = re.compile(r"&(?!(?:#[0-9]+|#x[0-9a-fA-F]+|lt|gt|amp|quot|apos);)")
_DEEPEST = 1000
_LONGEST = 32 * 2**20  # characters


def cleaned(xml: str) -> str:
    """Makes text that UIAutomator wrote well-formed as far as its characters go.

    Args:
        xml: The text.

    Returns:
        The text without characters that XML forbids. The halves of a surrogate pair are joined, and an ampersand that
        starts nothing stands for itself.
    """
    xml = _REFERENCES.sub(lambda run: _joined(_REFERENCE.findall(run.group())), xml)
    return _AMPERSAND.sub("&amp;", _FORBIDDEN.sub("", xml))


def without_controls(text: str) -> str:
    """Removes control characters and halves of surrogate pairs.

    Args:
        text: Any text.

    Returns:
        The text, with whole surrogate pairs joined.
    """
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    return _FORBIDDEN.sub("", whole)


def _joined(numbers: list[str]) -> str:
    """References to characters, with surrogate pairs as one character and forbidden ones left out."""
    digits = [(n.lstrip("xX0") or "0", 16 if n[0] in "xX" else 10) for n in numbers]
    codes = [int(n, base) for n, base in digits if len(n) <= 8]
    text = without_controls("".join(chr(c) for c in codes if c < 0x110000))
    return "".join(f"&#{ord(c)};" for c in text)


def elements(xml: str, size: tuple[int, int]) -> tuple[Element, ...]:
    """Lists the nodes that have a text or a description, or that can be clicked.

    Args:
        xml: UIAutomator's XML.
        size: The screen's width and height in pixels.

    Returns:
        The elements in document order, with boxes that are normalised and clipped to the screen. The text of a toggle
        ends with its state, ``on`` or ``off``.

    Raises:
        EnvError: The text is no XML, or too long.
    """
    if len(xml) > _LONGEST:
        raise EnvError(f"uiautomator wrote {len(xml)} characters, more than {_LONGEST}; observe again")
    found = _Nodes()
    parser = ElementTree.XMLParser(target=found)
    try:
        parser.feed(cleaned(xml))
        parser.close()
    except (ElementTree.ParseError, ValueError) as error:
        raise EnvError(f"uiautomator wrote no XML ({error}): {xml[:80]!r}; observe again") from None
    return tuple(e for node in found.nodes if (e := _element(node, size)) is not None)


class _Nodes:
    """Collects the attributes of all nodes while the XML is parsed. A tree that is too deep is a ``ValueError``."""

    def __init__(self) -> None:
        self.nodes: list[Mapping[str, str]] = []
        self.depth = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Takes a start tag."""
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ValueError(f"deeper than {_DEEPEST} nodes")
        if tag == "node":
            self.nodes.append(attributes)

    def end(self, tag: str) -> None:
        """Takes an end tag."""
        self.depth -= 1

    def close(self) -> None:
        """Takes the end of the document."""


def _element(node: Mapping[str, str], size: tuple[int, int]) -> Element | None:
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
    unit = (box[0] / width, box[1] / height, box[2] / width, box[3] / height)
    states = [word for word in ("focused", "selected") if node.get(word) == "true"]
    states += ["disabled"] if node.get("enabled") == "false" else []
    return Element(role=role, text=text, box=unit, state=", ".join(states))
