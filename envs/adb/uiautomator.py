"""The screen as UIAutomator's XML, as ``uiautomator dump`` writes it."""

from __future__ import annotations

from xml.etree import ElementTree

from homeostat.envs.adb.handset import Handset, package_of
from homeostat.envs.phone.layout import Placed

__all__ = ["dump"]

_CLASSES = {
    "field": "android.widget.EditText",
    "toggle": "android.widget.Switch",
    "button": "android.widget.Button",
    "option": "android.widget.Button",
    "key": "android.widget.Button",
    "nav": "android.widget.ImageButton",
    "icon": "android.widget.ImageView",
}

_SYSTEM = "com.android.systemui"
_BARS = ("status", "badge", "nav")


def _flag(is_so: bool) -> str:
    return "true" if is_so else "false"


def dump(handset: Handset) -> str:
    """Renders the hierarchy: a node for the window, and in it one for each element in reading order.

    Args:
        handset: The phone.

    Returns:
        The XML text, with boxes in pixels.
    """
    with handset.lock:  # everything belongs to the same moment
        (placed, frame), app, scrolls = handset.placed(), handset.app, handset.scrolls
    width, height = handset.size
    root = ElementTree.Element("hierarchy", rotation="0")
    package = package_of(app)
    attributes = {"class": "android.widget.FrameLayout", "package": package, "bounds": f"[0,0][{width},{height}]"}
    window = ElementTree.SubElement(root, "node", _node(0, scrollable=_flag(scrolls), **attributes))
    focus = frame.focus if frame else None
    for n, p in enumerate(placed):
        ElementTree.SubElement(window, "node", _element(n, p, package, focus, 16 * handset.scale))
    ElementTree.indent(root)
    return "<?xml version='1.0' encoding='UTF-8' standalone='yes' ?>\n" + ElementTree.tostring(root, encoding="unicode")


def _element(n: int, p: Placed, package: str, focus: str | None, cell: int) -> dict[str, str]:
    w = p.widget
    left, top, right, bottom = (v * cell for v in p.box)
    package = _SYSTEM if w.role in _BARS else package
    is_field, is_toggle = w.role == "field", w.role == "toggle"
    shown = " ".join(x for x in (w.text, "" if is_toggle else w.value, w.sub) if x)
    return _node(
        n,
        text=w.value if is_field else "" if w.role == "nav" else shown,
        **{"class": _CLASSES.get(w.role, "android.widget.TextView"), "content-desc": w.text},
        **{"resource-id": f"{package}:id/{w.role}", "package": package},
        checkable=_flag(is_toggle),
        checked=_flag(is_toggle and w.value == "on"),
        clickable=_flag(w.tap is not None or is_field),
        focusable=_flag(is_field),
        focused=_flag(is_field and w.key == focus),
        bounds=f"[{left},{top}][{right},{bottom}]",
        **{"long-clickable": _flag(w.hold is not None)},
    )


def _node(index: int, **given: str) -> dict[str, str]:
    names = "text resource-id class package content-desc checkable checked clickable enabled focusable focused"
    names += " scrollable long-clickable password selected bounds"
    no = {"text": "", "resource-id": "", "content-desc": "", "enabled": "true"}
    return {"index": str(index)} | {name: given.get(name, no.get(name, "false")) for name in names.split()}
