"""A task on the phone simulator, solved with nothing but the stock adb client.

    python examples/solve_over_adb.py

The script reads the goal, finds labels in what ``uiautomator dump`` tells of the screen, and taps and types through
``input``: it would do the same on a real device. It is a script for one kind of task, not a model: it shows that the
simulator is a device for any adb-based tool.
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
    """The adb binary on one device."""

    def __init__(self, address: str) -> None:
        self.address = address
        subprocess.run(["adb", "connect", address], check=True, capture_output=True, timeout=60)

    def run(self, *words: str) -> bytes:
        """What a command of adb writes."""
        return subprocess.run(["adb", "-s", self.address, *words], check=True, capture_output=True, timeout=60).stdout

    def shell(self, line: str) -> str:
        """What a line of the device's shell writes."""
        return self.run("shell", line).decode()

    def tap(self, label: str) -> None:
        """Touch the middle of what can be touched and bears the label."""
        xml = self.shell("uiautomator dump /dev/tty").rpartition("UI hierchary")[0]
        for node in ElementTree.fromstring(xml).iter("node"):
            if node.get("clickable") == "true" and label in (node.get("text"), node.get("content-desc")):
                left, top, right, bottom = map(int, re.findall(r"\d+", node.get("bounds", "")))
                self.shell(f"input tap {(left + right) // 2} {(top + bottom) // 2}")
                return
        raise LookupError(f"nothing to touch is called {label!r}")

    def fill(self, field: str, text: str) -> None:
        """Put the text into the field."""
        self.tap(field)
        self.shell(f"input text {shlex.quote(text.replace(' ', '%s'))}")


def add_note(phone: Phone, goal: str) -> None:
    """Do what a goal of the kind ``create a note titled A saying B`` asks for."""
    found = GOAL.search(goal)
    if found is None:
        raise LookupError(f"can't read {goal!r}")
    phone.shell("am start -n org.homeostat.notes/.MainActivity")
    phone.tap("new")
    phone.fill("title", found[1])
    phone.fill("text", found[2])
    phone.tap("save")


def main() -> None:
    """Serve a phone with a task, do the task over adb, and look whether its check holds."""
    env = PhoneEnv(adverts=0)
    task = env.reset_task("notes_add", seed=1)
    print(f"goal: {task.goal}")
    with PhoneDaemon(env) as daemon:
        phone = Phone(daemon.address)
        add_note(phone, task.goal)
        png = phone.run("exec-out", "screencap -p")
        print(
            f"the screen is a PNG of {len(png)} bytes; in front: {phone.shell('dumpsys window | grep mCurrentFocus')}"
        )
        subprocess.run(["adb", "disconnect", daemon.address], check=True, capture_output=True, timeout=60)
    print("the task's check holds" if env.success() else "the task's check does not hold")


if __name__ == "__main__":
    main()
