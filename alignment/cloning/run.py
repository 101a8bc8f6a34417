"""Clones the actions of an environment's solution: from settings to a PEFT folder. A run can be resumed at any step."""

from __future__ import annotations

import json
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from homeostat.agent.models.loading import resolve, weights_hash
from homeostat.alignment.cloning.preparation import CloneData, prepare_clone
from homeostat.alignment.cloning.settings import CloneSettings
from homeostat.alignment.cloning.training import Batches, CloneTrainer, Measured, measured
from homeostat.alignment.sail.adapters import lora, merge, trained_parameters, write_card
from homeostat.alignment.sail.layout import find_decoder
from homeostat.alignment.sail.trainers import last_checkpoint
from homeostat.settings import finished_run, save_settings

__all__ = ["Cloned", "clone"]


@dataclass(frozen=True)
class Cloned:
    """The result of a run.

    Attributes:
        folder: The output folder; ``adapter`` in it holds the adapter.
        layers: The adapted layers.
        parameters: The number of trained parameters.
        steps: The number of optimiser steps.
        loss: The mean loss over the last tenth of the logged steps, in nats for an answer token.
        before: How well the model imitated held-out demonstrations before training; None if there are none.
        after: The same after training.
        packed: Whether prompts shared sequences.
        seconds: The duration of the run, or of its last part if it was resumed.
    """

    folder: Path
    layers: tuple[int, ...]
    parameters: int
    steps: int
    loss: float
    before: Measured | None
    after: Measured | None
    packed: bool
    seconds: float


def clone(settings: CloneSettings) -> Cloned:
    """Trains an adapter.

    The same settings and folder resume an interrupted run. A finished run is not repeated; its result is returned.

    Args:
        settings: The run's settings.

    Returns:
        The result.

    Raises:
        ConfigError: The folder holds a run with other settings, or the settings do not suit the tasks or the model.
        ModelError: The model can't be loaded or adapted.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # loaders and trainers warn of many things that do not concern the user
        return _finished(settings) or _train(settings)


def _train(settings: CloneSettings) -> Cloned:
    begun = time.monotonic()
    data = prepare_clone(settings)
    try:
        return _trained(settings, data, begun)
    finally:
        data.lessons.close()


def _trained(settings: CloneSettings, data: CloneData, begun: float) -> Cloned:
    from peft.helpers import disable_input_dtype_casting
    from transformers import TrainingArguments

    network, most = data.model.model, settings.pack if data.packed else 0
    held_out = data.held_out()
    save_settings(settings, settings.out)
    adapted = _with_adapter(data)
    batches = Batches(data.lessons, settings.episodes, settings.batch, most)
    trainer = CloneTrainer(
        model=adapted,
        args=TrainingArguments(**_arguments(settings, len(batches), network.device.type)),
        train_dataset=batches,
        data_collator=_first,
    )
    with disable_input_dtype_casting(adapted):
        before = measured(adapted, held_out)
        trainer.train(resume_from_checkpoint=last_checkpoint(settings.out / "checkpoints"))
        after = measured(adapted, held_out)
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    last = losses[-max(1, len(losses) // 10) :]
    result = Cloned(
        settings.out,
        _layers(adapted),
        trained_parameters(adapted),
        trainer.state.global_step,
        sum(last) / max(1, len(last)),
        before,
        after,
        data.packed,
        time.monotonic() - begun,
    )
    _save(data, adapted, result, losses)
    return result


def _with_adapter(data: CloneData) -> Any:
    """The model with its adapter: a new one, or a given one, which is trained further."""
    s, network = data.settings, data.model.model
    if s.adapter is None:
        return lora(network, data.targets, r=s.r, alpha=s.alpha, seed=s.seed)
    from peft import PeftModel

    return PeftModel.from_pretrained(network, str(s.adapter), is_trainable=True)


def _layers(adapted: Any) -> tuple[int, ...]:
    """The numbers of the layers that are trained."""
    layers = enumerate(find_decoder(adapted).layers)
    return tuple(n for n, layer in layers if any(p.requires_grad for p in layer.parameters()))


def _first(items: list[dict[str, Any]]) -> dict[str, Any]:
    """A batch is one item: its number of episodes is that of the item."""
    return items[0]


def _arguments(s: CloneSettings, steps: int, device: str) -> dict[str, Any]:
    return {
        "output_dir": str(s.out / "checkpoints"),
        "per_device_train_batch_size": 1,
        "max_steps": steps,
        "learning_rate": s.rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": s.warmup,  # a value below 1 is a share
        "max_grad_norm": 1.0,
        "weight_decay": 0.0,
        "logging_steps": max(1, steps // 40),
        "save_steps": s.save_steps,
        "save_total_limit": 2,
        "report_to": "none",
        "seed": s.seed,
        "data_seed": s.seed,
        "remove_unused_columns": False,
        "use_cpu": device == "cpu",
        "dataloader_pin_memory": False,
        "label_names": [],
    }


def _finished(settings: CloneSettings) -> Cloned | None:
    """Returns the result of a finished run with these settings; None for a new or an interrupted run."""
    kept = finished_run(settings, settings.out)
    if kept is None:
        return None
    before_it, after_it = (Measured(**kept[name]) if kept[name] else None for name in ("before", "after"))
    rest = {name: kept[name] for name in ("parameters", "steps", "loss", "packed", "seconds")}
    return Cloned(settings.out, layers=tuple(kept["layers"]), before=before_it, after=after_it, **rest)


def _save(data: CloneData, adapted: Any, result: Cloned, losses: list[float]) -> None:
    s = data.settings
    adapter = s.out / "adapter"
    for config in adapted.peft_config.values():
        config.base_model_name_or_path = s.model
    adapted.to(data.model.model.dtype)
    adapted.save_pretrained(str(adapter))
    (adapter / "homeostat.json").write_text(data.model.style.model_dump_json(indent=1) + "\n", encoding="utf-8")
    suites = ", ".join(source.suite.name for source in data.lessons.sources)
    facts = {
        "base model": s.model,
        "weights": weights_hash(resolve(s.model, s.revision)) or "",
        "data": f"{s.episodes} episodes of {suites} (split train), {s.goals} other goals on each screen",
        "layers": ", ".join(map(str, result.layers)),
        "trained parameters": result.parameters,
        "seed": s.seed,
    }
    scores: dict[str, tuple[float, float]] = {}
    if result.before is not None and result.after is not None:
        scores["loss (held-out training episodes)"] = (result.before.loss, result.after.loss)
        scores["answers right (held-out training episodes)"] = (result.before.right, result.after.right)
    write_card(adapter, facts, scores, command="clone", tags=("behaviour-cloning", "lora"))
    if s.merge:
        merge(adapter, s.out / "merged")
    saved = asdict(result) | {"folder": str(result.folder), "losses": losses}
    (s.out / "result.json").write_text(json.dumps(saved, indent=1) + "\n", encoding="utf-8")
