"""A device behind the real adb server, through adbutils, with one-line errors."""

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
    """adbutils' and the sockets' errors as one line each."""
    import adbutils

    try:
        yield
    except (adbutils.AdbError, OSError, EOFError, subprocess.SubprocessError) as error:
        reason = " ".join(str(a) for a in error.args).split("\n")[0][:160] or type(error).__name__
        raise EnvError(f"device {serial!r} does not answer ({reason}); check adb devices") from None


class AdbDevice:
    """Screenshots, touches, keys and apps of one device.

    ``serial``: of ``adb devices``; without one, ``ANDROID_SERIAL``, else the only device there is. An address
    (``host:port``) is connected to. Raises :class:`ConfigError` without adbutils, :class:`EnvError` without adb,
    without a device, with several, or with one that is offline or not authorised.
    """

    def __init__(self, serial: str | None = None) -> None:
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
        """What a command writes."""
        with _adb(self.serial):
            return str(self._device.shell(list(words)))

    def screenshot(self) -> NDArray[np.uint8]:
        """(height, width, 3) uint8."""
        with _adb(self.serial):
            png = self._device.shell(["screencap", "-p"], encoding=None)
        try:
            return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
        except UnidentifiedImageError:
            raise EnvError(f"device {self.serial!r} gave no screenshot ({png[:60]!r}); is its screen on?") from None

    def hierarchy(self) -> str:
        """UIAutomator's XML; empty where the device could not dump it (its screen keeps moving)."""
        import adbutils

        with _adb(self.serial):
            try:
                return str(self._device.dump_hierarchy())
            except adbutils.AdbError as error:
                if "uiautomator" in str(error) or "xml" in str(error):
                    return ""
                raise

    def package(self) -> str:
        """The package in front; empty where the system names none (its window is changing)."""
        found = _FRONT.findall(self.shell("dumpsys", "window"))
        return next((name for where in ("mCurrentFocus", "mFocusedApp") for at, name in found if at == where), "")

    def types_anything(self) -> bool:
        """Whether ADBKeyboard, which takes any text, is the keyboard in use."""
        return self.shell("settings", "get", "secure", "default_input_method").strip() == _KEYBOARD

    def packages(self) -> list[str]:
        """Every installed package."""
        with _adb(self.serial):
            return list(self._device.list_packages())

    def start(self, package: str) -> bool:
        """Bring a package to the front; whether it has an activity to show."""
        done = self.shell("monkey", "-p", package, "-c", "android.intent.category.LAUNCHER", "1")
        return "No activities found" not in done
