"""A MiniWoB++ page in a browser: the package's ``core`` protocol (start, reward, DOM), without its time limit.

The package ends an episode after 10 s of wall-clock time and lowers the reward over time. Here an agent may think as
long as it needs, so the limit is 24 days, the longest that a page's timer allows, and the *raw* reward is read. A
field's caret is not drawn, because it blinks. Everything else is the package's page. Animations run, and every
observation waits until they have ended.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from homeostat.envs.miniwob.browser import Browser
from homeostat.errors import ConfigError, EnvError

__all__ = ["Node", "Outcome", "Page", "page_size"]

_SETTLE_SECONDS, _READY_SECONDS = 2.0, 5.0

_BEGIN = """
core.EPISODE_MAX_TIME = 2147483647;
window.alert = function () {};
Math.seedrandom(arguments[0]);
core.setDataMode(arguments[1]);
core.startEpisodeReal();
core.cover_div.onclick = null;  // a click on the cover of a page that has ended would begin another episode
document.documentElement.style.caretColor = 'transparent';
var styles = Array.from(document.querySelectorAll('*'), e => getComputedStyle(e).backgroundImage);
var drawn = styles.map(text => /url\\("(.*)"\\)/.exec(text)).filter(m => m);  // the first look must not miss them
var images = Array.from(new Set(drawn.map(m => m[1])), url => {
  var image = new Image();
  image.src = url;
  return image.decode().catch(() => null);
});
return Promise.all(images).then(() => true);
"""
_OUTCOME = "return [WOB_DONE_GLOBAL, WOB_RAW_REWARD_GLOBAL, WOB_REWARD_REASON];"
_BUSY = """
var w = core.flightChildWindow ? core.flightChildWindow() : window;
return !!(w.jQuery && w.jQuery(':animated').length) || w.document.getAnimations().some(
  a => a.playState === 'running' && a.effect && a.effect.getComputedTiming().endTime !== Infinity);
"""
_FOCUSED = """
var d = (core.flightChildWindow ? core.flightChildWindow() : window).document, e = d.activeElement;
return !!e && e !== d.body;
"""
# The package's DOM info, and for every element: its attributes, its largest visible rectangle (a link may be broken
# across lines), and the point nearest to that rectangle's centre at which a click would reach it.
_LOOK = """
var w = core.flightChildWindow ? core.flightChildWindow() : window, d = w.document, root = core.getDOMInfo();
var found = (w.$miniwob || core).previousDOMInfo, width = arguments[0], height = arguments[1];
var steps = [0.5, 0.3, 0.7, 0.1, 0.9];
function reach(e, r) {
  for (var i of steps) for (var j of steps) {
    var x = r.left + j * r.width, y = r.top + i * r.height, hit = d.elementFromPoint(x, y);
    if (x < width && y < height && hit && (e === hit || e.contains(hit))) return [x, y];
  }
  return null;
}
function walk(info, parent) {
  var e = info.tag === 't' ? parent : found[info.ref];
  if (e) {
    var rects = info.tag === 't' ? [info] : Array.from(e.getClientRects());
    var r = rects.reduce((a, b) => b.width * b.height > a.width * a.height ? b : a, rects[0] || info);
    info.box = [r.left, r.top, r.left + r.width, r.top + r.height];
    info.point = reach(e, r);
    if (info.tag !== 't') info.attributes = Object.fromEntries(Array.from(e.attributes, a => [a.name, a.value]));
    if (e.tagName === 'SELECT') {
      info.options = Array.from(e.options, o => o.text);
      info.value = e.selectedIndex < 0 ? '' : e.options[e.selectedIndex].text;
    }
  }
  info.children.forEach(c => walk(c, e));
}
if (root) walk(root, null);
return root;
"""


@dataclass(frozen=True)
class Outcome:
    """The state of a page's episode.

    Attributes:
        done: Whether the page has ended it.
        reward: The raw reward in [−1, 1]; 0 until the end.
        reason: The page's reason for the reward; empty if it gives none.
    """

    done: bool = False
    reward: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class Node:
    """One visible node of the DOM.

    Attributes:
        tag: The tag as the package spells it, such as ``input_text``, or ``t`` for a piece of text.
        text: The text of a leaf; empty for other nodes.
        box: Left, top, right and bottom in CSS pixels.
        point: Where a click reaches the node, in CSS pixels. None: it is covered or out of view.
        value: The value of an input or a select; a bool for a checkbox or a radio button.
        id: The HTML id.
        classes: The HTML classes, separated by blanks.
        background: The CSS background colour.
        focused: Whether the node has the keyboard's focus.
        clicked: Whether the node was clicked in this episode.
        attributes: The HTML attributes by name.
        options: The texts of a select's options.
        children: The nodes inside.
    """

    tag: str
    text: str
    box: tuple[float, float, float, float]
    point: tuple[float, float] | None
    value: str | bool | None
    id: str
    classes: str
    background: str
    focused: bool
    clicked: bool
    attributes: dict[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    children: tuple[Node, ...] = ()

    @classmethod
    def of(cls, info: dict[str, Any]) -> Node:
        """Builds a node from the package's DOM information, as this module's script extends it.

        Args:
            info: The information on the node and its children.

        Returns:
            The node.
        """
        left, top = info["left"], info["top"]
        box = info.get("box") or (left, top, left + info["width"], top + info["height"])
        classes = info.get("classes")  # an object for an SVG element
        return cls(
            tag=str(info["tag"]).lower(),
            text=" ".join(str(info.get("text") or "").split()),
            box=(box[0], box[1], box[2], box[3]),
            point=(info["point"][0], info["point"][1]) if info.get("point") else None,
            value=info.get("value"),
            id=str(info.get("id") or ""),
            classes=classes if isinstance(classes, str) else str(info.get("attributes", {}).get("class", "")),
            background=str(info.get("bgColor") or ""),
            focused=bool(info.get("focused")),
            clicked=bool(info.get("tampered")),
            attributes=info.get("attributes") or {},
            options=tuple(info.get("options") or ()),
            children=tuple(cls.of(child) for child in info["children"]),
        )

    def walk(self) -> Iterator[Node]:
        """Iterates over the node and all nodes below it.

        Yields:
            The nodes in document order.
        """
        yield self
        for child in self.children:
            yield from child.walk()

    @property
    def full_text(self) -> str:
        """The text of the node and of all nodes below it."""
        return " ".join(node.text for node in self.walk() if node.text)


def page_size(task: str) -> tuple[int, int]:
    """Returns the size of a task's page: 160 × 210 CSS pixels, or 375 × 667 for a flight form.

    Args:
        task: The task's name.

    Returns:
        Width and height in CSS pixels.

    Raises:
        ConfigError: MiniWoB++ is not installed.
    """
    constants = _package("constants")
    if task.startswith("flight."):
        return constants.FLIGHT_TASK_WIDTH, constants.FLIGHT_TASK_HEIGHT
    return constants.TASK_WIDTH, constants.TASK_HEIGHT


def _package(module: str = "") -> Any:
    try:
        return import_module(f"miniwob.{module}" if module else "miniwob")
    except ImportError:
        raise ConfigError("miniwob is not installed; pip install 'homeostat[miniwob]'") from None


class Page:
    """The pages of one task after another, in one browser that starts at the first :meth:`begin`.

    Attributes:
        browser: The browser; None before the first task.
        size: The current page's width and height in CSS pixels.
    """

    def __init__(self) -> None:
        self.browser: Browser | None = None
        self.size = (0, 0)

    def begin(self, task: str, seed: int, mode: str) -> None:
        """Loads a task's page, because scripts keep state between episodes, and starts an episode.

        Args:
            task: The task's name.
            seed: The seed of the episode.
            mode: The package's data mode, ``train`` or ``test``.

        Raises:
            ConfigError: MiniWoB++ or the browser is not installed.
            EnvError: The browser fails, or the page does not load in time.
        """
        self.size = page_size(task)
        constants, flight = _package("constants"), task.startswith("flight.")
        kind = "FLIGHT_WINDOW" if flight else "WINDOW"
        window = getattr(constants, f"{kind}_WIDTH"), getattr(constants, f"{kind}_HEIGHT")
        try:
            if self.browser is not None and self.browser.open:
                self.browser.resize(*window)
        except EnvError:  # the browser has died since the last episode
            self.close()
        if self.browser is None or not self.browser.open:
            self.browser = Browser(*window)
        html = Path(_package().__file__).parent / "html"
        file = html / task.replace(".", "/") / "wrapper.html" if flight else html / "miniwob" / f"{task}.html"
        self.browser.go(file.as_uri())
        self._wait("return !window.core || !core.cover_div;", _READY_SECONDS, f"task {task!r} did not load")
        self.browser.park()
        self.browser.run(_BEGIN, seed, mode)
        self._wait("return !WOB_TASK_READY;", _READY_SECONDS, f"task {task!r} did not load")
        self.settle()

    def _wait(self, busy: str, seconds: float, failure: str = "") -> None:
        assert self.browser is not None
        until = time.monotonic() + seconds
        while self.browser.run(busy):
            if time.monotonic() > until:
                if failure:
                    raise EnvError(f"{failure} in {seconds:g} s; reset the environment again")
                return
            time.sleep(0.02)

    def settle(self) -> None:
        """Waits until the page's animations have ended, for 2 s at most."""
        self._wait(_BUSY, _SETTLE_SECONDS)

    def outcome(self) -> Outcome:
        """Returns the state of the episode."""
        assert self.browser is not None
        done, reward, reason = self.browser.run(_OUTCOME)
        return Outcome(bool(done), float(reward), "" if reason is None else str(reason))

    def focused(self) -> bool:
        """Returns whether an element has the keyboard's focus."""
        assert self.browser is not None
        return bool(self.browser.run(_FOCUSED))

    def goal(self) -> str:
        """Returns the task's instruction; for a flight form, its fields as JSON."""
        assert self.browser is not None
        said = self.browser.run("return core.getUtterance();")
        return str(said["utterance"] if isinstance(said, dict) else said)

    def root(self) -> Node | None:
        """Returns the root of the visible DOM; None for an empty page."""
        assert self.browser is not None
        info = self.browser.run(_LOOK, *self.size)
        return Node.of(info) if info else None

    def close(self) -> None:
        """Ends the browser."""
        if self.browser is not None:
            self.browser.close()
