"""The benchmarks of the probe's and of steering's price, run small: each compares what it names and writes its keys."""

import json
import runpy
import sys
from pathlib import Path
from typing import get_args

import pytest
import torch

from homeostat.sensors.attempts import Statistic

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model, as real weights lie in one."""
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=1000,
        eos_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def run(monkeypatch: pytest.MonkeyPatch, script: str, model: Path, out: Path, *options: str) -> dict[str, object]:
    given = ["--model", str(model), "--tokens", "3", "--rounds", "2", "--json", str(out), *options]
    monkeypatch.setattr(sys, "argv", [script, *given])
    monkeypatch.syspath_prepend(FOLDER)
    threads = torch.get_num_threads()
    try:
        runpy.run_path(str(FOLDER / script), run_name="__main__")
    finally:
        torch.set_num_threads(threads)
    found: dict[str, object] = json.loads(out.read_text())
    return found


def test_steering(monkeypatch: pytest.MonkeyPatch, model: Path, tmp_path: Path) -> None:
    found = run(monkeypatch, "steer_price.py", model, tmp_path / "out.json", "--prompt", "256")
    assert isinstance(found["time"], dict)
    assert set(found["time"]) == {"sdpa", "probe"} | {f"{kind} {n}" for kind in ("gain", "target") for n in (16, 64)}
    for kind in ("gain", "target"):
        ratios = [one["ratio"] for name, one in found["time"].items() if name.startswith(kind)]
        assert found[f"steer_{kind}_ratio"] == max(ratios)
    assert found["time"]["sdpa"]["ratio"] == found["time"]["sdpa"]["prefill_ratio"] == 1


def test_probe(monkeypatch: pytest.MonkeyPatch, model: Path, tmp_path: Path) -> None:
    options = ["--prompts", "4096", "--batched", "128", "64"]
    found = run(monkeypatch, "probe_price.py", model, tmp_path / "out.json", *options)
    assert isinstance(found["time"], dict)
    assert isinstance(found["time_b8"], dict)
    assert set(found["time"]) == {"4096"}
    assert found["probe_prefill_ratio"] == found["time"]["4096"]["prefill_ratio"]
    assert found["probe_decode_ratio_b8"] == max(one["decode_ratio"] for one in found["time_b8"].values())


def test_readouts(monkeypatch: pytest.MonkeyPatch, model: Path, tmp_path: Path) -> None:
    found = run(monkeypatch, "readout_price.py", model, tmp_path / "out.json", "--prompt", "128")
    assert isinstance(found["time"], dict)
    assert set(get_args(Statistic)) < set(found["time"])  # every statistic has its price
    assert {"keys of one span", "window of 64 keys", "sinks (the default)"} < set(found["time"])
