"""Measures SAIL's fast path against TRL's DPOTrainer: training pairs per second and peak memory.

    python benchmarks/align_speed.py --json align_speed.json

Both train on the same pairs with the same batch size and the same number of trained parameters, in float32. Each run is
a process of its own, one after the other. TRL trains a LoRA adapter on all layers with its own defaults otherwise (the
reference log-probabilities are not precomputed). The fast path trains the focal layers only.

JSON, for each shape: ``trl`` and ``fast`` hold the two runs. Their ``seconds`` last from the loaded model to the last
step, ``once`` is the part that is computed once (the hidden states), ``peak_mib`` is the peak of resident memory minus
what the process held before the model was loaded. ``speedup`` is TRL's seconds over the fast path's (bar: ≥ 2.5).
``speedup_cached`` leaves out ``once``, as in a second epoch or another run on the same data. ``memory_ratio`` is the
fast path's peak over TRL's (bar: ≤ 0.6).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

SHAPES = {
    # focal layers, rank there, rank on all layers (equal parameters), pairs, batch
    "nano": ([4], 10, 2, 160, 16),
    "0.5b": ([12, 13, 14], 8, 1, 8, 4),
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


def pairs_for(shape: str, count: int) -> list[Any]:
    from homeostat.alignment.conflicts.chat import chat_twins
    from homeostat.alignment.conflicts.core import pairs_of
    from homeostat.alignment.conflicts.phone import phone_twins
    from homeostat.nano.style import STYLE

    source = phone_twins(STYLE, "train", 0) if shape == "nano" else chat_twins("train", 0, ["verbosity", "language"])
    return pairs_of(islice(source, count // 2))


def one(shape: str, which: str, model_name: str) -> dict[str, float]:
    """Measures one path in this process."""
    import warnings

    warnings.simplefilter("ignore")
    import peft  # noqa: F401
    import torch
    import transformers
    import trl

    from homeostat.agent.models.transformers_model import TransformersModel
    from homeostat.alignment.sail import fast, run, trl_path  # noqa: F401
    from homeostat.alignment.sail.adapters import lora, lora_config, trained_parameters
    from homeostat.alignment.sail.cache import StateCache
    from homeostat.alignment.sail.layout import adapter_targets, find_decoder
    from homeostat.alignment.sail.states import FrozenLayers, skipping, weights_digest
    from homeostat.alignment.sail.tokens import tokenise

    focal, r, r_all, count, batch = SHAPES[shape]
    pairs = pairs_for(shape, count)
    held = memory("VmRSS")
    white = TransformersModel.load(model_name, "cpu", "float32", reuse=False)
    out = tempfile.mkdtemp()
    common: dict[str, Any] = {
        "output_dir": out,
        "per_device_train_batch_size": batch,
        "num_train_epochs": 1,
        "learning_rate": 1e-3,
        "report_to": "none",
        "use_cpu": True,
        "save_strategy": "no",
        "logging_steps": 1000,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }
    begun = time.monotonic()
    if which == "trl":
        from homeostat.alignment.preference.pairs import to_dataset

        targets = adapter_targets(white.model, range(len(find_decoder(white.model))))
        args = trl.DPOConfig(**common, bf16=False, max_length=None, gradient_checkpointing=False)
        processing = white.renderer.templating if white.renderer.reads_images else white.renderer.tokenizer
        trainer = trl.DPOTrainer(
            model=white.model,
            args=args,
            train_dataset=to_dataset(pairs),
            processing_class=processing,
            peft_config=lora_config(targets, r=r_all, alpha=2 * r_all),
        )
        once = 0.0
        first = 0
        model = trainer.model
    else:
        tokens = tokenise(white.renderer, pairs)
        first = min(focal)
        assert fast.why_not(white, first, tokens[0]) is None
        ones = [torch.ones(len(t.chosen) + len(t.rejected)) for t in tokens]
        cache = StateCache(Path(out) / "states", 2**33)
        frozen = FrozenLayers(white.model, first, weights_digest(white.model))
        states = fast.PairStates(frozen, tokens, ones, cache, size=batch)
        once = time.monotonic() - begun
        model = lora(white.model, adapter_targets(white.model, focal), r=r, alpha=2 * r, seed=0)
        args = transformers.TrainingArguments(**common, remove_unused_columns=False, label_names=[])
        trainer = fast.FastTrainer(model=model, args=args, train_dataset=states, beta=0.1)
    with skipping(model, first):
        trainer.train()
    seconds = time.monotonic() - begun
    return {
        "seconds": seconds,
        "once": once,
        "pairs": len(pairs),
        "pairs_per_second": len(pairs) / seconds,
        "peak_mib": memory("VmHWM") - held,
        "parameters": trained_parameters(model),
        "loss": trainer.state.log_history[-1]["train_loss"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--shapes", nargs="+", choices=list(SHAPES), default=list(SHAPES), help="The model shapes to measure."
    )
    parser.add_argument("--one", nargs=3, metavar=("SHAPE", "PATH", "MODEL"), help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, help="Write the figures to this JSON file.")
    args = parser.parse_args()
    if args.one:
        print("RESULT " + json.dumps(one(*args.one)))
        return
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for shape in args.shapes:
            name = "homeostat/nano"
            if shape == "0.5b":
                name = folder
                half_billion(Path(folder))
            told = {}
            for which in ("trl", "fast"):
                command = [sys.executable, __file__, "--one", shape, which, name]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                line = next((s for s in done.stdout.splitlines() if s.startswith("RESULT ")), None)
                if line is None:
                    raise SystemExit(done.stderr[-3000:])
                told[which] = json.loads(line.removeprefix("RESULT "))
            cached = told["fast"]["seconds"] - told["fast"]["once"]
            found[shape] = told | {
                "speedup": told["trl"]["seconds"] / told["fast"]["seconds"],
                "speedup_cached": told["trl"]["seconds"] / cached,
                "memory_ratio": told["fast"]["peak_mib"] / told["trl"]["peak_mib"],
            }
            print(shape, json.dumps(found[shape], indent=1), flush=True)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
