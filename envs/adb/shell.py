"""The shell behind ``adb shell``: the commands of Android that agents, test tools and people use on a device."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from homeostat.envs.adb import reports
from homeostat.envs.adb.handset import HOME, PACKAGE, Handset, package_of
from homeostat.envs.adb.keys import press
from homeostat.envs.adb.lines import Call, LineError, parse
from homeostat.envs.adb.uiautomator import dump

__all__ = ["Output", "Shell"]

LONGEST_SLEEP = 10.0  # seconds


@dataclass
class Output:
    """What a command wrote, and its exit status."""

    out: bytes = b""
    err: bytes = b""
    code: int = 0


def _said(text: str = "", code: int = 0) -> Output:
    return Output(text.encode() + (b"\n" if text and not text.endswith("\n") else b""), b"", code)


def _failed(text: str, code: int = 1) -> Output:
    return Output(b"", text.encode() + b"\n", code)


class Shell:
    """Runs lines on a handset. ``files``: the paths that commands and ``adb push`` wrote, with their contents."""

    def __init__(self, handset: Handset, files: dict[str, bytes]) -> None:
        self.handset = handset
        self.files = files

    def run(self, line: str) -> Output:
        """One line. Errors are the shell's own: nothing is raised."""
        try:
            pipelines = parse(line)
        except LineError as error:
            return _failed(f"/system/bin/sh: {error}", 1)
        total = Output()
        for pipeline in pipelines:
            if (pipeline.after == "&&" and total.code) or (pipeline.after == "||" and not total.code):
                continue
            given = b""
            for call in pipeline.calls:
                step = self._call(call, given)
                given = step.out
                total.err += step.err
                total.code = step.code
            total.out += given
        return total

    def _call(self, call: Call, given: bytes) -> Output:
        name, *words = call.words or [""]
        command = _COMMANDS.get(name.rsplit("/", 1)[-1])
        if command is None:
            done = _failed(f"/system/bin/sh: {name}: inaccessible or not found", 127)
        else:
            try:
                done = command(self, words, given)
            except (ValueError, IndexError) as error:
                done = _failed(f"Error: {error}", 255)
        if call.merged:
            done = Output(done.out + done.err, b"", done.code)
        if call.silent:
            done.err = b""
        if call.out is not None:
            if call.out != "/dev/null":
                self.files[call.out] = (self.files.get(call.out, b"") if call.append else b"") + done.out
            done.out = b""
        return done

    # -- commands -----------------------------------------------------------------------------------------------------

    def input(self, words: list[str], given: bytes) -> Output:
        """``input tap X Y`` and its like."""
        words = [w for w in words if w not in ("touchscreen", "keyboard", "touchpad", "mouse")]
        if words[:1] == ["-d"]:
            words = words[2:]
        match words:
            case ["tap", x, y]:
                self.handset.tap(float(x), float(y))
            case ["swipe" | "draganddrop", x, y, to_x, to_y, *rest]:
                duration = float(rest[0]) if rest else 300.0
                self.handset.swipe(float(x), float(y), float(to_x), float(to_y), duration)
            case ["text", *parts] if parts:
                self.handset.type(" ".join(parts).replace("%s", " "))
            case ["keyevent", *keys] if keys:
                for key in (k for k in keys if k not in ("--longpress", "--doubletap", "--async")):
                    press(self.handset, key)
            case _:
                return _failed(
                    "Usage: input [<source>] <command> [<arg>...]\n  tap <x> <y>\n  swipe <x1> <y1> <x2> <y2> "
                    "[duration(ms)]\n  text <string>\n  keyevent <key code number or name> ...",
                    255,
                )
        return Output()

    def screencap(self, words: list[str], given: bytes) -> Output:
        """The screen as PNG, to the output or into a file."""
        paths = [w for w in words if not w.startswith("-")]
        png = self.handset.screencap()
        if not paths:
            return Output(png)
        self.files[paths[0]] = png
        return Output()

    def uiautomator(self, words: list[str], given: bytes) -> Output:
        """``uiautomator dump [file]``."""
        if words[:1] != ["dump"]:
            return _failed("Unsupported command: use uiautomator dump [file]", 1)
        path = next((w for w in words[1:] if not w.startswith("-")), "/sdcard/window_dump.xml")
        if path == "/dev/tty":
            return _said(dump(self.handset) + "UI hierchary dumped to: /dev/tty")
        self.files[path] = dump(self.handset).encode()
        return _said(f"UI hierchary dumped to: {path}")  # Android's own spelling, which tools look for

    def am(self, words: list[str], given: bytes) -> Output:
        """``am start``, ``am force-stop``."""
        match words:
            case ["start" | "start-activity", *rest]:
                return self._start(rest)
            case ["force-stop" | "kill", *_, package]:
                if app := self._app(package):
                    self.handset.close(app)
                return Output()
            case ["broadcast", *rest]:
                return _said(f"Broadcasting: Intent {{ {' '.join(rest)} }}\nBroadcast completed: result=0")
        return _failed("Error: unknown command; known: start, force-stop, broadcast", 255)

    def _start(self, words: list[str]) -> Output:
        where = next((words[i + 1] for i, w in enumerate(words[:-1]) if w in ("-n", "-p")), "")
        package = where.split("/")[0]
        if "android.intent.category.HOME" in words:
            package = package_of(HOME)
        app = self._app(package or next((w for w in words if w.startswith(PACKAGE)), ""))
        if app is None:
            return _failed(f"Error type 3\nError: Activity class {{{where or ' '.join(words)}}} does not exist.", 1)
        self.handset.open(app)
        return _said(f"Starting: Intent {{ act=android.intent.action.MAIN cmp={package_of(app)}/.MainActivity }}")

    def monkey(self, words: list[str], given: bytes) -> Output:
        """``monkey -p PACKAGE … 1``, the usual way to launch an app by its package."""
        package = words[words.index("-p") + 1] if "-p" in words else ""
        app = self._app(package)
        if app is None:
            return _failed("** No activities found to run, monkey aborted.", 252)
        self.handset.open(app)
        return _said("Events injected: 1")

    def _app(self, package: str) -> str | None:
        name = package.removeprefix(f"{PACKAGE}.")
        return name if package != name and name in (*self.handset.installed(), HOME) else None

    def dumpsys(self, words: list[str], given: bytes) -> Output:
        """The services that tools ask."""
        report = reports.DUMPSYS.get(words[0] if words else "")
        return _said(report(self.handset)) if report else _failed(f"Can't find service: {' '.join(words)}", 0)

    def wm(self, words: list[str], given: bytes) -> Output:
        """``wm size``, ``wm density``."""
        width, height = self.handset.size
        match words:
            case ["size"]:
                return _said(f"Physical size: {width}x{height}")
            case ["density"]:
                return _said(f"Physical density: {reports.density(self.handset)}")
        return _failed("Error: unknown command; known: size, density", 255)

    def getprop(self, words: list[str], given: bytes) -> Output:
        """One property, or all."""
        properties = reports.properties(self.handset)
        if words:
            return _said(properties.get(words[0], words[1] if len(words) > 1 else "") or "\n")
        return _said("\n".join(f"[{k}]: [{v}]" for k, v in properties.items()))

    def pm(self, words: list[str], given: bytes) -> Output:
        """``pm list packages``, ``pm path``."""
        match words:
            case ["list", "packages", *rest]:
                wanted = [w for w in rest if not w.startswith("-")]
                names = [package_of(app) for app in (*self.handset.installed(), HOME)]
                return _said("\n".join(f"package:{n}" for n in sorted(names) if all(w in n for w in wanted)))
            case ["path", package] if app := self._app(package):
                return _said(f"package:/data/app/{package_of(app)}/base.apk")
            case ["path", _]:
                return Output(code=1)
        return _failed("Error: unknown command; known: list packages, path", 255)

    def settings(self, words: list[str], given: bytes) -> Output:
        """Android's own settings: there are none (the simulator's app is another thing)."""
        match words:
            case ["get", _, _]:
                return _said("null")
            case ["put" | "delete", *_]:
                return Output()
        return _failed("Error: unknown command; known: get, put, delete", 255)

    # -- the rest of a shell ------------------------------------------------------------------------------------------

    def echo(self, words: list[str], given: bytes) -> Output:
        """The words."""
        end = "" if words[:1] == ["-n"] else "\n"
        return Output((" ".join(words[1:] if not end else words) + end).encode())

    def cat(self, words: list[str], given: bytes) -> Output:
        """Files."""
        if not words:
            return Output(given)
        missing = next((w for w in words if w not in self.files), None)
        if missing is not None:
            return _failed(f"cat: {missing}: No such file or directory")
        return Output(b"".join(self.files[w] for w in words))

    def ls(self, words: list[str], given: bytes) -> Output:
        """Files in a folder, or a file."""
        found: list[str] = []
        for path in [w for w in words if not w.startswith("-")] or ["/"]:
            folder = path.rstrip("/") + "/"
            inside = sorted({f[len(folder) :].split("/")[0] for f in self.files if f.startswith(folder)})
            if path in self.files:
                inside = [path]
            elif not inside and folder not in ("/", "/sdcard/", "/data/local/tmp/"):
                return _failed(f"ls: {path}: No such file or directory")
            found += inside
        return _said("\n".join(found))

    def rm(self, words: list[str], given: bytes) -> Output:
        """Files away."""
        for path in [w for w in words if not w.startswith("-")]:
            gone = [f for f in self.files if f == path or ("-r" in words and f.startswith(path.rstrip("/") + "/"))]
            if not gone and "-f" not in words:
                return _failed(f"rm: {path}: No such file or directory")
            for f in gone:
                del self.files[f]
        return Output()

    def grep(self, words: list[str], given: bytes) -> Output:
        """Lines that match, of what is piped in."""
        flags = "".join(w[1:] for w in words if w.startswith("-") and w != "-e")
        pattern = next((w for w in words if not w.startswith("-")), None)
        if pattern is None:
            return _failed("grep: needs a pattern", 2)
        try:
            rule = re.compile(pattern.replace("\\|", "|"), re.IGNORECASE if "i" in flags else 0)
        except re.error as error:
            return _failed(f"grep: bad regex {pattern!r}: {error}", 2)
        lines = [x for x in given.decode(errors="replace").splitlines() if bool(rule.search(x)) is not ("v" in flags)]
        return _said("\n".join(lines), 0 if lines else 1)

    def head(self, words: list[str], given: bytes) -> Output:
        """The first lines of what is piped in."""
        count = int("".join(c for c in "".join(words) if c.isdigit()) or 10)
        return Output(b"".join(given.splitlines(keepends=True)[:count]))

    def sleep(self, words: list[str], given: bytes) -> Output:
        """Nothing, for a while."""
        time.sleep(min(max(float(words[0]), 0.0), LONGEST_SLEEP))
        return Output()

    def which(self, words: list[str], given: bytes) -> Output:
        """Where a command is."""
        there = [w for w in words if w in _COMMANDS]
        return _said("\n".join(f"/system/bin/{w}" for w in there), 0 if there else 1)

    def true(self, words: list[str], given: bytes) -> Output:
        """Nothing, with success."""
        return Output()

    def false(self, words: list[str], given: bytes) -> Output:
        """Nothing, without success."""
        return Output(code=1)

    def exit(self, words: list[str], given: bytes) -> Output:
        """The given status."""
        return Output(code=int(words[0]) & 255 if words else 0)


_Command = Callable[[Shell, list[str], bytes], Output]
_COMMANDS: dict[str, _Command] = {
    name: getattr(Shell, name)
    for name in (
        *("input", "screencap", "uiautomator", "am", "monkey", "dumpsys", "wm", "getprop", "pm", "settings"),
        *("echo", "cat", "ls", "rm", "grep", "head", "sleep", "which", "true", "false", "exit"),
    )
}
