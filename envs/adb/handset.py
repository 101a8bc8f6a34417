"""A phone in somebody's hand: pixels and keys of Android for the simulator's device.

Touches come in pixels of a screen of 144·scale × 256·scale. A field's text is selected when it gets the focus, so the
first text typed replaces it and the next goes on after it, as on Android with ``selectAllOnFocus``.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from PIL import Image

from homeostat.envs import actions as a
from homeostat.envs.core import Observation
from homeostat.envs.errors import ActionError, ConfigError
from homeostat.envs.phone.device import Device
from homeostat.envs.phone.layout import BODY_ROWS, Placed
from homeostat.envs.phone.ui import Frame

__all__ = ["HOME", "PACKAGE", "Handset", "HasDevice", "package_of"]

PACKAGE = "org.homeostat"
HOME = "home"
LONG_PRESS_MS = 500


@runtime_checkable
class HasDevice(Protocol):
    """An environment around a phone (``PhoneEnv``)."""

    device: Device

    def act(self, action: a.Action) -> None:
        """Carry the action out."""
        ...


def package_of(app: str) -> str:
    """The Android package of an app of the simulator."""
    return f"{PACKAGE}.{app}"


class Handset:
    """The screen, the touches and the keys of a :class:`Device`, or of an environment's.

    Safe to use from several threads. ``scale``: 5 gives a screen of 720 × 1280 pixels. Raises :class:`ConfigError`.
    """

    def __init__(self, phone: Device | HasDevice, scale: int = 5) -> None:
        if not 1 <= scale <= 16:
            raise ConfigError(f"scale {scale!r} is out of range; choose 1 to 16")
        self._phone = phone
        self.scale = scale
        self._lock = threading.RLock()
        self._selected = True

    @property
    def device(self) -> Device:
        """The phone itself; an environment's changes with every reset."""
        return self._phone if isinstance(self._phone, Device) else self._phone.device

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return 144 * self.scale, 256 * self.scale

    @property
    def app(self) -> str:
        """The app in front."""
        return self.device.app

    @property
    def scrolls(self) -> bool:
        """Whether there is more than the screen shows."""
        with self._lock:
            rows = self.device.rows()
            return bool(rows) and (rows[0][1] < 0 or rows[-1][1] >= BODY_ROWS)

    def installed(self) -> tuple[str, ...]:
        """The apps' names."""
        return tuple(self.device.apps)

    def screencap(self) -> bytes:
        """The screen as a PNG file."""
        with self._lock:
            pixels = self.observe().screenshot
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "PNG", compress_level=1)
        return out.getvalue()

    def observe(self) -> Observation:
        """The screen with its elements."""
        with self._lock:
            return self.device.observe(self.scale)

    def placed(self) -> tuple[list[Placed], Frame | None]:
        """Every element with its box in cells, and the frame in front."""
        with self._lock:
            return list(self.device.placed()), self.device.frame

    def tap(self, x: float, y: float) -> None:
        """A short touch."""
        self._select(lambda point: a.Click(point=point), x, y)

    def swipe(self, x: float, y: float, to_x: float, to_y: float, milliseconds: float = 300) -> None:
        """A drag; one that stays in its place for half a second is a long press."""
        if abs(to_x - x) + abs(to_y - y) < 8 * self.scale and milliseconds >= LONG_PRESS_MS:
            self._select(lambda point: a.LongPress(point=point), x, y)
            return
        start, end = self._point(x, y), self._point(to_x, to_y)
        if start is not None and end is not None:
            self._do(a.Swipe(point=start, to=end))

    def type(self, text: str) -> None:
        """Text into the focused field; without one it goes nowhere, as on Android."""
        with self._lock:
            frame = self.device.frame
            if frame is None or frame.focus is None:
                return
            old = "" if self._selected else frame.draft.get(frame.focus, "")
            self._do(a.Type(text=old + text))
            if text.endswith(" ") and frame.focus is not None:  # the phone trims; more may follow
                frame.draft[frame.focus] = (old + text).lower()
            self._selected = False

    def backspace(self) -> None:
        """Take away the selected text, or the last character."""
        with self._lock:
            frame = self.device.frame
            if frame is not None and frame.focus is not None:
                old = frame.draft.get(frame.focus, "")
                self._do(a.Type(text="" if self._selected else old[:-1]))
                self._selected = False

    def deselect(self) -> None:
        """Put the cursor at the text's end."""
        self._selected = False

    def press(self, button: str) -> None:
        """One of the system buttons ``Back``, ``Home``, ``Enter``, ``Menu``."""
        self._do(a.SystemButton(button=button))  # type: ignore[arg-type]

    def open(self, app: str) -> None:
        """Bring an app to the front. Raises :class:`ActionError` for one that is not installed."""
        self._do(a.SystemButton(button="Home") if app == HOME else a.Open(app=app), quiet=False)

    def close(self, app: str) -> None:
        """Stop an app; in front stands the launcher then."""
        with self._lock:
            if self.device.app == app:
                self._do(a.SystemButton(button="Home"))

    def _select(self, action: Callable[[tuple[float, float]], a.Action], x: float, y: float) -> None:
        point = self._point(x, y)
        if point is None:
            return
        with self._lock:
            self._do(action(point))
            self._selected = True

    def _point(self, x: float, y: float) -> tuple[float, float] | None:
        """Normalised; None off the screen, where a touch meets nothing."""
        width, height = self.size
        return (x / width, y / height) if 0 <= x < width and 0 <= y < height else None

    def _do(self, action: a.Action, quiet: bool = True) -> None:
        with self._lock:
            try:
                self._phone.act(action)
            except ActionError:
                if not quiet:
                    raise
