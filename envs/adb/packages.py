"""Android's commands for apps: ``am``, ``pm``, ``monkey``, ``cmd``.

Two broadcasts let a client that knows only adb end a task: ``org.homeostat.ANSWER`` with ``--es text`` answers the
user, and ``org.homeostat.TERMINATE`` with ``--es status success`` (or ``failure``) ends the episode. The phone also
has ADBKeyboard, with which adb-based agents type characters beyond ASCII. It takes ``ADB_INPUT_TEXT`` and
``ADB_INPUT_B64`` after ``ime set`` has chosen it.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from homeostat.envs.adb.handset import HOME, PACKAGE, package_of
from homeostat.envs.adb.output import Output, by_name, failed, printed
from homeostat.errors import ActionError

if TYPE_CHECKING:
    from homeostat.envs.adb.shell import Shell

__all__ = ["COMMANDS"]

ACTIVITY = ".MainActivity"
_KEYBOARDS = ("com.android.inputmethod.latin/.LatinIME", "com.android.adbkeyboard/.AdbIME")
_KEYBOARD = ("secure", "default_input_method")
_VALUES = {"-a", "-c", "-n", "-p", "-d", "-t", "-f", "--user", "--display", "--activity-brought-to-front"}


def _app(shell: Shell, package: str) -> str | None:
    """The app of a package; None if it is not installed."""
    name = package.removeprefix(f"{PACKAGE}.")
    return name if package != name and name in (*shell.handset.installed(), HOME) else None


def _component(name: str) -> str:
    """``package/class`` with the full name of the class."""
    package, _, activity = name.partition("/")
    return f"{package}/{package}{activity}" if activity.startswith(".") else name


def _option(words: list[str], name: str) -> str | None:
    return next((words[i + 1] for i, w in enumerate(words[:-1]) if w == name), None)


def am(shell: Shell, words: list[str], stdin: bytes) -> Output:
    """``am start``, ``am force-stop``, ``am broadcast``."""
    match words:
        case ["start" | "start-activity", *rest]:
            return _start(shell, rest)
        case ["force-stop" | "kill", *_, package]:
            app = _app(shell, package)
            if app is not None:
                shell.handset.close(app)
            return Output()
        case ["broadcast", *rest]:
            return _broadcast(shell, rest)
    return failed(f"Unknown command: {' '.join(words)}; known: start, force-stop, broadcast", 255)


def _start(shell: Shell, words: list[str]) -> Output:
    place = 0
    where = ""
    while place < len(words):  # a word that is no option's value names the package or the component
        if words[place] in _VALUES or words[place].startswith(("--e", "-e")):
            place += 2 if words[place] in _VALUES else 3
        else:
            where = where if words[place].startswith("-") else words[place]
            place += 1
    component = _option(words, "-n") or (where if "/" in where else None)
    package = (component or _option(words, "-p") or where).partition("/")[0]
    if not package and "android.intent.category.HOME" in words:
        package = package_of(HOME)
    app = _app(shell, package)
    act = _option(words, "-a") or "android.intent.action.MAIN"
    shown = f"act={act}" + (f" cmp={component}" if component else f" pkg={package}" if package else "")
    if app is None and component is None:
        return failed(f"Error: Activity not started, unable to resolve Intent {{ {shown} }}")
    right = app is not None and (component is None or _component(component) == f"{package}/{package}{ACTIVITY}")
    if app is None or not right:
        done = printed(f"Starting: Intent {{ {shown} }}", 1)
        reason = f"Activity class {{{_component(component or package)}}} does not exist."
        done.err = f"Error type 3\nError: {reason}\n".encode(errors="replace")
        return done
    if "-S" in words:
        shell.handset.close(app)
    return _open(shell, app, f"Starting: Intent {{ {shown} }}" + ("\nStatus: ok\nComplete" if "-W" in words else ""))


def _open(shell: Shell, app: str, message: str) -> Output:
    try:
        shell.handset.open(app)
    except ActionError as error:  # the episode is over
        return failed(f"Error: {error}")
    return printed(message)


def _broadcast(shell: Shell, words: list[str]) -> Output:
    action = _option(words, "-a") or ""
    extra = {words[i + 1]: words[i + 2] for i, w in enumerate(words[:-2]) if w in ("--es", "-e")}
    if action == f"{PACKAGE}.ANSWER":
        try:
            shell.handset.answer(extra.get("text", ""))
        except ActionError as error:
            return failed(f"Error: {error}", 255)
    elif action == f"{PACKAGE}.TERMINATE":
        if extra.get("status") not in ("success", "failure"):
            return failed(f"Error: {action} needs --es status success, or failure; not {extra.get('status')!r}", 255)
        shell.handset.terminate(extra["status"] == "success")
    elif action.startswith("ADB_INPUT_") and shell.settings.get(_KEYBOARD) == _KEYBOARDS[1]:
        message = extra.get("msg", "")
        if action == "ADB_INPUT_B64":
            try:
                message = base64.b64decode(message, validate=True).decode()
            except (binascii.Error, ValueError):
                message = ""
        shell.handset.type(message)
    return printed(f"Broadcasting: Intent {{ act={action} }}\nBroadcast completed: result=0")


def monkey(shell: Shell, words: list[str], stdin: bytes) -> Output:
    """``monkey -p PACKAGE … 1``, the usual way to launch an app by its package."""
    app = _app(shell, _option(words, "-p") or "")
    if app is None:
        return failed("** No activities found to run, monkey aborted.", 252)
    return _open(shell, app, "Events injected: 1")


def pm(shell: Shell, words: list[str], stdin: bytes) -> Output:
    """``pm list packages [-3|-s] [FILTER]``, ``pm path``, ``pm resolve-activity``."""
    match words:
        case ["list", "packages", *rest]:
            apps = [HOME] if "-s" in rest else [*shell.handset.installed(), *([] if "-3" in rest else [HOME])]
            wanted = [w for w in rest if not w.startswith("-")]
            names = sorted(package_of(app) for app in apps)
            return printed("\n".join(f"package:{n}" for n in names if all(w in n for w in wanted)))
        case ["path" | "dump", package]:
            app = _app(shell, package)
            return printed(f"package:/data/app/{package}/base.apk") if app is not None else Output(code=1)
        case ["resolve-activity", *rest] if rest:
            app = _app(shell, rest[-1])
            if app is None:
                return printed("No activity found")
            return printed(f"priority=0 preferredOrder=0 match=0x108000 isDefault=true\n{rest[-1]}/{ACTIVITY}")
        case ["query-activities", *_]:
            names = sorted(package_of(app) for app in shell.handset.installed())
            return printed(f"{len(names)} activities found:\n" + "\n".join(f"  {n}/{ACTIVITY}" for n in names))
    return failed(f"Unknown command: {' '.join(words)}; known: list packages, path, resolve-activity", 255)


def cmd(shell: Shell, words: list[str], stdin: bytes) -> Output:
    """``cmd package``, ``cmd activity``, ``cmd statusbar``."""
    match words:
        case ["package", *rest]:
            return pm(shell, rest, stdin)
        case ["activity", *rest]:
            return am(shell, rest, stdin)
        case ["statusbar", "expand-notifications" | "expand-settings"]:
            shell.handset.shade(True)
            return Output()
        case ["statusbar", "collapse"]:
            shell.handset.shade(False)
            return Output()
    return failed(f"cmd: Can't find service: {' '.join(words[:1])}", 20)


def ime(shell: Shell, words: list[str], stdin: bytes) -> Output:
    """``ime list -s``, ``ime enable``, ``ime set``, ``ime reset``: the keyboards."""
    match words:
        case ["list", *_]:
            return printed("\n".join(_KEYBOARDS))
        case ["enable" | "disable" | "set", name] if name not in _KEYBOARDS:
            return failed(f"Unknown input method {name} cannot be selected for user #0")
        case ["enable", name]:
            return printed(f"Input method {name}: now enabled for user #0")
        case ["set", name]:
            shell.settings[_KEYBOARD] = name
            return printed(f"Input method {name} selected for user #0")
        case ["disable" | "reset", *_]:
            shell.settings[_KEYBOARD] = _KEYBOARDS[0]
            return printed("Reset current and enabled IMEs for user #0")
    return failed(f"Unknown command: {' '.join(words)}; known: list, enable, set, reset", 255)


COMMANDS = by_name((am, monkey, pm, cmd, ime))
