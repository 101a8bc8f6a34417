"""The benchmark for GPUs, run small on the CPU: every part of it works, and a machine without a GPU is told so."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

FILE = Path(__file__).resolve().parent.parent / "benchmarks" / "gpu.py"


def run(*options: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(FILE), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [n for one in value.values() for n in numbers(one)]
    return [float(value)] if isinstance(value, (int, float)) else []


def test_every_part_runs_small_on_the_cpu(tmp_path: Path) -> None:
    pytest.importorskip("trl")
    done = run("--device", "cpu", "--tiny", "--rounds", "1", "--json", str(tmp_path / "gpu.json"))
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert set(found["seconds"]) == {"probe", "rollouts", "sail", "steer", "exact"}
    assert all(math.isfinite(n) and n >= 0 for n in numbers(found))
    assert found["exact"]["probe"] < 0.02
    assert found["exact"]["target"] < 0.02
    # Both start from the same model, whose loss is log 2.
    assert found["sail"]["fast"]["loss"] == pytest.approx(math.log(2), abs=0.05)
    assert found["sail"]["trl"]["loss"] == pytest.approx(math.log(2), abs=0.05)
    assert found["steer"]["moved"]["prefill_ratio"] > 0
    assert found["batch_speedup"] > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_one_line_says_what_to_do() -> None:
    for options, told in (((), "no CUDA device"), (("--device", "cpu"), "add --tiny")):
        done = run(*options)
        assert done.returncode != 0
        assert told in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert done.stdout == ""
