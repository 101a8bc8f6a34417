"""Trains an adapter: from settings to a PEFT folder. A run can be resumed after any step."""

from __future__ import annotations

import json
import math
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from homeostat.agent.models.loading import resolve, weights_hash
from homeostat.alignment.sail.adapters import merge, trained_parameters, write_card
from homeostat.alignment.sail.config import AlignSettings
from homeostat.alignment.sail.forgetting import Forgetting, aligned_twins, read_text, retained
from homeostat.alignment.sail.preparation import Preparation, prepare
from homeostat.alignment.sail.states import skipping
from homeostat.alignment.sail.trainers import Training, build_training, last_checkpoint
from homeostat.alignment.stability.callback import StabilityCallback
from homeostat.alignment.stability.measurement import why_not_measured
from homeostat.alignment.stability.watch import StabilityWatch
from homeostat.sensors.probe.architectures import find_layers
from homeostat.settings import finished_run, save_settings

__all__ = ["Aligned", "align"]

_UNTRAINED = round(math.log(2), 4)  # DPO's loss while policy and reference are equal


@dataclass(frozen=True)
class Aligned:
    """The result of a run.

    Attributes:
        folder: The output folder; ``adapter`` in it holds the adapter.
        path: The training path, ``fast`` or ``trl``.
        layers: The adapted layers.
        parameters: The number of trained parameters.
        loss: The mean loss over the last tenth of the logged steps. Before training it is log 2.
        held_out: The loss of the held-out pairs; None if there are none.
        seconds: The duration of the run, or of its last part if it was resumed.
        forgetting: What the model can do before and after, besides its pairs; None if it was not measured.
    """

    folder: Path
    path: str
    layers: tuple[int, ...]
    parameters: int
    loss: float
    held_out: float | None
    seconds: float
    forgetting: Forgetting | None = None


def align(settings: AlignSettings) -> Aligned:
    """Trains an adapter.

    The same settings and folder resume an interrupted run. A finished run is not repeated; its result is returned.

    Args:
        settings: The run's settings.

    Returns:
        The result.

    Raises:
        ConfigError: The folder holds a run with other settings, or the settings do not suit the data or the model.
        ModelError: A model can't be loaded or adapted.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # loaders and trainers warn of many things that do not concern the user
        return _finished(settings) or _train(settings)


def _train(settings: AlignSettings) -> Aligned:
    begun = time.monotonic()
    text = read_text(settings.text)
    prepared = prepare(settings)
    suite, twins = aligned_twins(prepared.model, settings.forgetting, settings.seed)
    before = retained(prepared.model, twins, text) if twins else None
    save_settings(settings, settings.out)
    training = build_training(prepared)
    trainer = training.trainer
    parameters = trained_parameters(training.model)
    checkpoint = last_checkpoint(settings.out / "checkpoints")
    watch = StabilityWatch(max(1, settings.attention_steps))
    with _watched(settings, training, watch), skipping(training.model, training.skipped):
        trainer.train(resume_from_checkpoint=checkpoint)
        held_out = float(trainer.evaluate()["eval_loss"]) if prepared.held_out else None
    forgetting = None
    if before is not None:
        forgetting = Forgetting(suite, len(twins), before, retained(prepared.model, twins, text))
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    last = losses[-max(1, len(losses) // 10) :]
    loss = sum(last) / max(1, len(last))
    seconds = time.monotonic() - begun
    result = Aligned(
        settings.out, prepared.path, tuple(prepared.layers), parameters, loss, held_out, seconds, forgetting
    )
    if trainer.is_world_process_zero():
        _save(prepared, training, result, losses, watch)
    return result


@contextmanager
def _watched(settings: AlignSettings, training: Training, watch: StabilityWatch) -> Iterator[None]:
    """Measures attention and logits while the trainer runs, and puts the values into its log."""
    layers = find_layers(training.model, "all") if settings.attention_steps else {}
    if layers and (reason := why_not_measured(layers.values())):
        watch.tell(f"note: attention is not watched: {reason}")
        layers = {}
    if not layers:
        yield
        return
    trainer = training.trainer

    def log(figures: dict[str, float]) -> None:
        if settings.report_to:
            trainer.log(figures)
        else:  # the console gets the warnings alone
            trainer.state.log_history.append({**figures, "step": trainer.state.global_step})

    callback = StabilityCallback(watch, log, layers)
    trainer.add_callback(callback)
    try:
        yield
    finally:
        callback.close()
        trainer.remove_callback(callback)


def _finished(settings: AlignSettings) -> Aligned | None:
    """Returns the result of a finished run with these settings; None for a new or an interrupted run."""
    result = finished_run(settings, settings.out)
    if result is None:
        return None
    names = ("path", "parameters", "loss", "held_out", "seconds")
    kept = result.get("forgetting")
    forgetting = Forgetting.from_dict(kept) if kept else None
    return Aligned(
        settings.out, layers=tuple(result["layers"]), forgetting=forgetting, **{name: result[name] for name in names}
    )


def _save(
    prepared: Preparation, training: Training, result: Aligned, losses: Sequence[float], watch: StabilityWatch
) -> None:
    s = prepared.settings
    adapter = s.out / "adapter"
    for config in training.model.peft_config.values():
        config.base_model_name_or_path = s.model
    training.model.save_pretrained(str(adapter))
    facts = {
        "base model": s.model,
        "weights": weights_hash(resolve(s.model)) or "",
        "data": f"{s.data} ({len(prepared.train)} pairs, {len(prepared.held_out)} held out)",
        "layers": ", ".join(map(str, prepared.layers)),
        "trained parameters": result.parameters,
        "token weights": f"{s.weights}, lambda {s.lam}",
        "path": prepared.path + (f" ({prepared.why_not_fast})" if prepared.why_not_fast else ""),
        "seed": s.seed,
    }
    scores = {"loss (training pairs)": (_UNTRAINED, result.loss)}
    if result.held_out is not None:
        scores["loss (held-out pairs)"] = (_UNTRAINED, result.held_out)
    if result.forgetting is not None:
        scores |= result.forgetting.scores()
    write_card(adapter, facts, scores)
    if s.merge:
        merge(adapter, s.out / "merged")
    saved = {
        "path": result.path,
        "why_not_fast": prepared.why_not_fast,
        "layers": result.layers,
        "parameters": result.parameters,
        "loss": result.loss,
        "held_out": result.held_out,
        "seconds": result.seconds,
        "steps": training.trainer.state.global_step,
        "pairs": len(prepared.train),
        "losses": losses,
        "forgetting": result.forgetting.as_dict() if result.forgetting is not None else None,
        "attention": watch.summary(),
        "warnings": watch.warnings,
    }
    (s.out / "result.json").write_text(json.dumps(saved, indent=1) + "\n", encoding="utf-8")
