"""A device behind an adb server, through adbutils. Errors are one line long."""

from __future__ import annotations

import io
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from homeostat.errors import ConfigError, EnvError

__all__ = ["AdbDevice"]

_FRONT = re.compile(r"(mCurrentFocus|mFocusedApp)=\S*\{.*?\s([\w.]+)/[\w.$]+")
_KEYBOARD = "com.android.adbkeyboard/.AdbIME"


@contextmanager
def _adb(serial: str | None) -> Iterator[None]:
    """Turns errors of adbutils and of sockets into one-line errors."""
    import adbutils

    try:
        yield
    except (adbutils.AdbError, OSError, EOFError, subprocess.SubprocessError) as error:
        reason = " ".join(str(a) for a in error.args).split("\n")[0][:160] or type(error).__name__
        raise EnvError(f"device {serial!r} does not answer ({reason}); check it with 'adb devices'") from None


class AdbDevice:
    """Screenshots, touches, keys and apps of one device.

    Attributes:
        serial: The device's serial number or address.
        size: The screen's width and height in pixels.
    """

    def __init__(self, serial: str | None = None) -> None:
        """Connects to the device.

        Args:
            serial: The serial number that ``adb devices`` shows, or an address (``host:port``), which is connected to.
                None: the environment variable ``ANDROID_SERIAL``, otherwise the only device that adb sees.

        Raises:
            ConfigError: adbutils is not installed.
            EnvError: There is no adb server, no device, or more than one; or the device is offline or not authorised.
        """
        try:
            import adbutils
        except ImportError:
            raise ConfigError("Android needs adbutils; pip install 'homeostat[android]'") from None
        self.serial = serial or os.environ.get("ANDROID_SERIAL")
        client = adbutils.AdbClient()
        try:
            if self.serial and ":" in self.serial:
                client.connect(self.serial, timeout=10)
            states = {d.serial: d.state for d in client.list()}
        except (adbutils.AdbError, OSError, subprocess.SubprocessError) as error:
            reason = str(error).split("\n")[0][:120]
            raise EnvError(f"no adb server ({reason}); install Android's platform-tools (adb)") from None
        if self.serial is None:
            if len(states) != 1:
                there = (
                    f"several devices: {', '.join(sorted(states))}; name one" if states else "no device; connect one"
                )
                raise EnvError(f"adb sees {there} (ANDROID_SERIAL, or serial=…)")
            self.serial = next(iter(states))
        state = states.get(self.serial)
        if state != "device":
            fix = {"unauthorized": "allow this computer on its screen", "offline": "reconnect it"}
            known = (
                f"is {state}; {fix.get(state, 'wait until it is ready')}" if state else "is not there; see adb devices"
            )
            raise EnvError(f"device {self.serial!r} {known}")
        self._device: Any = client.device(self.serial)
        with _adb(self.serial):
            self.size: tuple[int, int] = tuple(self._device.window_size())

    def shell(self, *words: str) -> str:
        """Runs a shell command on the device.

        Args:
            *words: The command and its arguments.

        Returns:
            What the command writes.
        """
        with _adb(self.serial):
            return str(self._device.shell(list(words)))

    def screenshot(self) -> NDArray[np.uint8]:
        """Returns the screen, shape (height, width, 3), uint8."""
        with _adb(self.serial):
            png = self._device.shell(["screencap", "-p"], encoding=None)
        try:
            return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
        except UnidentifiedImageError:
            raise EnvError(f"device {self.serial!r} gave no screenshot ({png[:60]!r}); is its screen on?") from None

    def hierarchy(self) -> str:
        """Returns UIAutomator's XML; empty if the device could not dump it because its screen keeps changing."""
        import adbutils

        with _adb(self.serial):
            try:
                return str(self._device.dump_hierarchy())
            except adbutils.AdbError as error:
                if "uiautomator" in str(error) or "xml" in str(error):
                    return ""
                raise

    def package(self) -> str:
        """Returns the package in the foreground; empty if the system names none because its window is changing."""
        found = _FRONT.findall(self.shell("dumpsys", "window"))
        return next((name for where in ("mCurrentFocus", "mFocusedApp") for at, name in found if at == where), "")

    def types_anything(self) -> bool:
        """Whether the keyboard in use is ADBKeyboard, which takes any text."""
        return self.shell("settings", "get", "secure", "default_input_method").strip() == _KEYBOARD

    def packages(self) -> list[str]:
        """Returns every installed package."""
        with _adb(self.serial):
            return list(self._device.list_packages())

    def start(self, package: str) -> bool:
        """Brings a package to the foreground.

        Args:
            package: The package.

        Returns:
            Whether it has an activity to show.
        """
        done = self.shell("monkey", "-p", package, "-c", "android.intent.category.LAUNCHER", "1")
        return "No activities found" not in done
