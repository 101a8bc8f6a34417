"""Builds the model with its adapter and the trainer, for the fast path or for TRL's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from homeostat.alignment.sail.adapters import lora, lora_config
from homeostat.alignment.sail.cache import StateCache
from homeostat.alignment.sail.fast import FastTrainer, PairStates
from homeostat.alignment.sail.layout import adapter_targets
from homeostat.alignment.sail.preparation import Preparation, token_weights
from homeostat.alignment.sail.states import FrozenLayers, weights_digest

__all__ = ["Training", "build_training", "last_checkpoint"]


@dataclass(frozen=True)
class Training:
    """What trains.

    Attributes:
        model: The PEFT model.
        trainer: A transformers ``Trainer``.
        skipped: The number of layers, from the lowest, that the trainer's data have already passed.
    """

    model: Any
    trainer: Any
    skipped: int


def build_training(prepared: Preparation) -> Training:
    """Computes the token weights and builds model and trainer.

    Args:
        prepared: The preparation.

    Returns:
        The training, ready for its first step.

    Raises:
        ConfigError: The token weights can't be computed from these data.
        ModelError: A model that the token weights come from can't be loaded.
    """
    settings = prepared.settings
    digest = weights_digest(prepared.model.model)
    targets = adapter_targets(prepared.model.model, prepared.layers, settings.targets)
    cache = StateCache(settings.cache.expanduser(), int(settings.cache_gb * 2**30))
    weights = token_weights(prepared, digest, cache)
    if prepared.path == "fast":
        frozen = FrozenLayers(prepared.model.model, min(prepared.layers), digest)
        return _fast(prepared, frozen, cache, targets, weights)
    return _trl(prepared, targets, weights)


def _fast(
    prepared: Preparation,
    frozen: FrozenLayers,
    cache: StateCache,
    targets: Sequence[str],
    weights: Sequence[torch.Tensor],
) -> Training:
    from transformers import TrainingArguments

    s, train, held_out = prepared.settings, prepared.train, prepared.held_out
    args = TrainingArguments(**_arguments(prepared))
    with args.main_process_first(desc="states"):
        states = PairStates(frozen, train.tokens, weights, cache)
        held_out_states = PairStates(frozen, held_out.tokens, held_out.ones(), cache) if held_out else None
    model = lora(frozen.model, targets, r=s.r, alpha=s.alpha, seed=s.seed)
    trainer = FastTrainer(
        model=model, args=args, train_dataset=states, eval_dataset=held_out_states, beta=s.beta, nll=s.nll
    )
    return Training(model, trainer, frozen.count)


def _trl(prepared: Preparation, targets: Sequence[str], weights: Sequence[torch.Tensor]) -> Training:
    from trl import DPOConfig

    from homeostat.alignment.sail.trl_path import WeightedDPOTrainer, trl_dataset, with_weights

    s, train, held_out, renderer = prepared.settings, prepared.train, prepared.held_out, prepared.model.renderer
    common = {k: v for k, v in _arguments(prepared).items() if k not in ("label_names", "remove_unused_columns")}
    losses = {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, s.nll]} if s.nll else {}
    args = DPOConfig(**common, **losses, beta=s.beta, max_length=None, gradient_checkpointing=False)
    images = renderer.reads_images
    torch.manual_seed(s.seed)
    trainer = WeightedDPOTrainer(
        model=prepared.model.model,
        peft_config=lora_config(targets, r=s.r, alpha=s.alpha),  # given an adapter, TRL keeps a copy as the reference
        args=args,
        train_dataset=with_weights(trl_dataset(train.pairs, images), weights, [len(t.chosen) for t in train.tokens]),
        eval_dataset=trl_dataset(held_out.pairs, images) if held_out else None,
        processing_class=renderer.templating if images else renderer.tokenizer,
    )
    return Training(trainer.model, trainer, 0)


def _arguments(prepared: Preparation) -> dict[str, Any]:
    s, device = prepared.settings, prepared.model.model.device.type
    updates = max(1, round(len(prepared.train) * s.epochs / (s.batch * s.accumulate)))
    return {
        "output_dir": str(s.out / "checkpoints"),
        "per_device_train_batch_size": s.batch,
        "per_device_eval_batch_size": s.batch,
        "gradient_accumulation_steps": s.accumulate,
        "num_train_epochs": s.epochs,
        "max_steps": s.max_steps,
        "learning_rate": s.rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": s.warmup,  # a value below 1 is a share
        "max_grad_norm": 1.0,
        "weight_decay": 0.0,
        "bf16": s.bf16,
        "logging_steps": max(1, (s.max_steps if s.max_steps > 0 else updates) // 40),
        "save_steps": s.save_steps,
        "save_total_limit": 2,
        "report_to": s.report_to or "none",
        "seed": s.seed,
        "data_seed": s.seed,
        "remove_unused_columns": False,
        "use_cpu": device == "cpu",
        "dataloader_pin_memory": device == "cuda",
        "label_names": [],
    }


def last_checkpoint(folder: Path) -> str | None:
    """Finds the last complete checkpoint, and removes those that an interruption left incomplete.

    Args:
        folder: The folder of the checkpoints.

    Returns:
        The checkpoint's path; None if there is none.
    """
    from safetensors import safe_open

    found = sorted(folder.glob("checkpoint-*"), key=lambda f: int(f.name.partition("-")[2]), reverse=True)
    for checkpoint in found:
        try:
            json.loads((checkpoint / "trainer_state.json").read_text())
            with safe_open(checkpoint / "adapter_model.safetensors", "pt") as file:
                list(file.keys())
            for name in ("optimizer.pt", "scheduler.pt"):
                torch.load(checkpoint / name, weights_only=True)
            return str(checkpoint)
        except Exception:  # a truncated file can make its reader raise almost anything
            shutil.rmtree(checkpoint, ignore_errors=True)
    return None
