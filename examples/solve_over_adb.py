"""Solves a task on the simulated phone with the stock adb client alone.

    python examples/solve_over_adb.py

The script reads the goal, finds the labels on the screen in the output of ``uiautomator dump``, and taps and types with
``input``, as it would on a real device. It contains no model and can do one kind of task only. It shows that any tool
based on adb can use the simulator as a device. It needs the program ``adb``.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from xml.etree import ElementTree

from homeostat.envs.adb import PhoneDaemon
from homeostat.envs.phone import PhoneEnv

GOAL = re.compile(r"note(?: titled| called|: title)? (.+?),?(?: that says| saying| with the text| text) (.+)")


class Phone:
    """A device that is driven with the adb binary."""

    def __init__(self, address: str) -> None:
        self.address = address
        subprocess.run(["adb", "connect", address], check=True, capture_output=True, timeout=60)

    def run(self, *words: str) -> bytes:
        """Runs an adb command and returns its output."""
        return subprocess.run(["adb", "-s", self.address, *words], check=True, capture_output=True, timeout=60).stdout

    def shell(self, line: str) -> str:
        """Runs a line in the device's shell and returns its output."""
        return self.run("shell", line).decode()

    def tap(self, label: str) -> None:
        """Taps the middle of the clickable element with this label."""
        xml = self.shell("uiautomator dump /dev/tty").rpartition("UI hierchary")[0]
        for node in ElementTree.fromstring(xml).iter("node"):
            if node.get("clickable") == "true" and label in (node.get("text"), node.get("content-desc")):
                left, top, right, bottom = map(int, re.findall(r"\d+", node.get("bounds", "")))
                self.shell(f"input tap {(left + right) // 2} {(top + bottom) // 2}")
                return
        raise LookupError(f"no clickable element on the screen has the label {label!r}")

    def fill(self, field: str, text: str) -> None:
        """Taps the field and types the text into it."""
        self.tap(field)
        self.shell(f"input text {shlex.quote(text.replace(' ', '%s'))}")


def add_note(phone: Phone, goal: str) -> None:
    """Carries out a goal like ``create a note titled A saying B``."""
    found = GOAL.search(goal)
    if found is None:
        raise LookupError(f"goal {goal!r} is not about a new note with a title and a text")
    phone.shell("am start -n org.homeostat.notes/.MainActivity")
    phone.tap("new")
    phone.fill("title", found[1])
    phone.fill("text", found[2])
    phone.tap("save")


def main() -> None:
    """Serves a phone with a task, solves the task over adb, and evaluates its success check."""
    env = PhoneEnv(adverts=0)
    task = env.reset_task("notes_add", seed=1)
    print(f"goal: {task.goal}")
    with PhoneDaemon(env) as daemon:
        phone = Phone(daemon.address)
        add_note(phone, task.goal)
        png = phone.run("exec-out", "screencap -p")
        focus = phone.shell("dumpsys window | grep mCurrentFocus").strip()
        print(f"screenshot: a PNG of {len(png)} bytes; in front: {focus}")
        subprocess.run(["adb", "disconnect", daemon.address], check=True, capture_output=True, timeout=60)
    print("the task's check holds" if env.success() else "the task's check does not hold")


if __name__ == "__main__":
    main()
