"""``homeostat align``: from a config to an adapter, resumable at any step."""

from __future__ import annotations

import json
import shutil
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from homeostat.agent.models.loading import resolve, weights_hash
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.alignment.preference.pairs import to_dataset
from homeostat.alignment.sail.adapters import lora, lora_config, merge, trained_parameters, write_card
from homeostat.alignment.sail.config import AlignSettings
from homeostat.alignment.sail.fast import FastTrainer, PairStates
from homeostat.alignment.sail.layout import adapter_targets
from homeostat.alignment.sail.preparation import Work, pair_weights, prepare
from homeostat.alignment.sail.states import StateCache, skipping, weights_digest
from homeostat.errors import ConfigError
from homeostat.settings import save_settings

__all__ = ["Aligned", "align"]


@dataclass(frozen=True)
class Aligned:
    """What a run gave. ``loss``: the mean over the last tenth of the logged steps (an untrained adapter's is log 2);
    ``held_out``: that of the held-out pairs, where there are any.
    """

    folder: Path
    path: str
    layers: tuple[int, ...]
    parameters: int
    loss: float
    held_out: float | None
    seconds: float


def align(settings: AlignSettings) -> Aligned:
    """Train an adapter. The same settings and folder go on where a killed run stopped; a finished one is only told.

    Raises :class:`ConfigError` where the folder holds another run.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # loaders and trainers warn of many things that are no concern of the user's
        return _claim(settings) or _align(settings)


def _align(settings: AlignSettings) -> Aligned:
    begun = time.monotonic()
    work = prepare(settings)
    save_settings(settings, settings.out)
    digest = weights_digest(work.white.model)
    targets = adapter_targets(work.white.model, work.layers, settings.targets)
    cache = StateCache(settings.cache.expanduser(), int(settings.cache_gb * 2**30))
    weights = pair_weights(work, work.pairs, work.tokens, digest, cache)
    held_weights = [torch.ones(len(t.chosen) + len(t.rejected)) for t in work.held]
    train: Any
    if work.path == "fast":
        train = _fast(work, targets, digest, cache, weights, held_weights)
    else:
        train = _on_trl(work, targets, weights)
    model, trainer, first = train
    parameters = trained_parameters(model)
    checkpoint = _last_checkpoint(settings.out / "checkpoints")
    with skipping(model, first):
        trainer.train(resume_from_checkpoint=checkpoint)
        held_loss = float(trainer.evaluate()["eval_loss"]) if work.held else None
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    loss = sum(losses[-max(1, len(losses) // 10) :]) / max(1, len(losses[-max(1, len(losses) // 10) :]))
    seconds = time.monotonic() - begun
    result = Aligned(settings.out, work.path, tuple(work.layers), parameters, loss, held_loss, seconds)
    if trainer.is_world_process_zero():
        _save(work, model, trainer, result, losses)
    return result


def _claim(settings: AlignSettings) -> Aligned | None:
    """The result of a finished run of these settings; None for a new or a broken-off one."""
    import yaml

    said, finished = settings.out / "config.yaml", settings.out / "result.json"
    if said.is_file():
        before = yaml.safe_load(said.read_text(encoding="utf-8")) or {}
        now = settings.model_dump(mode="json")
        other = sorted(k for k in now if before.get(k) != now[k])
        if other:
            raise ConfigError(
                f"out {str(settings.out)!r} holds a run with another {other[0]} ({before.get(other[0])!r}, now "
                f"{now[other[0]]!r}); give another folder"
            )
        if finished.is_file():
            told = json.loads(finished.read_text())
            names = ("path", "parameters", "loss", "held_out", "seconds")
            return Aligned(settings.out, layers=tuple(told["layers"]), **{k: told[k] for k in names})
    return None


def _arguments(work: Work) -> dict[str, Any]:
    s = work.settings
    updates = max(1, round(len(work.pairs) * s.epochs / (s.batch * s.accumulate)))
    return {
        "output_dir": str(s.out / "checkpoints"),
        "per_device_train_batch_size": s.batch,
        "per_device_eval_batch_size": s.batch,
        "gradient_accumulation_steps": s.accumulate,
        "num_train_epochs": s.epochs,
        "max_steps": s.max_steps,
        "learning_rate": s.rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": s.warmup,  # below 1 it is a share
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
        "use_cpu": work.white.model.device.type == "cpu",
        "dataloader_pin_memory": work.white.model.device.type == "cuda",
        "label_names": [],
    }


def _fast(
    work: Work,
    targets: list[str],
    digest: str,
    cache: StateCache,
    weights: list[torch.Tensor],
    held_weights: list[torch.Tensor],
) -> tuple[Any, Any, int]:
    from transformers import TrainingArguments

    first, frozen = min(work.layers), work.white.model
    args = TrainingArguments(**_arguments(work))
    with args.main_process_first(desc="states"):
        states = PairStates(frozen, first, work.tokens, weights, cache, digest)
        held = PairStates(frozen, first, work.held, held_weights, cache, digest) if work.held else None
    model = lora(frozen, targets, r=work.settings.r, alpha=work.settings.alpha, seed=work.settings.seed)
    trainer = FastTrainer(
        model=model, args=args, train_dataset=states, eval_dataset=held, beta=work.settings.beta, nll=work.settings.nll
    )
    return model, trainer, first


def _on_trl(work: Work, targets: list[str], weights: list[torch.Tensor]) -> tuple[Any, Any, int]:
    from trl import DPOConfig

    from homeostat.alignment.sail.trl_path import WeightedDPOTrainer, with_weights

    s = work.settings
    more = {k: v for k, v in _arguments(work).items() if k not in ("label_names", "remove_unused_columns")}
    losses = {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, s.nll]} if s.nll else {}
    args = DPOConfig(**more, **losses, beta=s.beta, max_length=None, gradient_checkpointing=False)
    torch.manual_seed(s.seed)
    data = with_weights(to_dataset(work.pairs), weights, [len(t.chosen) for t in work.tokens])
    trainer = WeightedDPOTrainer(
        model=work.white.model,
        peft_config=lora_config(targets, r=s.r, alpha=s.alpha),  # given an adapter, TRL keeps a copy as the reference
        args=args,
        train_dataset=data,
        eval_dataset=to_dataset(work.held_pairs) if work.held else None,
        processing_class=_processor(work.white),
    )
    return trainer.model, trainer, 0


def _processor(white: TransformersModel) -> Any:
    return white.renderer.templating if white.renderer.reads_images else white.renderer.tokenizer


def _last_checkpoint(folder: Path) -> str | None:
    """The last checkpoint that was written whole; those that a kill left in pieces are removed."""
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
        except Exception:  # whatever a file cut short does to its reader
            shutil.rmtree(checkpoint, ignore_errors=True)
    return None


def _save(work: Work, model: Any, trainer: Any, result: Aligned, losses: list[float]) -> None:
    s = work.settings
    adapter = s.out / "adapter"
    for config in model.peft_config.values():
        config.base_model_name_or_path = s.model
    model.save_pretrained(str(adapter))
    base = weights_hash(resolve(s.model)) or ""
    told = {
        "base model": s.model,
        "weights": base,
        "data": f"{s.data} ({len(work.pairs)} pairs, {len(work.held)} held out)",
        "layers": ", ".join(map(str, work.layers)),
        "trained parameters": result.parameters,
        "token weights": f"{s.weights}, lambda {s.lam}",
        "path": work.path + (f" ({work.why})" if work.why else ""),
        "seed": s.seed,
    }
    scores = {"loss (training pairs)": (0.6931, result.loss)}
    if result.held_out is not None:
        scores["loss (held-out pairs)"] = (0.6931, result.held_out)
    write_card(adapter, told, scores)
    kept = {
        "path": result.path,
        "why_not_fast": work.why,
        "layers": result.layers,
        "parameters": result.parameters,
        "loss": result.loss,
        "held_out": result.held_out,
        "seconds": result.seconds,
        "steps": trainer.state.global_step,
        "pairs": len(work.pairs),
        "losses": losses,
    }
    if s.merge:
        merge(adapter, s.out / "merged")
    (s.out / "result.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
