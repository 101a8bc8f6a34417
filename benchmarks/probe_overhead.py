"""Measures what reading and steering attention cost in time and memory, against PyTorch's SDPA alone.

    python benchmarks/probe_overhead.py --json probe.json && python benchmarks/probe_plots.py probe.json docs/plots

The variants are SDPA alone (``sdpa``), the probe on all layers (``all``) and on a quarter of them (``focal``), the
probe with a gain on one span (``steered``) or with one span's mass held at a target (``moved``), eager attention with
its maps (``eager``), and span masses read by nnsight (``nnsight``, if it is installed).

A randomly initialised Qwen2 with the shape of a 0.5B model (hidden size 896, 14 heads on 2 key heads, feed-forward
4864; the vocabulary is reduced to 1,024, so that no large output layer hides the cost) reads prompts and decodes
greedily, in float32, on one thread.

- Time: CPU time of the process, for prefill and decoding separately. Every round runs all variants on the same prompt,
  in an order that rotates. A figure is the median over rounds of the ratio to SDPA *in the same round*.
- Memory: each variant runs in a process of its own for each prompt. ``growth`` is the peak of resident memory minus
  what the process held with the model loaded. There are ratios of the growth and of the whole peak.
- Eager attention, with ``output_attentions`` or read by nnsight (the span masses of the last 32 rows and of every
  token, summed inside its trace), is left out where its maps alone would need more than ``--eager-gb``.
- On a GPU, time is wall-clock time between synchronisations, and memory is what torch allocated. The shape of a 7B
  model: ``--device cuda --dtype bfloat16 --hidden 3584 --heads 28 --key-heads 4 --feed-forward 18944``.

JSON: ``time`` and ``memory`` hold the figures by prompt length and variant. ``bars`` holds those at 4,096 tokens, or at
the longest prompt if that is shorter: time and memory against SDPA for each variant that uses the probe, and the time
of steering against the probe without it (``steering_over_probe``). ``setting`` holds the options and versions.
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
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

VARIANTS = ("sdpa", "all", "focal", "steered", "moved", "eager")
PROBING = ("all", "focal", "steered", "moved")
if find_spec("nnsight"):
    VARIANTS += ("nnsight",)
ROWS = 32
LABELS = ("system", "rules", "goal", "plan", "reminder", "history", "screen", "elements", "tool", "user")

# By default glibc keeps an arbitrary share of freed memory. With these settings it returns every large block at once.
EXACT_MALLOC = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072", "MALLOC_ARENA_MAX": "1"}


def build(options: argparse.Namespace, longest: int) -> Any:
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    config = Qwen2Config(
        hidden_size=options.hidden,
        intermediate_size=options.feed_forward,
        num_hidden_layers=options.layers,
        num_attention_heads=options.heads,
        num_key_value_heads=options.key_heads,
        vocab_size=1024,
        max_position_embeddings=longest,
    )
    return Qwen2ForCausalLM(config).eval().to(options.device, getattr(torch, options.dtype))


def fits(options: argparse.Namespace, variant: str, length: int) -> bool:
    """Returns whether eager attention's maps (softmax in float32, then the model's type) fit the limit."""
    size = 4 if options.dtype == "float32" else 2
    kept = {"eager": options.layers, "nnsight": 0}.get(variant)  # nnsight drops a layer's map once it is summed
    if kept is None:
        return True
    return (kept * size + 2 * 4) * options.heads * length**2 <= options.eager_gb * 2**30


def now(device: str) -> float:
    """Returns the process's CPU time in seconds; on a GPU the wall-clock time after all work is done."""
    if device == "cpu":
        return time.process_time()
    import torch

    torch.cuda.synchronize()
    return time.perf_counter()


def prompt_spans(length: int) -> Any:
    """Returns ten labels that share the prompt evenly."""
    from homeostat.sensors import Spans

    step = length // len(LABELS)
    return Spans({label: [(i * step, (i + 1) * step)] for i, label in enumerate(LABELS)}, length=length)


def attempt(model: Any, variant: str, length: int, tokens: int) -> dict[str, float]:
    """Returns the seconds of prefill and of decoding for one prompt and ``tokens`` tokens."""
    import torch

    from homeostat.sensors import Actuator, watch

    device = str(model.device)
    ids = torch.randint(0, 1024, (1, length), generator=torch.Generator().manual_seed(length)).to(device)
    count = model.config.num_hidden_layers
    focal = list(range(count // 2, count // 2 + max(1, count // 4)))
    probing = variant in PROBING
    steer = {"steered": (Actuator("goal", gain=3.0),), "moved": (Actuator("goal", target=0.2, raise_only=True),)}
    layers: Any = focal if variant == "focal" else "all"
    model.set_attn_implementation("eager" if variant in ("eager", "nnsight") else "sdpa")
    if variant == "nnsight":
        return attempt_nnsight(model, ids, length, tokens)
    maps = []
    with torch.inference_mode(), watch(model, layers=layers) if probing else nullcontext() as probe:
        begin = now(model.device.type)
        if probe is not None:
            probe.start(prompt_spans(length), steer=steer.get(variant, ()))
        out = model(ids, logits_to_keep=1, use_cache=True, output_attentions=variant == "eager")
        maps.append(out.attentions)
        middle = now(model.device.type)
        for _ in range(tokens):
            step = out.logits[:, -1:].argmax(-1)
            out = model(step, past_key_values=out.past_key_values, output_attentions=variant == "eager")
            maps.append(out.attentions)
        if probe is not None:
            mass = probe.result()
            assert mass.mass.shape[0] == tokens + 1
        end = now(model.device.type)
    return {"prefill": middle - begin, "decode": end - middle}


def attempt_nnsight(model: Any, ids: Any, length: int, tokens: int) -> dict[str, float]:
    """Does the same with nnsight: the masses of ten spans are summed layer by layer inside its trace."""
    import torch
    from nnsight import NNsight
    from transformers import DynamicCache

    step = length // len(LABELS)
    traced, cache, kind = NNsight(model), DynamicCache(config=model.config), model.device.type
    masses = []
    with torch.no_grad():
        begin = now(kind)
        for n in range(tokens + 1):
            with traced.trace(ids, past_key_values=cache, use_cache=True, logits_to_keep=1):
                saved = list().save()  # noqa: C408 - nnsight saves an object, not a display
                for layer in traced.model.layers:
                    rows = layer.self_attn.output[1][..., -ROWS:, : step * len(LABELS)]
                    saved.append(rows.unflatten(-1, (len(LABELS), step)).sum(-1))
                logits = traced.output.logits.save()
            masses.append(saved)
            ids = logits[:, -1:].argmax(-1)
            if n == 0:
                middle = now(kind)
        end = now(kind)
    assert len(masses) == tokens + 1
    return {"prefill": middle - begin, "decode": end - middle}


def measure_time(options: argparse.Namespace) -> dict[str, Any]:
    model = build(options, max(options.prompts) + options.tokens)
    for variant in VARIANTS:
        attempt(model, variant, 64, 2)
    runs: list[dict[str, dict[int, dict[str, float]]]] = []
    for round_ in range(options.rounds):
        order = VARIANTS[round_ % len(VARIANTS) :] + VARIANTS[: round_ % len(VARIANTS)]
        run: dict[str, dict[int, dict[str, float]]] = {v: {} for v in VARIANTS}
        for length in options.prompts:
            for variant in order:
                if fits(options, variant, length):
                    run[variant][length] = attempt(model, variant, length, options.tokens)
            print(f"round {round_ + 1} of {options.rounds}, {length} tokens", file=sys.stderr)
        runs.append(run)
    out: dict[str, Any] = {}
    for length in options.prompts:
        row = out[str(length)] = {}
        for variant in VARIANTS:
            if length not in runs[0][variant]:
                continue
            seconds = {p: statistics.median(r[variant][length][p] for r in runs) for p in ("prefill", "decode")}
            ratios = [_whole(r[variant][length]) / _whole(r["sdpa"][length]) for r in runs]
            row[variant] = {
                "ratio": statistics.median(ratios),
                "lowest": min(ratios),
                "highest": max(ratios),
                "prefill_ratio": statistics.median(
                    r[variant][length]["prefill"] / r["sdpa"][length]["prefill"] for r in runs
                ),
                "decode_ratio": statistics.median(
                    r[variant][length]["decode"] / r["sdpa"][length]["decode"] for r in runs
                ),
                "over_probe": [_whole(r[variant][length]) / _whole(r["all"][length]) for r in runs],
                **{f"{part}_seconds": value for part, value in seconds.items()},
            }
    return out


def _whole(parts: dict[str, float]) -> float:
    return parts["prefill"] + parts["decode"]


def resident() -> float:
    """Returns the present resident memory in MB; on systems without /proc, its peak so far."""
    return _status("VmRSS")


def peak() -> float:
    """Returns the peak of resident memory since the program was loaded, in MB.

    If /proc exists it is read there, because ``ru_maxrss`` starts at what the parent process held when it forked.
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
    model = build(options, length + options.tokens)
    attempt(model, options.memory_of, 64, 2)
    if options.device != "cpu":
        import torch

        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated() / 1e6
        attempt(model, options.memory_of, length, options.tokens)
        most = torch.cuda.max_memory_allocated() / 1e6
    else:
        before = resident()
        attempt(model, options.memory_of, length, min(options.tokens, 8))
        most = peak()
    return {"loaded_mb": before, "peak_mb": most, "growth_mb": most - before}


def measure_memory(options: argparse.Namespace) -> dict[str, Any]:
    memory: dict[str, Any] = {}
    shape = ("layers", "tokens", "hidden", "heads", "key_heads", "feed_forward", "device", "dtype")
    for length in options.prompts:
        row = memory[str(length)] = {}
        for variant in VARIANTS:
            if not fits(options, variant, length):
                continue
            command = [sys.executable, __file__, "--memory-of", variant, "--prompts", str(length)]
            for name in shape:
                command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | EXACT_MALLOC)
            row[variant] = json.loads(done.stdout)
        for found in row.values():
            for part in ("growth", "peak"):
                found[f"{part}_ratio"] = found[f"{part}_mb"] / row["sdpa"][f"{part}_mb"]
        print(f"memory, {length} tokens", file=sys.stderr)
    return memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="Write the figures to this JSON file.")
    parser.add_argument("--layers", type=int, default=4, help="The number of layers.")
    parser.add_argument("--hidden", type=int, default=896, help="The hidden size.")
    parser.add_argument("--heads", type=int, default=14, help="The number of attention heads.")
    parser.add_argument("--key-heads", type=int, default=2, help="The number of key-value heads.")
    parser.add_argument("--feed-forward", type=int, default=4864, help="The width of the feed-forward layers.")
    parser.add_argument("--device", default="cpu", help="The device, such as cpu or cuda.")
    parser.add_argument(
        "--dtype",
        default="float32",
        choices=("float32", "bfloat16", "float16"),
        help="The type of weights and activations.",
    )
    parser.add_argument(
        "--prompts",
        type=int,
        nargs="+",
        default=[1024, 4096, 8192, 16384],
        metavar="TOKENS",
        help="The prompt lengths.",
    )
    parser.add_argument("--tokens", type=int, default=64, help="The number of tokens to generate for each prompt.")
    parser.add_argument("--rounds", type=int, default=3, help="How many rounds are timed.")
    parser.add_argument(
        "--eager-gb",
        type=float,
        default=8.0,
        help="Leave out eager attention where its maps need more than this, in GiB.",
    )
    parser.add_argument("--memory-of", choices=VARIANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()

    import torch

    torch.set_num_threads(1)
    if options.memory_of:
        print(json.dumps(measure_one_memory(options)))
        return
    figures: dict[str, Any] = {"memory": measure_memory(options), "time": measure_time(options)}
    at = "4096" if 4096 in options.prompts else str(max(options.prompts))
    figures["bars"] = {
        "prompt": int(at),
        **{f"time_{v}": figures["time"][at][v]["ratio"] for v in PROBING},
        "steering_over_probe": statistics.median(figures["time"][at]["steered"]["over_probe"]),
        **{f"memory_{v}": figures["memory"][at][v]["peak_ratio"] for v in PROBING},
        **{f"memory_growth_{v}": figures["memory"][at][v]["growth_ratio"] for v in PROBING},
    }
    figures["setting"] = {k: v for k, v in vars(options).items() if k not in ("json", "memory_of")}
    figures["setting"]["torch"] = torch.__version__
    if "nnsight" in VARIANTS:
        figures["setting"]["nnsight"] = version("nnsight")
    print(json.dumps(figures, indent=2))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
