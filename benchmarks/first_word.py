"""How long the screen stays blank: the time until each command that loads a model prints its first character.

Run it with::

    python benchmarks/first_word.py [--model FOLDER] [COMMAND ...]

Each command runs in a process of its own, in an empty folder, and is ended once it has printed something. The processor
time is that of the process until then, which other work on the machine does not change; the wall-clock time is printed
beside it. Commands that need the output of another one (``fit-probe``) get a small file that is written here.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MAIN = "from homeostat.cli.root import main; main()"
TICK = os.sysconf("SC_CLK_TCK")
PAIR = {
    "prompt": [{"role": "user", "content": "Say yes."}],
    "chosen": [{"role": "assistant", "content": "Yes."}],
    "rejected": [{"role": "assistant", "content": "No."}],
}
LOCALIZATION = {
    "model": "m",
    "twins": 1,
    "higher": ["system"],
    **{name: [[0.0]] for name in ("magnitude", "direction", "distribution", "score")},
    "heads": [[0, 0]],
    "layers": [0],
}


def commands(model: str, text: str) -> dict[str, list[str]]:
    """The arguments of every command that loads a model: ``model`` sees screens, ``text`` chats."""
    return {
        "run": ["run", "--task", "notes_add", "--model", model, "--max-steps", "1", "--plain"],
        "chat": ["chat", "--model", text],
        "eval": ["eval", "--suite", "atomic", "--episodes", "1", "--model", model],
        "calibrate": ["calibrate", "--model", model, "--episodes", "20", "--held-out", "0"],
        "profile": ["profile", "--model", model, "--prompts", "6"],
        "diagnose": ["diagnose", "--model", model, "--count", "2"],
        "localize": ["localize", "--model", model, "--count", "2"],
        "fit-probe": ["fit-probe", "--model", text, "--heads", "localization.json"],
        "align": ["align", "--model", text, "--layers", "all", "--weights", "uniform", "--data", "pairs.jsonl"],
        "ground": ["ground", "--model", model, "--steps", "1"],
        "mine": ["mine", "--model", model, "--traces", "traces"],
        "serve": ["serve", "--model", text, "--port", "0"],
        "clone": ["clone", "--minutes", "1"],
        "clone --model": ["clone", "--model", text, "--episodes", "1"],
    }


def processor_seconds(pid: int) -> float:
    """The processor time that a running process has used so far, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def first_word(arguments: list[str], folder: Path, limit: float = 100.0) -> tuple[float, float, str]:
    """Runs a command until it prints; its processor seconds, its wall-clock seconds, and the line it printed."""
    (folder / "localization.json").write_text(json.dumps(LOCALIZATION))
    (folder / "pairs.jsonl").write_text(json.dumps(PAIR) + "\n")
    (folder / "traces").mkdir(exist_ok=True)
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.PIPE,
        cwd=folder,
        start_new_session=True,
    )
    assert process.stdout is not None
    ready = select.select([process.stdout], [], [], limit)[0]
    taken, used = time.monotonic() - begun, processor_seconds(process.pid)
    line = os.read(process.stdout.fileno(), 4096).decode(errors="replace").strip() if ready else "(nothing)"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return used, taken, line.splitlines()[0][:100] if line else "(an empty line, for a bar)"


def main() -> None:
    """Measures the chosen commands, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="homeostat/nano", help="the model that sees screens")
    parser.add_argument("--text", required=True, help="a folder with a text model")
    parser.add_argument("command", nargs="*", help="default: all")
    given = parser.parse_args()
    print(f"{'command':14} {'CPU s':>7} {'wall s':>7}  first line")
    for name, arguments in commands(given.model, given.text).items():
        if given.command and name not in given.command:
            continue
        with tempfile.TemporaryDirectory() as folder:
            used, taken, line = first_word(arguments, Path(folder))
        print(f"{name:14} {used:7.1f} {taken:7.1f}  {line}", flush=True)


if __name__ == "__main__":
    main()
