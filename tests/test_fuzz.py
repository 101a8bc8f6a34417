"""A small version of benchmarks/fuzz.py: hostile model outputs and damaged files give their documented errors."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture(scope="module", autouse=True)
def benchmarks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)  # the benchmarks import each other as the scripts that they are
        yield


@pytest.fixture(scope="module")
def outputs(benchmarks: None) -> ModuleType:
    return importlib.import_module("fuzzed_outputs")


@pytest.fixture(scope="module")
def files(benchmarks: None) -> ModuleType:
    return importlib.import_module("fuzzed_files")


def test_model_outputs_give_actions_or_typed_errors(outputs: ModuleType) -> None:
    for reader in outputs.fuzz_outputs(250):
        assert reader.tries >= 250
        assert reader.untyped == 0, reader.faults


def test_damaged_files_give_typed_errors(files: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    readers = files.fuzz_files(300)
    assert {"trace.jsonl", "checkpoint.sqlite", "suite.yaml", "adapter_config.json"} <= {r.name for r in readers}
    for reader in readers:
        assert reader.refused > 0
        assert reader.untyped == 0, reader.faults


def test_a_fault_is_counted(outputs: ModuleType) -> None:
    """The counter itself: an undocumented error, a long message and two lines are faults; a documented one is not."""

    def read(what: str) -> None:
        raise {"typed": ValueError("x"), "long": ValueError("x" * 301), "lines": ValueError("a\nb")}.get(
            what, KeyError(1)
        )

    reader = outputs.Reader("r", read, (ValueError,), 300)
    for what in ("typed", "long", "lines", "other"):
        reader(what)
    assert (reader.tries, reader.untyped, reader.refused) == (4, 3, 3)
