"""What reading attention costs: SDPA alone, the probe on all layers, on a quarter of them, and eager attention's maps.

    python benchmarks/probe_overhead.py --json probe.json

A randomly initialised Qwen2 of 0.5B shape (hidden 896, 14 heads on 2 key heads, feed-forward 4864; the vocabulary is
cut to 1,024, so that no large output layer hides the cost) reads prompts and writes tokens greedily, in float32, on one
thread.

- Time: CPU time of the process, prefill and decoding apart. Every round runs all variants on the same prompt, in an
  order that rotates; a figure is the median over rounds of the ratio to SDPA *of the same round*.
- Memory: each variant runs in a process of its own on the longest prompt. ``growth`` is the peak of its resident memory
  less what it held with the model loaded; the ratios are those of the growth.

Figures: ``time_ratio_all``, ``time_ratio_focal``, ``time_ratio_eager`` (prefill and decoding together, summed over the
prompts), ``memory_ratio_all``, ``memory_ratio_focal``, ``memory_ratio_eager``; the parts are under ``time`` and
``memory``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

VARIANTS = ("sdpa", "all", "focal", "eager")
LABELS = ("system", "rules", "goal", "plan", "reminder", "history", "screen", "elements", "tool", "user")

# glibc else keeps freed tensors for later, as much as chance will have it: this returns every large one at once.
EXACT_MALLOC = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072", "MALLOC_ARENA_MAX": "1"}


def build(layers: int, longest: int) -> Any:
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    config = Qwen2Config(
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=layers,
        num_attention_heads=14,
        num_key_value_heads=2,
        vocab_size=1024,
        max_position_embeddings=longest,
    )
    return Qwen2ForCausalLM(config).eval()


def prompt_spans(length: int) -> Any:
    """Ten labels that share the prompt evenly, as an agent's prompt might."""
    from homeostat.sensors import Spans

    step = length // len(LABELS)
    return Spans({label: [(i * step, (i + 1) * step)] for i, label in enumerate(LABELS)}, length=length)


def attempt(model: Any, variant: str, length: int, tokens: int) -> dict[str, float]:
    """Seconds of CPU time for one prompt and ``tokens`` tokens."""
    import torch

    from homeostat.sensors import watch

    ids = torch.randint(0, 1024, (1, length), generator=torch.Generator().manual_seed(length))
    count = model.config.num_hidden_layers
    focal = list(range(count // 2, count // 2 + max(1, count // 4)))
    probing = variant in ("all", "focal")
    layers: Any = focal if variant == "focal" else "all"
    model.set_attn_implementation("eager" if variant == "eager" else "sdpa")
    maps = []
    with torch.inference_mode(), watch(model, layers=layers) if probing else nullcontext() as probe:
        begin = time.process_time()
        if probe is not None:
            probe.start(prompt_spans(length))
        out = model(ids, logits_to_keep=1, use_cache=True, output_attentions=variant == "eager")
        maps.append(out.attentions)
        middle = time.process_time()
        for _ in range(tokens):
            step = out.logits[:, -1:].argmax(-1)
            out = model(step, past_key_values=out.past_key_values, output_attentions=variant == "eager")
            maps.append(out.attentions)
        if probe is not None:
            mass = probe.result()
            assert mass.mass.shape[0] == tokens + 1
        end = time.process_time()
    return {"prefill": middle - begin, "decode": end - middle}


def measure_time(options: argparse.Namespace) -> dict[str, Any]:
    model = build(options.layers, max(options.prompts) + options.tokens)
    for variant in VARIANTS:
        attempt(model, variant, 64, 2)
    runs: list[dict[str, dict[int, dict[str, float]]]] = []
    for round_ in range(options.rounds):
        order = VARIANTS[round_ % 4 :] + VARIANTS[: round_ % 4]
        runs.append({v: {n: attempt(model, v, n, options.tokens) for n in options.prompts} for v in order})
        print(f"round {round_ + 1} of {options.rounds}", file=sys.stderr)

    def ratio(variant: str, parts: tuple[str, ...], lengths: list[int]) -> float:
        def seconds(run: dict[str, dict[int, dict[str, float]]], name: str) -> float:
            return sum(run[name][n][part] for n in lengths for part in parts)

        return statistics.median(seconds(run, variant) / seconds(run, "sdpa") for run in runs)

    both = ("prefill", "decode")
    out: dict[str, Any] = {f"time_ratio_{v}": ratio(v, both, options.prompts) for v in VARIANTS[1:]}
    out["time"] = {
        str(n): {
            v: {
                **{f"{p}_ratio": ratio(v, (p,), [n]) for p in both},
                **{f"{p}_seconds": statistics.median(run[v][n][p] for run in runs) for p in both},
            }
            for v in VARIANTS
        }
        for n in options.prompts
    }
    return out


def resident() -> float:
    """Resident memory now, in MB; on systems without /proc, its peak so far."""
    return _status("VmRSS")


def peak() -> float:
    """The peak of resident memory since the program was loaded, in MB.

    Not ``ru_maxrss`` where /proc tells it: that starts at what the parent process held when it forked.
    """
    return _status("VmHWM")


def _status(name: str) -> float:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        scale = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e6
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024 / 1e6


def measure_one_memory(options: argparse.Namespace) -> dict[str, float]:
    length = max(options.prompts)
    model = build(options.layers, length + options.tokens)
    attempt(model, options.memory_of, 64, 2)
    before = resident()
    attempt(model, options.memory_of, length, min(options.tokens, 8))
    return {"loaded_mb": before, "peak_mb": peak(), "growth_mb": peak() - before}


def measure_memory(options: argparse.Namespace) -> dict[str, Any]:
    memory: dict[str, dict[str, float]] = {}
    for variant in VARIANTS:
        command = [sys.executable, __file__, "--memory-of", variant, "--layers", str(options.layers)]
        command += ["--tokens", str(options.tokens), "--prompts", *map(str, options.prompts)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | EXACT_MALLOC)
        memory[variant] = json.loads(done.stdout)
    base = memory["sdpa"]["growth_mb"]
    return {**{f"memory_ratio_{v}": memory[v]["growth_mb"] / base for v in VARIANTS[1:]}, "memory": memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--prompts", type=int, nargs="+", default=[512, 2048], metavar="TOKENS")
    parser.add_argument("--tokens", type=int, default=32, help="tokens to generate for each prompt")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory-of", choices=VARIANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()

    import torch

    torch.set_num_threads(1)
    if options.memory_of:
        print(json.dumps(measure_one_memory(options)))
        return
    figures: dict[str, Any] = {}
    for measure in (measure_memory, measure_time):
        figures = measure(options) | figures
    figures["setting"] = {
        "layers": options.layers,
        "prompts": options.prompts,
        "tokens": options.tokens,
        "rounds": options.rounds,
        "torch": torch.__version__,
    }
    print(json.dumps(figures, indent=2))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
