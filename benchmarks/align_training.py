"""One training of ``align_table.py``, in a process of its own, with its processor time and its peak memory."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from homeostat.alignment.sail.config import AlignSettings
from homeostat.alignment.sail.run import align

_PERIOD = 1.0  # seconds


def trained(settings: AlignSettings, script: str) -> dict[str, Any]:
    """Trains in a process of its own, once.

    Args:
        settings: The settings of the training.
        script: The file to run, which passes ``--one FILE`` on to :func:`train_here`.

    Returns:
        What the training cost and what came of it.
    """
    file = settings.out / "training.json"
    if not file.is_file():
        settings.out.mkdir(parents=True, exist_ok=True)
        asked = settings.out / "asked.json"
        asked.write_text(settings.model_dump_json())
        log = settings.out / "training.log"
        with log.open("w") as told:
            done = subprocess.run(
                [sys.executable, script, "--one", str(asked)], stdout=told, stderr=subprocess.STDOUT, check=False
            )
        if done.returncode:
            raise SystemExit(f"{log.read_text()[-2000:]}\nthe training failed; the whole output is in {str(log)!r}")
    return dict(json.loads(file.read_text()))


def train_here(settings: AlignSettings) -> None:
    """Trains in this process, and writes ``training.json``. A training that was killed goes on.

    Args:
        settings: The settings of the training.
    """
    import peft  # noqa: F401 - the libraries of the training belong to what is held before the model is loaded
    import transformers  # noqa: F401

    spent = Spent(settings.out / "spent.json")
    held = memory("VmRSS")
    watch = threading.Thread(target=spent.watch, daemon=True)
    watch.start()
    result = align(settings)
    told = {
        "seed": settings.seed,
        "path": result.path,
        "layers": result.layers,
        "parameters": result.parameters,
        "loss": result.loss,
        "held_mib": held,
        **spent.now(),
    }
    spent.ended.set()
    watch.join()
    write_whole(settings.out / "training.json", told)


class Spent:
    """The processor time and the peak memory of a training, over all processes that it takes.

    Attributes:
        ended: Set it to end :meth:`watch`.
    """

    def __init__(self, file: Path) -> None:
        self._file, self._begun, self.ended = file, time.process_time(), threading.Event()
        self._before = json.loads(file.read_text()) if file.is_file() else {"cpu_seconds": 0, "peak_mib": 0, "parts": 0}

    def now(self) -> dict[str, float]:
        """The figures so far: ``cpu_seconds``, ``peak_mib``, ``parts``."""
        return {
            "cpu_seconds": self._before["cpu_seconds"] + time.process_time() - self._begun,
            "peak_mib": max(self._before["peak_mib"], memory("VmHWM")),
            "parts": self._before["parts"] + 1,
        }

    def watch(self) -> None:
        """Keeps the figures in the file, so that a kill loses none."""
        while not self.ended.wait(_PERIOD):
            write_whole(self._file, self.now())


def memory(field: str) -> float:
    """Returns MiB from /proc/self/status: VmRSS is the present memory, VmHWM the peak."""
    return int(Path("/proc/self/status").read_text().partition(f"{field}:")[2].split()[0]) / 1024


def write_whole(file: Path, told: Any) -> None:
    """Writes a JSON file whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(told, indent=1) + "\n")
    part.replace(file)
