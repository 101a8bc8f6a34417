"""The guard of an engine ends its processes when the process that started them is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="the test reads /proc")
CODE = """
import multiprocessing, time
from homeostat.agent.vllm.guard import Guard, children
if __name__ == "__main__":
    before = children()
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(300,))
    child.start()
    guard = Guard(children() - before)
    print(child.pid, flush=True)
    time.sleep(300)
"""


def test_a_killed_process_takes_the_guarded_ones_with_it() -> None:
    parent = subprocess.Popen([sys.executable, "-c", CODE], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    os.kill(child, 0)
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            with open(f"/proc/{child}/stat") as stat:
                if stat.read().rpartition(")")[2].split()[0] == "Z":  # ended, and nobody has asked for its status
                    return
        except (FileNotFoundError, ProcessLookupError):
            return
        time.sleep(0.1)
    raise AssertionError(f"process {child} is still there")
