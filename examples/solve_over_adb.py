"""A task on the phone simulator, solved with nothing but the stock adb client.

    python examples/solve_over_adb.py

The script reads the screen with ``uiautomator dump``, finds labels in it, and taps and types through ``input``: it
would do the same on a real device. It is a script, not a model: it shows that the simulator is a device for any
adb-based tool.
"""

from __future__ import annotations

import re
import subprocess
from xml.etree import ElementTree

from homeostat.envs.adb import PhoneDaemon
from homeostat.envs.phone import PhoneEnv


class Client:
    """The adb binary on one device."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.run("connect", address)

    def run(self, *words: str) -> bytes:
        """One call of the binary; what it writes."""
        return subprocess.run(["adb", *words], check=True, capture_output=True, timeout=30).stdout

    def shell(self, line: str) -> str:
        """A line of the device's shell."""
        return self.run("-s", self.address, "shell", line).decode()

    def tap(self, label: str) -> None:
        """Touch the node whose text or description is the label."""
        xml = self.shell("uiautomator dump /dev/tty").rsplit("UI hierchary", 1)[0]
        for node in ElementTree.fromstring(xml).iter("node"):
            shown = (node.get("text"), node.get("content-desc"))
            if label in shown and not node.get("resource-id", "").endswith(":id/title"):
                left, top, right, bottom = map(int, re.findall(r"\d+", node.get("bounds", "")))
                self.shell(f"input tap {(left + right) // 2} {(top + bottom) // 2}")
                return
        raise LookupError(f"no {label!r} on the screen")

    def type(self, text: str) -> None:
        """Text into the field that has the focus."""
        self.shell(f"input text '{text.replace(' ', '%s')}'")


def main() -> None:
    """Serve a phone with a task, and solve it from outside."""
    env = PhoneEnv(adverts=0)
    task = env.reset_task("notes_add", seed=1)
    title, text = env.instance.slots["title"], env.instance.slots["text"]
    print(f"goal: {task.goal}")
    with PhoneDaemon(env) as daemon:
        phone = Client(daemon.address)
        phone.shell("am start -n org.homeostat.notes/.MainActivity")
        phone.tap("new")
        phone.tap("title")
        phone.type(title)
        phone.tap("text")
        phone.type(text)
        phone.tap("save")
        png = phone.run("-s", daemon.address, "exec-out", "screencap -p")
        front = phone.shell("dumpsys window | grep mCurrentFocus").strip()
        print(f"the screen is a PNG of {len(png)} bytes; {front}")
        phone.run("disconnect", daemon.address)
    print("the task's check holds" if env.success() else "the task's check does not hold")


if __name__ == "__main__":
    main()
