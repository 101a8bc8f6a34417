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

from homeostat import actions as a
from homeostat.envs.phone.device import Device
from homeostat.envs.phone.layout import BODY_ROWS, Placed
from homeostat.envs.phone.ui import Frame
from homeostat.errors import ActionError, ConfigError
from homeostat.observation import Observation

__all__ = ["HOME", "PACKAGE", "Handset", "HasDevice", "package_of"]

PACKAGE = "org.homeostat"
HOME = "home"
LONG_PRESS_MS = 500
SLOP = 3.2  # pixels at scale 1 that a resting finger may move: 8 of the 360 units that the screen is wide


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

    Safe to use from several threads: everything happens under ``lock``. ``scale``: 5 gives a screen of 720 × 1280
    pixels. Raises :class:`ConfigError`.
    """

    def __init__(self, phone: Device | HasDevice, scale: int = 5) -> None:
        if not 1 <= scale <= 16:
            raise ConfigError(f"scale {scale!r} is out of range; choose 1 to 16")
        self._phone = phone
        self.scale = scale
        self.lock = threading.RLock()
        self._typed: tuple[str, str, str] | None = None  # a field's key, what it holds, the keys that made it

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
        with self.lock:
            return self.device.app

    @property
    def scrolls(self) -> bool:
        """Whether there is more than the screen shows."""
        with self.lock:
            rows = self.device.rows()
            return bool(rows) and (rows[0][1] < 0 or rows[-1][1] >= BODY_ROWS)

    def installed(self) -> tuple[str, ...]:
        """The apps' names."""
        return tuple(self.device.apps)

    def screencap(self) -> bytes:
        """The screen as a PNG file."""
        with self.lock:
            pixels = self.observe().screenshot
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "PNG", compress_level=1)
        return out.getvalue()

    def observe(self) -> Observation:
        """The screen with its elements."""
        with self.lock:
            return self.device.observe(self.scale)

    def placed(self) -> tuple[list[Placed], Frame | None]:
        """Every element with its box in cells, and the frame in front."""
        with self.lock:
            return list(self.device.placed()), self.device.frame

    def tap(self, x: float, y: float) -> None:
        """A short touch."""
        self._touch(lambda point: a.Click(point=point), x, y)

    def swipe(self, x: float, y: float, to_x: float, to_y: float, milliseconds: float = 300) -> None:
        """A drag. One that stays in its place is a tap, or a long press from half a second on."""
        if max(abs(to_x - x), abs(to_y - y)) < SLOP * self.scale:
            if milliseconds >= LONG_PRESS_MS:
                self._touch(lambda point: a.LongPress(point=point), x, y)
            else:
                self.tap(x, y)
            return
        start, end = self._point(x, y), self._edge(to_x, to_y)
        if start is not None:
            with self.lock:
                self._typed = None
                self._do(a.Swipe(point=start, to=end))

    def type(self, text: str) -> None:
        """Text into the focused field, after what was typed there; without one it goes nowhere, as on Android."""
        with self.lock:
            self._set(self._before() + text)

    def backspace(self) -> None:
        """Take away the selected text, or the last character."""
        with self.lock:
            self._set(self._before()[:-1])

    def select_all(self) -> None:
        """Select the field's text: what is typed next replaces it."""
        self._typed = None

    def deselect(self) -> None:
        """Put the cursor at the text's end."""
        with self.lock:
            frame = self.device.frame
            if frame is not None and frame.focus is not None:
                held = frame.draft.get(frame.focus, "")
                self._typed = frame.focus, held, held

    def _before(self) -> str:
        """What the next key goes after: nothing where the text is selected."""
        frame = self.device.frame
        if frame is None or self._typed is None:
            return ""
        key, held, keys = self._typed
        return keys if key == frame.focus and held == frame.draft.get(key, "") else ""

    def _set(self, keys: str) -> None:
        frame = self.device.frame
        if frame is not None and frame.focus is not None:
            key = frame.focus
            self._do(a.Type(text=keys))
            self._typed = key, frame.draft.get(key, ""), keys

    def press(self, button: str) -> None:
        """One of the system buttons ``Back``, ``Home``, ``Enter``, ``Menu``."""
        self._do(a.SystemButton(button=button))  # type: ignore[arg-type]

    def open(self, app: str) -> None:
        """Bring an app to the front. Raises :class:`ActionError` for one that is not installed."""
        self._do(a.SystemButton(button="Home") if app == HOME else a.Open(app=app), quiet=False)

    def close(self, app: str) -> None:
        """Stop an app; in front stands the launcher then."""
        with self.lock:
            if self.device.app == app:
                self._do(a.SystemButton(button="Home"))

    def shade(self, down: bool) -> None:
        """Pull the notifications down, or push them back."""
        with self.lock:
            if self.device.shade != down:
                edge, middle = (0.5, 0.02), (0.5, 0.6)
                self._do(a.Swipe(point=edge, to=middle) if down else a.SystemButton(button="Back"))

    def answer(self, text: str) -> None:
        """Tell the user something, for tasks that ask a question."""
        self._do(a.Answer(text=text))

    def terminate(self, success: bool) -> None:
        """Say that the task is done, or that it is impossible or forbidden."""
        self._do(a.Terminate(status="success" if success else "failure"))

    def _touch(self, action: Callable[[tuple[float, float]], a.Action], x: float, y: float) -> None:
        point = self._point(x, y)
        if point is not None:
            with self.lock:
                self._typed = None
                self._do(action(point))

    def _point(self, x: float, y: float) -> tuple[float, float] | None:
        """Normalised; None off the screen, where a touch meets nothing."""
        width, height = self.size
        return (x / width, y / height) if 0 <= x < width and 0 <= y < height else None

    def _edge(self, x: float, y: float) -> tuple[float, float]:
        """Normalised; a finger that leaves the screen leaves it at its edge."""
        width, height = self.size
        return min(max(x, 0.0), width - 1) / width, min(max(y, 0.0), height - 1) / height

    def _do(self, action: a.Action, quiet: bool = True) -> None:
        with self.lock:
            try:
                self._phone.act(action)
            except ActionError:
                if not quiet:
                    raise
