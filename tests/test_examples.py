"""The examples run as they stand."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SAYS = {
    "solve_a_task.py": "success: True, after 8 steps",
    "watch_any_model.py": "data ",
    "solve_over_adb.py": "the task's check holds",
}
NEEDS = {"solve_over_adb.py": "adb"}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda p: p.name)
def test_the_example_runs(path):
    program = NEEDS.get(path.name)
    if program is not None and shutil.which(program) is None:
        pytest.skip(f"no {program} on this machine")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        private = {**os.environ, "ANDROID_ADB_SERVER_PORT": str(probe.getsockname()[1])}
    command = [sys.executable, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=private)
    if program == "adb":
        subprocess.run(["adb", "kill-server"], capture_output=True, timeout=60, check=False, env=private)
    assert done.returncode == 0, done.stderr
    assert SAYS[path.name] in done.stdout
