"""A real Android device or emulator as an environment, through adb.

env = AndroidEnv("emulator-5554")
agent.run("turn on wi-fi", env)
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from homeostat import actions as a
from homeostat.envs.android.device import AdbDevice
from homeostat.envs.android.tree import elements
from homeostat.envs.core import TaskInfo
from homeostat.envs.gymnasium_adapter import GymnasiumAdapter
from homeostat.errors import ActionError, EnvError, UnknownName
from homeostat.observation import Element, Observation

__all__ = ["AndroidEnv", "task_kind", "task_names"]

_KEYS = {"Back": "KEYCODE_BACK", "Home": "KEYCODE_HOME", "Menu": "KEYCODE_MENU", "Enter": "KEYCODE_ENTER"}
_PERCENT = re.compile(r"(?<=%)(?=s)")


class AndroidEnv(GymnasiumAdapter):
    """One device.

    Text is typed with ``input text``, which takes ASCII only. If the keyboard in use is ADBKeyboard, any text can be
    typed.

    A device's state can't be saved: ``snapshot`` holds the answers and the number of steps, and ``restore`` continues
    with the device as it is (``restores`` is False). An action may be interrupted after the device has carried it out,
    while :meth:`act` waits for the screen to settle; then only the screen tells whether it was carried out.
    """

    restores = False

    def __init__(
        self,
        serial: str | None = None,
        *,
        goal: str = "",
        rules: tuple[str, ...] = (),
        check: Callable[[AndroidEnv], bool] | None = None,
        prepare: Callable[[int | None], None] | None = None,
        apps: Mapping[str, str] | None = None,
        settle: float = 1.0,
        timeout: float = 30.0,
        max_steps: int = 30,
        render_mode: str | None = None,
    ) -> None:
        """Connects to the device.

        Args:
            serial: The device. See :class:`AdbDevice`.
            goal: The goal of the task.
            rules: The rules that the agent must keep.
            check: Judges a run: given the environment, whether the task is solved. None: runs are not judged.
            prepare: Brings the device into its initial state at every reset, given the seed, for example by loading a
                snapshot or clearing an app. The home button is pressed afterwards.
            apps: Packages by a name of your own, for ``open`` and for the app in the foreground.
            settle: The seconds to wait after an action.
            timeout: The time that one command of adb may take, in seconds.
            max_steps: The step budget.
            render_mode: Gymnasium's render mode.

        Raises:
            ConfigError: adbutils is not installed.
            EnvError: The device can't be used. Every method raises it if the device disconnects later, and its subclass
                ``EnvTimeout`` if the device does not answer in time.
        """
        self.device = AdbDevice(serial, timeout=timeout)
        self.goal, self.rules, self.check, self.prepare = goal, rules, check, prepare
        self.apps, self.settle, self.max_steps = dict(apps or {}), settle, max_steps
        self.answers: list[str] = []
        self.steps, self.status = 0, None
        self._declare(*self.device.size, render_mode)
        self.info = self._task(None)

    def _task(self, seed: int | None) -> TaskInfo:
        return TaskInfo(
            name="android" if self.check else "free",
            goal=self.goal,
            rules=self.rules,
            seed=seed or 0,
            optimal_steps=0,  # unknown
            max_steps=self.max_steps,
        )

    def reset_task(self, task: str | None = None, *, seed: int | None = None) -> TaskInfo:
        """Prepares the device and shows its home screen. Raises ``UnknownName`` for any other task."""
        if task is not None and task not in ("android", "free"):
            raise UnknownName.of("task", task, ("android", "free"))
        if self.prepare is not None:
            self.prepare(seed)
        self.answers, self.steps, self.status = [], 0, None
        self.device.shell("input", "keyevent", _KEYS["Home"])
        self._settle()
        self.info = self._task(seed)
        return self.info

    def observe(self) -> Observation:
        """Returns the screen, its elements from the accessibility tree, and the app in the foreground.

        A tree that can't be read gives no elements, and the observation's ``problem`` says why.
        """
        found: tuple[Element, ...] = ()
        problem = ""
        xml, screen, package = self.device.hierarchy(), self.device.screenshot(), self.device.package()
        self.device.size = screen.shape[1], screen.shape[0]  # it may have been turned
        try:
            found = elements(xml, self.device.size)
        except EnvError as error:  # a screen without its elements is better than no screen
            problem = f"the screen is seen without its elements: {error}"
        app = next((n for n, p in self.apps.items() if p == package), package)
        return Observation(screen, found, app, problem=problem)

    def act(self, action: a.Action) -> None:
        """Carries an action out. Raises ``ActionError`` for an impossible one, which changes nothing."""
        if self.status is not None:
            raise ActionError(f"{action.kind!r} after terminate; reset first")
        match action:
            case a.Click(point=point):
                self._input("tap", *self._pixels(point))
            case a.LongPress(point=point, seconds=seconds):
                spot = self._pixels(point)
                self._input("swipe", *spot, *spot, str(max(int(seconds * 1000), 600)))
            case a.Swipe(point=point, to=to):
                self._input("swipe", *self._pixels(point), *self._pixels(to), "300")
            case a.Type(text=text):
                self._type(text)
            case a.SystemButton(button=button):
                self._input("keyevent", _KEYS[button])
            case a.Open(app=name):
                self._open(name)
            case a.Wait(seconds=seconds):
                time.sleep(seconds)
            case a.Answer(text=text):
                self.answers.append(text)
            case a.Terminate(status=status):
                self.status = status
        self.steps += 1
        if not isinstance(action, a.Answer | a.Terminate | a.Wait):
            self._settle()

    def success(self) -> bool:
        """Whether the check holds now. False without a check, and after the agent declared a failure."""
        return self.check is not None and self.status != "failure" and bool(self.check(self))

    def snapshot(self) -> dict[str, Any]:
        """Returns the part of the state that can be saved, as the class describes."""
        return {
            "serial": self.device.serial,
            "goal": self.goal,
            "rules": list(self.rules),
            "seed": self.info.seed,
            "answers": list(self.answers),
            "status": self.status,
            "steps": self.steps,
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Restores the answers and the number of steps. The device stays as it is."""
        self.goal, self.rules = snapshot["goal"], tuple(snapshot["rules"])
        self.info = self._task(snapshot["seed"])
        self.answers, self.status, self.steps = list(snapshot["answers"]), snapshot["status"], snapshot["steps"]

    def _seen(self) -> dict[str, Any]:
        seen, space = super()._seen(), self.observation_space["screen"]  # type: ignore[index]
        height, width = seen["screen"].shape[:2]
        if space.shape != seen["screen"].shape:
            raise EnvError(f"the screen was turned to {width}×{height} pixels; turn it back and lock its rotation")
        return seen

    def _settle(self) -> None:
        if self.settle:
            time.sleep(self.settle)

    def _pixels(self, point: tuple[float, float]) -> tuple[str, str]:
        """The pixel at a normalised point."""
        width, height = self.device.size
        return str(int(point[0] * width)), str(int(point[1] * height))

    def _input(self, *words: str) -> None:
        self.device.shell("input", *words)

    def _type(self, text: str) -> None:
        if not text:
            raise ActionError("type needs a text, not ''; give at least one character")
        strange = next((c for c in text if not " " <= c <= "~"), None)
        if strange is None:
            for part in _PERCENT.split(text):  # "%s" stands for a blank, so these two characters are typed one by one
                self._input("text", part.replace(" ", "%s"))
        elif self.device.types_anything():
            message = base64.b64encode(text.encode()).decode()
            self.device.shell("am", "broadcast", "-a", "ADB_INPUT_B64", "--es", "msg", message)
        else:
            raise ActionError(
                f"adb can't type {strange!r} of {text!r}: it takes printable ASCII only; install ADBKeyboard and "
                "choose it with 'adb shell ime set com.android.adbkeyboard/.AdbIME'"
            )

    def _open(self, name: str) -> None:
        wanted = name.strip().lower()
        package = self.apps.get(name) or self.apps.get(wanted)
        if package is None:
            installed = self.device.packages()
            last = {p.rsplit(".", 1)[-1].lower(): p for p in sorted(installed, reverse=True)}
            package = wanted if wanted in installed else last.get(wanted.replace(" ", ""))
            if package is None:
                raise ActionError(str(UnknownName.of("app", name, {*self.apps, *last})))
        if not self.device.start(package):
            raise ActionError(f"app {name!r} ({package}) has no activity to show; open another app")


def task_names() -> tuple[str, ...]:
    """Returns the task names: ``android`` for the task that the user's check judges, ``free`` for other runs."""
    return ("android", "free")


def task_kind(name: str) -> str:
    """Returns the kind that tables group a task by.

    Args:
        name: The task's name.

    Returns:
        The same name.
    """
    return name
