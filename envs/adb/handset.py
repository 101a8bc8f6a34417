"""The simulator's device with Android's input: touches in pixels, and keys.

The screen has 144·scale × 256·scale pixels. A field's text is selected when the field gets the focus. Therefore the
first text typed replaces it and the next text is appended, as on Android with ``selectAllOnFocus``.
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
"""The prefix of the apps' Android packages."""
HOME = "home"
"""The launcher's name."""
LONG_PRESS_MS = 500
LONGEST_TEXT = 4096  # characters of a field or an answer
_ANSWERS = 2**22  # characters of all answers
SLOP = 3.2  # pixels at scale 1 that a resting finger may move: 8 of the 360 density-independent units of the width


@runtime_checkable
class HasDevice(Protocol):
    """An environment around a phone, such as ``PhoneEnv``.

    Attributes:
        device: The phone.
    """

    device: Device

    def act(self, action: a.Action) -> None:
        """Carries an action out.

        Args:
            action: The action.
        """
        ...


def package_of(app: str) -> str:
    """Returns the Android package of one of the simulator's apps.

    Args:
        app: The app's name.

    Returns:
        The package's name.
    """
    return f"{PACKAGE}.{app}"


class Handset:
    """The screen, the touches and the keys of a phone. Several threads may use it, as everything happens under a lock.

    Attributes:
        lock: The lock.
        scale: The scale of the screen.
    """

    def __init__(self, phone: Device | HasDevice, scale: int = 5) -> None:
        """Takes the phone.

        Args:
            phone: The device, or an environment around one.
            scale: The scale of the screen, from 1 to 16. 5 gives 720 × 1280 pixels.

        Raises:
            ConfigError: The scale is out of range.
        """
        if not 1 <= scale <= 16:
            raise ConfigError(f"scale {scale!r} is out of range; choose 1 to 16")
        self._phone = phone
        self.scale = scale
        self.lock = threading.RLock()
        self._answered = 0
        self._typed: tuple[str, str, str] | None = None  # a field's key, its text, what was typed for it

    @property
    def device(self) -> Device:
        """The phone. That of an environment changes with every reset."""
        return self._phone if isinstance(self._phone, Device) else self._phone.device

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return 144 * self.scale, 256 * self.scale

    @property
    def app(self) -> str:
        """The name of the app in the foreground."""
        with self.lock:
            return self.device.app

    @property
    def scrolls(self) -> bool:
        """Whether the content is longer than the screen."""
        with self.lock:
            rows = self.device.rows()
            return bool(rows) and (rows[0][1] < 0 or rows[-1][1] >= BODY_ROWS)

    def installed(self) -> tuple[str, ...]:
        """Returns the names of the installed apps."""
        return tuple(self.device.apps)

    def screencap(self) -> bytes:
        """Returns the screen as a PNG file."""
        with self.lock:
            pixels = self.observe().screenshot
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "PNG", compress_level=1)
        return out.getvalue()

    def observe(self) -> Observation:
        """Returns the screen with its elements."""
        with self.lock:
            return self.device.observe(self.scale)

    def placed(self) -> tuple[list[Placed], Frame | None]:
        """Returns every element with its box in grid cells, and the frame in the foreground."""
        with self.lock:
            return list(self.device.placed()), self.device.frame

    def tap(self, x: float, y: float) -> None:
        """Touches the screen briefly.

        Args:
            x: Pixels from the left.
            y: Pixels from the top.
        """
        self._touch(lambda point: a.Click(point=point), x, y)

    def swipe(self, x: float, y: float, to_x: float, to_y: float, milliseconds: float = 300) -> None:
        """Drags a finger. A drag that hardly moves is a tap, or from half a second on a long press.

        Args:
            x: The start, in pixels from the left.
            y: The start, in pixels from the top.
            to_x: The end, in pixels from the left.
            to_y: The end, in pixels from the top.
            milliseconds: The duration.
        """
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
        """Types text into the focused field, after what was typed there. Without a focus it is lost, as on Android.

        Args:
            text: The text. What is beyond the 4,096th character of the field is lost.
        """
        with self.lock:
            self._set((self._before() + text)[:LONGEST_TEXT])

    def backspace(self) -> None:
        """Deletes the selected text, or the last character."""
        with self.lock:
            self._set(self._before()[:-1])

    def select_all(self) -> None:
        """Selects the field's text, so that the next text typed replaces it."""
        self._typed = None

    def deselect(self) -> None:
        """Puts the cursor at the end of the text."""
        with self.lock:
            frame = self.device.frame
            if frame is not None and frame.focus is not None:
                held = frame.draft.get(frame.focus, "")
                self._typed = frame.focus, held, held

    def _before(self) -> str:
        """The text that the next key is appended to; empty if the text is selected."""
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
        """Presses a system button.

        Args:
            button: ``Back``, ``Home``, ``Enter`` or ``Menu``.
        """
        self._do(a.SystemButton(button=button))  # type: ignore[arg-type]

    def open(self, app: str) -> None:
        """Brings an app to the foreground.

        Args:
            app: The app's name.

        Raises:
            ActionError: The app is not installed.
        """
        self._do(a.SystemButton(button="Home") if app == HOME else a.Open(app=app), quiet=False)

    def close(self, app: str) -> None:
        """Stops an app. If it was in the foreground, the launcher follows.

        Args:
            app: The app's name.
        """
        with self.lock:
            if self.device.app == app:
                self._do(a.SystemButton(button="Home"))

    def shade(self, down: bool) -> None:
        """Opens or closes the notification shade.

        Args:
            down: True to open it.
        """
        with self.lock:
            if self.device.shade != down:
                edge, middle = (0.5, 0.02), (0.5, 0.6)
                self._do(a.Swipe(point=edge, to=middle) if down else a.SystemButton(button="Back"))

    def answer(self, text: str) -> None:
        """Answers the user, for tasks that ask a question.

        Args:
            text: The answer.

        Raises:
            ActionError: The answer is too long, or there were too many.
        """
        self._answered += len(text) + 1
        if len(text) > LONGEST_TEXT or self._answered > _ANSWERS:
            raise ActionError(f"an answer of {len(text)} characters is too long, or one too many; answer briefly, once")
        self._do(a.Answer(text=text))

    def terminate(self, success: bool) -> None:
        """Ends the task.

        Args:
            success: True: the task is done. False: it is impossible or forbidden.
        """
        self._do(a.Terminate(status="success" if success else "failure"))

    def _touch(self, action: Callable[[tuple[float, float]], a.Action], x: float, y: float) -> None:
        point = self._point(x, y)
        if point is not None:
            with self.lock:
                self._typed = None
                self._do(action(point))

    def _point(self, x: float, y: float) -> tuple[float, float] | None:
        """The normalised point; None outside the screen, where a touch has no effect."""
        width, height = self.size
        return (x / width, y / height) if 0 <= x < width and 0 <= y < height else None

    def _edge(self, x: float, y: float) -> tuple[float, float]:
        """The normalised point, moved to the edge if it is outside the screen."""
        width, height = self.size
        return min(max(x, 0.0), width - 1) / width, min(max(y, 0.0), height - 1) / height

    def _do(self, action: a.Action, quiet: bool = True) -> None:
        with self.lock:
            try:
                self._phone.act(action)
            except ActionError:
                if not quiet:
                    raise
