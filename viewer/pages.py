"""Builds pages from templates: escaped by default, with one style, one script, and a policy that allows nothing else.

The policy (Content-Security-Policy) names the hashes of the page's own style and script. So neither markup that slips
through nor anything from the network could run, and the page needs no network.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

__all__ = ["Page", "json_block", "page", "text_block"]

_ROOM = "homeostat.viewer"


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        html: The whole document.
        policy: Its Content-Security-Policy, which also stands in the document.
    """

    html: str
    policy: str


def page(
    template: str,
    *,
    title: str,
    styles: tuple[str, ...],
    scripts: tuple[str, ...] = (),
    connect: bool = False,
    **data: Any,
) -> Page:
    """Renders a page.

    Args:
        template: The template's file name.
        title: The page's title.
        styles: The file names of its styles, in order.
        scripts: The file names of its scripts, which together are one module.
        connect: Whether it talks to the server that it came from.
        data: What the template shows.

    Returns:
        The page.
    """
    style, script = _joined("styles", styles), _joined("scripts", scripts)
    served = "'self'" if connect else "'none'"
    policy = "; ".join(
        (
            "default-src 'none'",
            f"img-src data:{' ' + served if connect else ''}",
            f"style-src {_source(style)}",
            f"script-src {_source(script) if script else chr(39) + 'none' + chr(39)}",
            f"connect-src {served}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    html = (
        _environment()
        .get_template(template)
        .render(
            title=title,
            kind=template.partition(".")[0],
            style=Markup(style),
            script=Markup(script),
            policy=policy,
            **data,
        )
    )
    return Page(html, policy)


def json_block(name: str, value: Any) -> Markup:
    """Embeds data that the page's script reads.

    Args:
        name: The block's id.
        value: JSON-able data.

    Returns:
        A script element that is no script. Nothing in the data can end it.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup('<script type="application/json" id="{}">{}</script>').format(name, Markup(text))


def text_block(kind: str, name: str, data: bytes, **more: str) -> Markup:
    """Embeds bytes in base64.

    Args:
        kind: What they are: the block has the attribute ``data-KIND``.
        name: The attribute's value.
        data: The bytes.
        more: Further data attributes.

    Returns:
        A script element that is no script.
    """
    attributes = Markup(" ").join(Markup('data-{}="{}"').format(k, v) for k, v in {kind: name, **more}.items())
    return Markup('<script type="text/plain" {}>{}</script>').format(attributes, base64.b64encode(data).decode())


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _file(folder: str, name: str) -> str:
    return (files(_ROOM) / folder / name).read_text(encoding="utf-8")


def _joined(folder: str, names: tuple[str, ...]) -> str:
    return "\n".join(_file(folder, name) for name in names)


@cache
def _environment() -> Environment:
    made = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(lambda name: _file("templates", name)),
    )
    made.filters["percent"] = lambda share: f"{100 * share:.1f} %"
    made.filters["points"] = _points
    return made


def _points(value: float) -> str:
    """A difference of shares in percentage points, with its sign (a typographic minus; none for zero)."""
    text = f"{100 * value:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", "−")
