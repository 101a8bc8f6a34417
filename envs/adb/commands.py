"""Android's commands for the screen, for touches and keys, and for the state of the system."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from homeostat.envs.adb import reports
from homeostat.envs.adb.keys import chord, press
from homeostat.envs.adb.output import Output, by_name, failed, printed
from homeostat.envs.adb.uiautomator import dump

if TYPE_CHECKING:
    from homeostat.envs.adb.shell import Shell

__all__ = ["COMMANDS"]

_SOURCES = ("touchscreen", "keyboard", "touchpad", "mouse", "dpad", "trackball", "stylus", "touchnavigation")
_USAGE = """Usage: input [<source>] <command> [<arg>...]
The commands and default sources are:
      text <string> (Default: keyboard)
      keyevent [--longpress|--doubletap] <key code number or name> ... (Default: keyboard)
      tap <x> <y> (Default: touchscreen)
      swipe <x1> <y1> <x2> <y2> [duration(ms)] (Default: touchscreen)
      draganddrop <x1> <y1> <x2> <y2> [duration(ms)] (Default: touchscreen)
      keycombination <key code 1> <key code 2> ... (Default: keyboard)"""
_SCREEN = ("/dev/tty", "/dev/stdout", "/proc/self/fd/1")
_MOST_SETTINGS = 1000
_LONGEST_SETTING = 4096  # characters
_DUMP = "/sdcard/window_dump.xml"


def input_(shell: Shell, words: list[str], stdin: bytes) -> Output:
    """``input tap X Y`` and the other forms of ``input``."""
    words = [w for i, w in enumerate(words) if i or w not in _SOURCES]
    if words[:1] == ["-d"]:
        words = words[2:]
    handset = shell.handset
    try:
        match words:
            case ["tap", x, y]:
                handset.tap(float(x), float(y))
            case ["swipe" | "draganddrop", x, y, to_x, to_y, *rest]:
                duration = float(rest[0]) if rest else 300.0
                handset.swipe(float(x), float(y), float(to_x), float(to_y), duration)
            case ["text", text, *_]:  # further words are dropped, as on Android
                return _text(shell, text)
            case ["keyevent", *keys] if keys:
                for key in (k for k in keys if not k.startswith("--")):
                    shell.step.check()
                    press(handset, key)
            case ["keycombination", *keys] if len(keys) > 1:
                chord(handset, keys)
            case _:
                return failed(_USAGE, 255)
    except ValueError:
        return failed(f"Error: Invalid arguments for command: {words[0]}", 255)
    return Output()


def _text(shell: Shell, text: str) -> Output:
    """Types text by key events. Android's virtual keyboard has keys for ASCII only, and crashes on other characters."""
    if not all(" " <= c <= "~" for c in text):
        return failed(
            "Exception occurred while executing 'text':\n"
            "java.lang.NullPointerException: Attempt to get length of null array",
            255,
        )
    shell.handset.type(text.replace("%s", " "))
    return Output()


def screencap(shell: Shell, words: list[str], stdin: bytes) -> Output:
    """``screencap [-p] [FILE]``.

    ``-p`` or a file name that ends in ``.png`` gives PNG. Otherwise the output is RGBA after a header of 16 bytes
    (width, height, format, colour space).
    """
    path = next((w for i, w in enumerate(words) if not w.startswith("-") and words[i - 1 : i] != ["-d"]), None)
    if "-p" in words or (path or "").endswith(".png"):
        data = shell.handset.screencap()
    else:
        width, height = shell.handset.size
        shell.step.take(2 * 4 * width * height)
        pixels = shell.handset.observe().screenshot
        opaque = np.full((height, width, 1), 255, np.uint8)
        data = struct.pack("<4I", width, height, 1, 0) + np.concatenate([pixels, opaque], axis=2).tobytes()
    if path is None:
        return Output(data)
    try:
        shell.files.write(path, data)
    except OSError as error:
        return failed(f"Error opening file: {path} ({error})")
    return Output()


def uiautomator(shell: Shell, words: list[str], stdin: bytes) -> Output:
    """``uiautomator dump [FILE]``."""
    if words[:1] != ["dump"]:
        return failed("Usage: uiautomator dump [--compressed] [file]")
    path = next((w for w in words[1:] if not w.startswith("-")), _DUMP)
    xml = dump(shell.handset)
    if path in _SCREEN:
        return printed(f"{xml}UI hierchary dumped to: {path}")
    try:
        shell.files.write(path, xml.encode())
    except OSError as error:
        return failed(f"java.io.FileNotFoundException: {path}: open failed: {error}")
    return printed(f"UI hierchary dumped to: {path}")  # Android's own spelling, which tools look for


def wm(shell: Shell, words: list[str], stdin: bytes) -> Output:
    """``wm size``, ``wm density``."""
    width, height = shell.handset.size
    match words:
        case ["size"]:
            return printed(f"Physical size: {width}x{height}")
        case ["density"]:
            return printed(f"Physical density: {reports.density(shell.handset)}")
    return failed(f"Unknown command: {' '.join(words)}; this screen keeps its size and density", 255)


def dumpsys(shell: Shell, words: list[str], stdin: bytes) -> Output:
    """``dumpsys SERVICE``, for the services that tools query."""
    names = [w for w in words if not w.startswith("-")]
    if "-l" in words or not names:
        return printed("Currently running services:\n" + "\n".join(f"  {n}" for n in sorted(reports.DUMPSYS)))
    report = reports.DUMPSYS.get(names[0])
    return printed(report(shell.handset)) if report else failed(f"Can't find service: {names[0]}", 0)


def getprop(shell: Shell, words: list[str], stdin: bytes) -> Output:
    """``getprop [NAME [DEFAULT]]``: one property, or all."""
    properties = reports.properties(shell.handset)
    if words:
        return printed(properties.get(words[0], words[1] if len(words) > 1 else "") or "\n")
    return printed("\n".join(f"[{k}]: [{v}]" for k, v in properties.items()))


def settings(shell: Shell, words: list[str], stdin: bytes) -> Output:
    """``settings``: Android's own settings. They are stored without effect, apart from those of the settings app."""
    match words:
        case ["get", space, name]:
            return printed(shell.settings.get((space, name), "null"))
        case ["put", space, name, value, *_]:
            if len(shell.settings) >= _MOST_SETTINGS or len(space + name + value) > _LONGEST_SETTING:
                return failed(f"Failed transaction: too many settings, or longer than {_LONGEST_SETTING}", 255)
            shell.settings[space, name] = value
            return Output()
        case ["delete", space, name]:
            return printed(f"Deleted {int(shell.settings.pop((space, name), None) is not None)} rows")
        case ["list", space]:
            return printed("\n".join(f"{n}={v}" for (s, n), v in sorted(shell.settings.items()) if s == space))
    return failed("Invalid command; known: get, put, delete, list", 255)


COMMANDS = by_name((input_, screencap, uiautomator, wm, dumpsys, getprop, settings))
