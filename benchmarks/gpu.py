"""Runs on a GPU what was measured on CPUs so far: the probe, steering, batched answers and SAIL. At most ten minutes.

    python benchmarks/gpu.py --json gpu.json
    python benchmarks/gpu.py --device cpu --tiny --json gpu.json     # the same code with a small model, without a GPU

All weights are random and in bfloat16. One model has the shape of Qwen2.5-7B (28 layers, hidden size 3584, 28 heads on
4 key heads, vocabulary 152,064), another that of Gemma-7B (28 layers, hidden size 3072, 16 heads of size 256). A GPU
needs 48 GB for them.

JSON:

- ``probe``, by prompt length: the time of prefill and of decoding with the probe on all layers, as ratios to SDPA alone
  (medians of paired rounds; bar at 8,192 tokens: ≤ 1.05), and the ratio of the peaks of allocated memory.
- ``steer``: the same for a gain and for a target mass, with heads of size 256, against SDPA and against the probe.
- ``exact``: the largest difference between span masses of the probe and of eager attention, and how far a steered
  mass is from its target (in bfloat16, so about 1e-2).
- ``batch_speedup``: answered tokens a second with ``answer_rows`` for 8 prompts at a time, over one prompt at a time,
  with the probe on.
- ``sail``: pairs a second of the fast path over TRL's ``DPOTrainer`` (``speedup``), and the ratio of their memory peaks
  beyond the model's own weights (``memory_ratio``). The upper third of the layers is adapted.
- ``seconds`` of each part, ``device``, ``torch``. Memory is left out (null) on a CPU.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import align_speed
import probe_overhead
import torch
from transformers import GemmaConfig, GemmaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from homeostat.agent.models.generation import GenerationCall
from homeostat.agent.models.rows import Row
from homeostat.agent.models.side_by_side import answer_rows
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.nano.processor import build_processor
from homeostat.sensors import Actuator, watch
from homeostat.sensors.chat.messages import Message, Part, Prompt

QWEN = {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28}
GEMMA = {"hidden_size": 3072, "intermediate_size": 24576, "num_hidden_layers": 28, "num_attention_heads": 16}
TINY = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4}


def qwen(device: str, tiny: bool) -> Any:
    """Builds the model of Qwen2.5-7B's shape, on its device and in bfloat16 from the start."""
    vocabulary = 8192 if tiny else 152_064
    shape = {**(TINY if tiny else QWEN), "num_key_value_heads": 2 if tiny else 4, "vocab_size": vocabulary}
    return _built(Qwen2ForCausalLM, Qwen2Config(**shape, max_position_embeddings=65_536), device)


def gemma(device: str, tiny: bool) -> Any:
    """Builds the model of Gemma-7B's shape, whose heads have size 256."""
    shape = {**(TINY if tiny else GEMMA), "num_key_value_heads": 4 if tiny else 16, "head_dim": 256}
    return _built(GemmaForCausalLM, GemmaConfig(**shape, vocab_size=2048, max_position_embeddings=65_536), device)


def _built(kind: Any, config: Any, device: str) -> Any:
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            return kind(config).eval()
    finally:
        torch.set_default_dtype(before)


class Peak:
    """The peak of allocated memory on a GPU; None on a CPU."""

    def __init__(self, device: str) -> None:
        self.cuda = device != "cpu"
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()

    def mib(self) -> float | None:
        return torch.cuda.max_memory_allocated() / 2**20 if self.cuda else None


def ratio(ours: float | None, theirs: float | None) -> float | None:
    return None if ours is None or theirs is None else ours / theirs


def free(device: str) -> None:
    gc.collect()
    if device != "cpu":
        torch.cuda.empty_cache()


def compare(model: Any, variants: tuple[str, ...], length: int, tokens: int, rounds: int) -> dict[str, Any]:
    """Runs variants of ``probe_overhead.py`` in turn, and divides by SDPA alone in the same round."""
    times: dict[str, list[dict[str, float]]] = {name: [] for name in ("sdpa", *variants)}
    peaks: dict[str, float | None] = {}
    for number in range(rounds + 1):
        for name, runs in times.items():
            peak = Peak(model.device.type)
            runs.append(probe_overhead.attempt(model, name, length, tokens))
            peaks[name] = peak.mib()
            if number == 0:
                runs.clear()  # the first round compiles and fills caches
    found: dict[str, Any] = {}
    for name in variants:
        pairs = list(zip(times[name], times["sdpa"], strict=True))
        found[name] = {
            f"{part}_ratio": statistics.median(a[part] / b[part] for a, b in pairs) for part in ("prefill", "decode")
        } | {"memory_ratio": ratio(peaks[name], peaks["sdpa"])}
    found["sdpa"] = {part: statistics.median(t[part] for t in times["sdpa"]) for part in ("prefill", "decode")}
    return found


@torch.inference_mode()
def exactness(model: Any, length: int) -> dict[str, float]:
    """Compares the probe with eager attention at the last row, and a steered mass with its target."""
    ids = torch.randint(0, 1024, (1, length), generator=torch.Generator().manual_seed(1)).to(model.device)
    spans = probe_overhead.prompt_spans(length)
    step = length // len(probe_overhead.LABELS)
    model.set_attn_implementation("sdpa")
    masses = []
    for steer in ((), (Actuator("goal", target=0.5),)):
        with watch(model) as probe:
            probe.start(spans, steer=steer)
            model(ids, logits_to_keep=1, use_cache=True)
            masses.append(probe.result())
    model.set_attn_implementation("eager")
    maps = model(ids, logits_to_keep=1, output_attentions=True).attentions
    model.set_attn_implementation("sdpa")
    wanted = torch.stack([one[0, :, -1].float() for one in maps])  # (layers, heads, keys)
    apart = 0.0
    for n, label in enumerate(probe_overhead.LABELS):
        whole = wanted[..., n * step : (n + 1) * step].sum(-1).cpu()
        apart = max(apart, float((torch.from_numpy(masses[0].of(label)[-1]) - whole).abs().max()))
    return {"probe": apart, "target": float(abs(masses[1].of("goal")[-1] - 0.5).max())}


def rollouts(white: TransformersModel, count: int, words: int, tokens: int) -> dict[str, float]:
    """Answers prompts one at a time and side by side; returns tokens a second."""
    prompts = [
        Prompt(
            (
                Message("system", (Part("system", "you control a phone. "), Part("rules", "never delete anything"))),
                Message("user", (Part("goal", f"open note {n}"), Part("screen", " list of notes" * words))),
            )
        )
        for n in range(count)
    ]
    call = GenerationCall(max_new_tokens=tokens)
    rows = [Row(prompt, call) for prompt in prompts]
    answer_rows(white, rows)  # warms up
    found = {}
    for name, groups in (("one_by_one", [[row] for row in rows]), ("side_by_side", [rows])):
        begun = probe_overhead.now(white.model.device.type)
        answers = [attempt for group in groups for (attempt,) in answer_rows(white, group)]
        seconds = probe_overhead.now(white.model.device.type) - begun
        assert all(a.spans is not None for a in answers)
        found[name] = sum(len(a.tokens) for a in answers) / seconds
    return found | {"batch_speedup": found["side_by_side"] / found["one_by_one"]}


def sail(white: TransformersModel, count: int, batch: int) -> dict[str, Any]:
    """Trains on the same pairs with the fast path and with TRL."""
    device, layers = white.model.device.type, white.model.config.num_hidden_layers
    focal = list(range(layers - max(1, layers // 3), layers))
    r, r_all = align_speed.ranks(len(focal), layers)
    pairs = align_speed.pairs_for("0.5b", count)
    held = Peak(device).mib()
    runs: dict[str, dict[str, Any]] = {}
    for name in ("fast", "trl"):
        with tempfile.TemporaryDirectory() as folder:
            common, peak, begun = align_speed.options(folder, batch, device), Peak(device), time.monotonic()
            if name == "fast":
                trainer, _ = align_speed.with_fast_path(white, pairs, common, r, focal)
            else:
                trainer, _ = align_speed.with_trl(white, pairs, common, r_all)
            seconds, most = time.monotonic() - begun, peak.mib()
        beyond = None if most is None or held is None else most - held
        loss = trainer.state.log_history[-1]["train_loss"]
        runs[name] = {"pairs_per_second": len(pairs) / seconds, "peak_mib": beyond, "loss": loss}
        white.model = trainer.model.unload()
        free(device)
    speedup = runs["fast"]["pairs_per_second"] / runs["trl"]["pairs_per_second"]
    memory = ratio(runs["fast"]["peak_mib"], runs["trl"]["peak_mib"])
    return runs | {"focal": focal, "speedup": speedup, "memory_ratio": memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="The device: cuda, or cpu with --tiny.")
    parser.add_argument("--tiny", action="store_true", help="Use small models and short prompts.")
    parser.add_argument("--rounds", type=int, default=3, help="How many rounds of probe and steering are timed.")
    parser.add_argument("--json", type=Path, help="Write the figures to this JSON file.")
    args = parser.parse_args()
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("no CUDA device is available; run this on a machine with a GPU, or give --device cpu --tiny")
    if args.device == "cpu" and not args.tiny:
        sys.exit("models with 7 billion parameters take hours on a CPU; add --tiny")
    warnings.simplefilter("ignore")  # trainers warn of many things that do not concern this script
    tiny, device = args.tiny, args.device
    lengths, tokens = ((256, 512), 4) if tiny else ((8192, 32_768), 32)
    name = "cpu" if device == "cpu" else torch.cuda.get_device_name(device)
    figures: dict[str, Any] = {"device": name, "torch": torch.__version__, "tiny": tiny, "seconds": {}}

    def part(what: str, value: Any, begun: float) -> None:
        figures[what] = value
        figures["seconds"][what] = time.monotonic() - begun
        print(what, json.dumps(value, indent=1), flush=True)

    begun = time.monotonic()
    network = qwen(device, tiny)
    part("probe", {str(n): compare(network, ("all",), n, tokens, args.rounds) for n in lengths}, begun)
    begun = time.monotonic()
    white = TransformersModel(network, build_processor().tokenizer, name="random", reuse=False)
    part("rollouts", rollouts(white, 8, 16 if tiny else 400, 8 if tiny else 64), begun)
    figures["batch_speedup"] = figures["rollouts"]["batch_speedup"]
    begun = time.monotonic()
    part("sail", sail(white, 8 if tiny else 64, 4 if tiny else 8), begun)
    del network, white
    free(device)
    begun = time.monotonic()
    network = gemma(device, tiny)
    part("steer", compare(network, ("all", "steered", "moved"), lengths[0], tokens, args.rounds), begun)
    begun = time.monotonic()
    part("exact", exactness(network, 250 if tiny else 1000), begun)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
