"""A small version of benchmarks/fuzz.py: hostile model outputs and damaged files give their documented errors."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).resolve().parent.parent / "benchmarks" / "fuzz.py"


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_model_outputs_give_actions_or_typed_errors(fuzz: ModuleType) -> None:
    for reader in fuzz.fuzz_outputs(250):
        assert reader.tries >= 250
        assert reader.untyped == 0, reader.faults


def test_damaged_files_give_typed_errors(fuzz: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    readers = fuzz.fuzz_files(300)
    assert {"trace.jsonl", "checkpoint.sqlite", "suite.yaml", "adapter_config.json"} <= {r.name for r in readers}
    for reader in readers:
        assert reader.refused > 0
        assert reader.untyped == 0, reader.faults


def test_a_fault_is_counted(fuzz: ModuleType) -> None:
    """The counter itself: an undocumented error, a long message and two lines are faults; a documented one is not."""

    def read(what: str) -> None:
        raise {"typed": ValueError("x"), "long": ValueError("x" * 301), "lines": ValueError("a\nb")}.get(
            what, KeyError(1)
        )

    reader = fuzz.Reader("r", read, (ValueError,), 300)
    for what in ("typed", "long", "lines", "other"):
        reader(what)
    assert (reader.tries, reader.untyped, reader.refused) == (4, 3, 3)
