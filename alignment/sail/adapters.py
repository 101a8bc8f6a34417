"""LoRA adapters on chosen layers, through PEFT: created, loaded, merged, and described in a model card."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from homeostat.agent.models.adapters import adapter_base
from homeostat.agent.models.loading import resolve
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.model_cards import Card, Metric
from homeostat.model_options import Quantization

__all__ = ["load_adapted", "lora", "lora_config", "merge", "trained_parameters", "write_card"]


def lora_config(targets: Sequence[str], *, r: int, alpha: int) -> Any:
    """Makes PEFT's config.

    ``bias`` stays ``"none"``: trained biases survive ``disable_adapter``, so the reference would be another model.

    Args:
        targets: Full names of the matrices to adapt.
        r: The rank.
        alpha: LoRA's alpha; the adapter's output is scaled by alpha / r.

    Returns:
        A ``peft.LoraConfig``.
    """
    from peft import LoraConfig

    return LoraConfig(r=r, lora_alpha=alpha, lora_dropout=0.0, bias="none", target_modules=list(targets))


def lora(model: Any, targets: Sequence[str], *, r: int, alpha: int, seed: int) -> Any:
    """Adds a new LoRA adapter to a model (Hu et al., arXiv 2106.09685). All other weights are frozen.

    Args:
        model: A transformers model.
        targets: Full names of the matrices to adapt.
        r: The rank.
        alpha: LoRA's alpha; the adapter's output is scaled by alpha / r.
        seed: The random seed of the adapter's initial weights.

    Returns:
        A PEFT model.
    """
    import torch
    from peft import get_peft_model

    torch.manual_seed(seed)
    config = lora_config(targets, r=r, alpha=alpha)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT uses a name that transformers has deprecated
        return get_peft_model(model, config)


def trained_parameters(model: Any) -> int:
    """Counts the trainable parameters.

    Args:
        model: A model.

    Returns:
        The number of scalar parameters that require a gradient.
    """
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def load_adapted(
    name: str,
    device: str | None = None,
    dtype: str | None = None,
    *,
    revision: str | None = None,
    quantization: Quantization | None = None,
) -> TransformersModel:
    """Loads a model, or an adapter together with its base model.

    Args:
        name: A model's name or folder, or the folder of a PEFT adapter.
        device: The device; None for the fastest available.
        dtype: The type of the weights; None to choose by the model's size.
        revision: The version of a hub model, or of an adapter's base model; None for the newest.
        quantization: How the weights are quantised while they are loaded; None leaves them whole.

    Returns:
        The model. An adapter is merged into it.

    Raises:
        ModelError: The model can't be loaded, or the adapter does not fit its base model.
    """
    return TransformersModel.load(name, device, dtype, revision=revision, quantization=quantization)


def merge(adapter: Path, out: Path) -> None:
    """Writes a model folder: the base model with the adapter merged in, its processor and its prompt style.

    Args:
        adapter: The adapter's folder.
        out: The new folder.

    Raises:
        ModelError: The base model can't be loaded, or the adapter does not fit it.
    """
    import shutil

    merged = load_adapted(str(adapter), "cpu", None)
    base = resolve(adapter_base(str(adapter)))
    merged.model.save_pretrained(out)
    if (adapter / "homeostat.json").is_file():
        shutil.copy(adapter / "homeostat.json", out)
    for file in Path(base).glob("*") if Path(base).is_dir() else ():
        if file.is_file() and file.suffix in (".json", ".jinja", ".txt", ".model") and not (out / file.name).exists():
            shutil.copy(file, out / file.name)
    for stale in ("heads.json", "calibration.json"):  # heads and thresholds were measured on the base model
        (out / stale).unlink(missing_ok=True)
    if not Path(base).is_dir():
        from transformers import AutoProcessor

        AutoProcessor.from_pretrained(base).save_pretrained(out)  # type: ignore[no-untyped-call]


def write_card(
    folder: Path,
    facts: Mapping[str, Any],
    scores: Mapping[str, tuple[float, float]],
    *,
    command: str = "align",
    tags: Sequence[str] = ("dpo", "lora", "sail"),
) -> None:
    """Writes a model card in the form of the Hugging Face hub.

    Args:
        folder: The adapter's folder.
        facts: What the card lists, such as data, layers and settings.
        scores: For each score, its value before and after training.
        command: The command that trained the adapter.
        tags: What the hub lists the adapter under.
    """
    base = str(facts.get("base model", ""))
    card = Card(
        title=folder.resolve().parent.name,
        about=f"A LoRA adapter for `{base}`. Its folder or its name on the hub stands wherever homeostat names a "
        "model: `homeostat run --model REPO`. It loads in plain PEFT, too.",
        load='from homeostat.alignment import Adapter\n\nmodel = Adapter.from_pretrained("REPO").load()',
        made=f"With `homeostat {command}`; config.yaml beside the adapter's folder holds all settings.",
        limits="The adapter belongs to this base model, and its effect was measured on the data that are named here. "
        "Differences between before and after are those of one training run.",
        facts=facts,
        metrics=tuple(Metric(name, after, "training run", before=before) for name, (before, after) in scores.items()),
        base_model=base,
        tags=tuple(tags),
        library="peft",  # so that the hub shows how PEFT loads it
    )
    (folder / "README.md").write_text(card.text(), encoding="utf-8")  # in place of the one that PEFT has written
