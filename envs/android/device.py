"""A device behind an adb server, through adbutils. Every call has a time limit, and errors are one line long."""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from homeostat.errors import ConfigError, EnvError, EnvTimeout
from homeostat.foreign_text import clipped, visible

__all__ = ["AdbDevice"]

_FRONT = re.compile(r"(mCurrentFocus|mFocusedApp)=\S*\{.*?\s([\w.]+)/[\w.$]+")
_EMULATOR = re.compile(r"emulator-(\d{1,5})")
_KEYBOARD = "com.android.adbkeyboard/.AdbIME"
_DEFAULT = "127.0.0.1:5555"  # where 'homeostat adb' listens
_DUMP = "/data/local/tmp/uidump.xml"
_MOST = 256 * 2**20  # bytes of one answer: the pixels of a screen fit several times
_APPEARS = 3.0  # seconds that a device may need to be ready after it was connected to


@contextmanager
def _adb(serial: str | None, seconds: float) -> Iterator[None]:
    """Turns errors of adbutils and of sockets into one-line errors."""
    import adbutils

    try:
        yield
    except (adbutils.AdbTimeout, TimeoutError, subprocess.TimeoutExpired):
        raise EnvTimeout(
            f"device {serial!r} does not answer within {seconds:g} s; check it with 'adb devices'"
        ) from None
    except (adbutils.AdbError, OSError, EOFError, ValueError, subprocess.SubprocessError) as error:
        reason = " ".join(str(a) for a in error.args).split("\n")[0][:160] or type(error).__name__
        raise EnvError(f"device {serial!r} does not answer ({reason}); check it with 'adb devices'") from None


def _distinct(states: Mapping[str, str]) -> dict[str, str]:
    """Each device once. adb finds whatever listens on the ports of emulators by itself, and names it
    ``emulator-5554`` besides the address ``127.0.0.1:5555`` that the user connected to.
    """
    ports = {s.rpartition(":")[2] for s in states if s.startswith(("127.0.0.1:", "localhost:"))}
    found = {s: _EMULATOR.fullmatch(s) for s in states}
    return {s: state for s, state in states.items() if not ((m := found[s]) and str(int(m[1]) + 1) in ports)}


class AdbDevice:
    """Screenshots, touches, keys and apps of one device.

    Attributes:
        serial: The device's serial number or address.
        size: The screen's width and height in pixels.
        timeout: The time that one command may take, in seconds.
    """

    def __init__(self, serial: str | None = None, *, timeout: float = 30.0) -> None:
        """Connects to the device.

        Args:
            serial: The serial number that ``adb devices`` shows, or an address (``host:port``), which is connected to.
                None: the environment variable ``ANDROID_SERIAL``, otherwise the only device that is ready, and without
                any the phone that ``homeostat adb`` serves.
            timeout: The time that one command may take, in seconds.

        Raises:
            ConfigError: adbutils is not installed.
            EnvError: There is no adb server, no device, or more than one; or the device is offline or not authorised.
            EnvTimeout: The device does not answer in time.
        """
        try:
            import adbutils
        except ImportError:
            raise ConfigError("Android needs adbutils; pip install 'homeostat[android]'") from None
        self.timeout = timeout
        given, answer = serial or os.environ.get("ANDROID_SERIAL"), ""
        self._client: Any = adbutils.AdbClient(socket_timeout=timeout)
        try:
            if given and ":" in given:
                answer = self._client.connect(given, timeout=10)
            states = self._states()
            if not given and "device" not in states.values():
                self._client.connect(_DEFAULT, timeout=10)
                states = self._states()
            end = time.monotonic() + _APPEARS
            while self._appears(states, given) and time.monotonic() < end:
                time.sleep(0.1)
                states = self._states()
        except (adbutils.AdbError, OSError, ValueError, subprocess.SubprocessError) as error:
            reason = str(error).split("\n")[0][:120]
            raise EnvError(f"no adb server ({reason}); install Android's platform-tools (adb)") from None
        self.serial: str = given or _only(states)
        state = states.get(self.serial)
        if state != "device":
            raise EnvError(f"device {self.serial!r} {_not_ready(state, states, answer)}")
        height, width = self.screenshot().shape[:2]
        self.size: tuple[int, int] = width, height

    def _states(self) -> dict[str, str]:
        return {d.serial: d.state for d in self._client.list()}

    @staticmethod
    def _appears(states: Mapping[str, str], given: str | None) -> bool:
        """Whether a device that was connected to a moment ago is not ready yet."""
        address = given or _DEFAULT
        return ":" in address and states.get(address) in ("offline", "connecting", "authorizing")

    def shell(self, *words: str) -> str:
        """Runs a shell command on the device.

        Args:
            *words: The command and its arguments.

        Returns:
            What the command writes.
        """
        return self._run(shlex.join(words)).decode(errors="replace").rstrip()

    def _run(self, line: str) -> bytes:
        """Everything that a shell line writes."""
        end, said = time.monotonic() + self.timeout, bytearray()
        with _adb(self.serial, self.timeout), self._client.make_connection(timeout=self.timeout) as link:
            for request in (f"host:transport:{self.serial}", f"shell:{line}"):
                link.send_command(request)
                link.check_okay()
            while True:  # the limit holds for the whole answer, not for each of its pieces
                link.conn.settimeout(max(end - time.monotonic(), 0.001))
                part = link.conn.recv(2**16)
                if not part:
                    return bytes(said)
                said += part
                if len(said) > _MOST:
                    raise EnvError(f"device {self.serial!r} wrote more than {_MOST} bytes to {line[:60]!r}")

    def screenshot(self) -> NDArray[np.uint8]:
        """Returns the screen, shape (height, width, 3), uint8."""
        png = self._run("screencap -p")
        try:
            return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # whatever Pillow says to bad bytes
            raise EnvError(f"device {self.serial!r} gave no screenshot ({png[:60]!r}); is its screen on?") from None

    def hierarchy(self) -> str:
        """Returns UIAutomator's XML; if it wrote none, what it said instead, such as that the screen keeps changing."""
        said = self._run(f"rm -f {_DUMP}; uiautomator dump {_DUMP} > /dev/null && cat {_DUMP}")
        text = said.decode(errors="replace")
        start = min((n for n in map(text.find, ("<?xml", "<hierarchy")) if n >= 0), default=0)
        return text[start:]

    def package(self) -> str:
        """Returns the package in the foreground; empty if the system names none because its window is changing."""
        found = _FRONT.findall(self.shell("dumpsys", "window"))
        return next((name for where in ("mCurrentFocus", "mFocusedApp") for at, name in found if at == where), "")

    def types_anything(self) -> bool:
        """Whether the keyboard in use is ADBKeyboard, which takes any text."""
        return self.shell("settings", "get", "secure", "default_input_method").strip() == _KEYBOARD

    def packages(self) -> list[str]:
        """Returns every installed package."""
        listed = self.shell("pm", "list", "packages")
        return sorted(line.removeprefix("package:").strip() for line in listed.splitlines() if "package:" in line)

    def start(self, package: str) -> bool:
        """Brings a package to the foreground.

        Args:
            package: The package.

        Returns:
            Whether it has an activity to show.
        """
        done = self.shell("monkey", "-p", package, "-c", "android.intent.category.LAUNCHER", "1")
        return "No activities found" not in done


def _not_ready(state: str | None, states: Mapping[str, str], answer: str) -> str:
    """Why a device can't be used, and what to do: its state, or what adb said to the attempt to connect to it."""
    if state is not None:
        fix = {"unauthorized": "allow this computer on its screen", "offline": "reconnect it"}
        return f"is {state}; {fix.get(state, 'wait until it is ready')}"
    others = ", ".join(sorted(states)) or "none"
    said = f" ({clipped(visible(answer.strip()), 120)})" if answer else ""
    return f"is not there{said}; the devices that adb sees: {others}"


def _only(states: Mapping[str, str]) -> str:
    """The only device; ``EnvError`` if there is none, or more than one."""
    distinct = _distinct(states)
    ready = [serial for serial, state in distinct.items() if state == "device"]
    if len(ready) == 1:
        return ready[0]
    if len(distinct) == 1:
        return next(iter(distinct))
    if not distinct:
        raise EnvError(f"adb sees no device, and nothing answers at {_DEFAULT}; connect one, or start 'homeostat adb'")
    raise EnvError(
        f"adb sees several devices: {', '.join(sorted(distinct))}; name one (--serial, ANDROID_SERIAL, or serial=…)"
    )
