"""Measures SAIL's fast path against TRL's DPOTrainer: training pairs per second and peak memory.

    python benchmarks/align_speed.py --json align_speed.json
    homeostat localize --model FOLDER --suite chat --count 60 --causal 0 --dtype bfloat16 --out FOCAL
    python benchmarks/align_speed.py --shapes 0.5b --model FOLDER --localization FOCAL --dtypes float32 bfloat16

Both train on the same pairs with the same batch size and the same number of trained parameters. Each run is a process
of its own, one after the other. TRL trains a LoRA adapter on all layers with its own defaults otherwise (the reference
log-probabilities are not precomputed). The fast path trains the focal layers only.

``--model`` is a model of Qwen2.5-0.5B's size with its trained weights; without it, the weights are random. The focal
layers are those of ``--localization``, or those of ``--layers``; without both, layers 12 to 14.

JSON, for each shape and type: ``trl`` and ``fast`` hold the two runs. Their ``seconds`` last from the loaded model to
the last step, and ``cpu_seconds`` count processor time only. ``once`` is the part that is computed once (the test
whether the path applies, and the hidden states). ``peak_mib`` is the peak of resident memory from the loaded model on,
minus what the process held before the model was loaded, and ``growth_mib`` is that peak without the loaded weights.

``speedup`` is TRL's seconds over the fast path's (bar: ≥ 2.5 with random weights, ≥ 4 with trained ones), and
``speedup_cpu`` the same with processor time. ``speedup_cached`` leaves out ``once``, as in a second epoch or another
run on the same data. ``memory_ratio`` is the fast path's peak over TRL's (bar: ≤ 0.6, and ≤ 0.5 with trained weights);
``growth_ratio`` is the ratio without the weights, which both paths hold.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

SHAPES = {
    # focal layers, all layers, pairs, batch
    "nano": ([4], 5, 160, 16),
    "0.5b": ([12, 13, 14], 24, 32, 4),
}


def half_billion(folder: Path) -> None:
    """Saves a random model with the shape of Qwen2.5-0.5B and the embedded model's tokenizer."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from homeostat.nano.processor import build_processor

    torch.manual_seed(0)
    tokenizer = build_processor().tokenizer
    config = Qwen2Config(
        vocab_size=151_936,
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def memory(field: str) -> float:
    """Returns MiB from /proc/self/status: VmRSS is the present memory, VmHWM the peak."""
    return int(Path("/proc/self/status").read_text().partition(f"{field}:")[2].split()[0]) / 1024


def weighed(model: Any) -> float:
    """Reads all weights, which may still be in a mapped file; returns the resident memory, and resets its peak."""
    gc.collect()
    sum(float(p.detach().flatten()[::512].sum()) for p in model.parameters())
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


def pairs_for(shape: str, count: int) -> list[Any]:
    from homeostat.alignment.conflicts.chat import chat_twins
    from homeostat.alignment.conflicts.core import pairs_of
    from homeostat.alignment.conflicts.phone import phone_twins
    from homeostat.nano.style import STYLE

    source = phone_twins(STYLE, "train", 0) if shape == "nano" else chat_twins("train", 0, ["verbosity", "language"])
    return pairs_of(islice(source, count // 2))


def ranks(focal: int, layers: int) -> tuple[int, int]:
    """Returns the ranks on the focal layers and on all layers that train equal numbers of parameters, at least 8."""
    step = layers // math.gcd(focal, layers)
    times = -(-8 // step)
    return times * step, times * step * focal // layers


def options(out: str, batch: int, device: str) -> dict[str, Any]:
    """Returns the arguments that both trainers share."""
    return {
        "output_dir": out,
        "per_device_train_batch_size": batch,
        "num_train_epochs": 1,
        "learning_rate": 1e-3,
        "report_to": "none",
        "use_cpu": device == "cpu",
        "save_strategy": "no",
        "logging_steps": 1000,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def with_trl(white: Any, pairs: list[Any], common: dict[str, Any], r: int) -> tuple[Any, float]:
    """Trains with TRL, an adapter of rank ``r`` on all layers. Returns the trainer, and 0 for what is done once."""
    import trl

    from homeostat.alignment.sail.adapters import lora_config
    from homeostat.alignment.sail.layout import adapter_targets, find_decoder
    from homeostat.alignment.sail.trl_path import trl_dataset

    targets = adapter_targets(white.model, range(len(find_decoder(white.model))))
    trainer = trl.DPOTrainer(
        model=white.model,
        args=trl.DPOConfig(**common, bf16=False, max_length=None, gradient_checkpointing=False),
        train_dataset=trl_dataset(pairs, white.renderer.reads_images),
        processing_class=white.renderer.templating if white.renderer.reads_images else white.renderer.tokenizer,
        peft_config=lora_config(targets, r=r, alpha=2 * r),
    )
    trainer.train()
    return trainer, 0.0


def with_fast_path(white: Any, pairs: list[Any], common: dict[str, Any], r: int, focal: list[int]) -> tuple[Any, float]:
    """Trains with the fast path. Returns the trainer, and the seconds of what is done once."""
    import torch
    import transformers

    from homeostat.alignment.sail import fast
    from homeostat.alignment.sail.adapters import lora
    from homeostat.alignment.sail.cache import StateCache
    from homeostat.alignment.sail.layout import adapter_targets
    from homeostat.alignment.sail.states import FrozenLayers, skipping, weights_digest
    from homeostat.alignment.sail.tokens import tokenise

    begun, first = time.monotonic(), min(focal)
    tokens = tokenise(white.renderer, pairs)
    shortest = min(tokens, key=lambda one: len(one.prompt.ids) + len(one.chosen) + len(one.rejected))
    if reason := fast.why_not(white, first, shortest):
        raise SystemExit(reason)
    ones = [torch.ones(len(t.chosen) + len(t.rejected)) for t in tokens]
    cache = StateCache(Path(common["output_dir"]) / "states", 2**33)
    frozen = FrozenLayers(white.model, first, weights_digest(white.model))
    states = fast.PairStates(frozen, tokens, ones, cache, size=common["per_device_train_batch_size"])
    once = time.monotonic() - begun
    model = lora(white.model, adapter_targets(white.model, focal), r=r, alpha=2 * r, seed=0)
    args = transformers.TrainingArguments(**common, remove_unused_columns=False, label_names=[])
    trainer = fast.FastTrainer(model=model, args=args, train_dataset=states, beta=0.1)
    with skipping(model, first):
        trainer.train()
    return trainer, once


def one(shape: str, which: str, model_name: str, dtype: str, focal: list[int]) -> dict[str, float]:
    """Measures one path in this process."""
    import warnings

    warnings.simplefilter("ignore")
    import peft  # noqa: F401
    import trl  # noqa: F401

    from homeostat.agent.models.transformers_model import TransformersModel
    from homeostat.alignment.sail import fast, run, trl_path  # noqa: F401
    from homeostat.alignment.sail.adapters import trained_parameters

    _, layers, count, batch = SHAPES[shape]
    r, r_all = ranks(len(focal), layers)
    pairs = pairs_for(shape, count)
    held = memory("VmRSS")
    white = TransformersModel.load(model_name, "cpu", dtype, reuse=False)
    common = options(tempfile.mkdtemp(), batch, "cpu")
    loaded = weighed(white.model)
    begun, cpu = time.monotonic(), time.process_time()
    train = with_trl(white, pairs, common, r_all) if which == "trl" else with_fast_path(white, pairs, common, r, focal)
    trainer, once = train
    seconds, cpu = time.monotonic() - begun, time.process_time() - cpu
    return {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "once": once,
        "pairs": len(pairs),
        "pairs_per_second": len(pairs) / seconds,
        "peak_mib": memory("VmHWM") - held,
        "growth_mib": memory("VmHWM") - loaded,
        "parameters": trained_parameters(trainer.model),
        "loss": trainer.state.log_history[-1]["train_loss"],
    }


def compared(shape: str, name: str, dtype: str, focal: list[int]) -> dict[str, Any]:
    """Measures both paths, each in a process of its own."""
    told: dict[str, Any] = {}
    for which in ("trl", "fast"):
        layers = ["--layers", *map(str, focal)]
        command = [sys.executable, __file__, "--one", shape, which, name, dtype, *layers]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        line = next((s for s in done.stdout.splitlines() if s.startswith("RESULT ")), None)
        if line is None:
            raise SystemExit(done.stderr[-3000:])
        told[which] = json.loads(line.removeprefix("RESULT "))
    cached = told["fast"]["seconds"] - told["fast"]["once"]
    return told | {
        "layers": focal,
        "speedup": told["trl"]["seconds"] / told["fast"]["seconds"],
        "speedup_cpu": told["trl"]["cpu_seconds"] / told["fast"]["cpu_seconds"],
        "speedup_cached": told["trl"]["seconds"] / cached,
        "memory_ratio": told["fast"]["peak_mib"] / told["trl"]["peak_mib"],
        "growth_ratio": told["fast"]["growth_mib"] / told["trl"]["growth_mib"],
    }


def _focal(args: argparse.Namespace) -> list[int]:
    """The focal layers that the command line names; none for the shape's own."""
    from homeostat.alignment.sail.localization import Localization

    if args.localization is not None:
        return list(Localization.load(args.localization).layers)
    return list(args.layers or ())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--shapes", nargs="+", choices=list(SHAPES), default=list(SHAPES), help="The model shapes to measure."
    )
    parser.add_argument("--model", help="The folder of a model with trained weights, for the shape 0.5b.")
    parser.add_argument("--localization", type=Path, help="The focal layers of the shape 0.5b: a localization.")
    parser.add_argument("--layers", type=int, nargs="+", help="The focal layers of the shape 0.5b.")
    parser.add_argument("--dtypes", nargs="+", default=["float32"], help="The types of the weights.")
    parser.add_argument("--one", nargs=4, metavar=("SHAPE", "PATH", "MODEL", "DTYPE"), help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, help="Write the figures to this JSON file.")
    args = parser.parse_args()
    if args.one:
        print("RESULT " + json.dumps(one(*args.one, args.layers)))
        return
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for shape in args.shapes:
            name, focal = "homeostat/nano", SHAPES[shape][0]
            if shape == "0.5b":
                name, focal = args.model or folder, _focal(args) or focal
                if not args.model:
                    half_billion(Path(folder))
            for dtype in args.dtypes:
                key = shape if dtype == "float32" else f"{shape} {dtype}"
                found[key] = compared(shape, name, dtype, focal)
                print(key, json.dumps(found[key], indent=1), flush=True)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
