"""Adapters: LoRA on chosen layers through PEFT, loaded, merged and described."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from homeostat.agent.models.loading import load_style, load_weights, resolve
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.errors import ModelError

__all__ = ["load_adapted", "lora", "lora_config", "merge", "trained_parameters", "write_card"]


def lora_config(targets: Sequence[str], *, r: int, alpha: int) -> Any:
    """PEFT's config. ``bias`` stays ``"none"``: trained biases survive ``disable_adapter``, and the reference would be
    another model.
    """
    from peft import LoraConfig

    return LoraConfig(r=r, lora_alpha=alpha, lora_dropout=0.0, bias="none", target_modules=list(targets))


def lora(model: Any, targets: Sequence[str], *, r: int, alpha: int, seed: int) -> Any:
    """The model with a fresh LoRA adapter on the named matrices (Hu et al., arXiv 2106.09685); all else is frozen."""
    import torch
    from peft import get_peft_model

    torch.manual_seed(seed)
    config = lora_config(targets, r=r, alpha=alpha)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT asks for a name that transformers is about to drop
        return get_peft_model(model, config)


def trained_parameters(model: Any) -> int:
    """How many numbers are trained."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def load_adapted(name: str, device: str | None = None, dtype: str | None = None) -> TransformersModel:
    """A model by name, or an adapter's folder on the model that it names. Raises :class:`ModelError`, one line."""
    folder = Path(name).expanduser()
    if not (folder / "adapter_config.json").is_file():
        return TransformersModel.load(name, device, dtype)
    from peft import PeftModel

    base = json.loads((folder / "adapter_config.json").read_text()).get("base_model_name_or_path") or ""
    source = resolve(base)
    model, processor = load_weights(source, device, dtype)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            merged = PeftModel.from_pretrained(model, str(folder)).merge_and_unload()
    except Exception as error:
        said = str(error).strip().partition("\n")[0][:160]
        raise ModelError(f"adapter {name!r} does not fit its model {base!r} ({said}); train it anew") from None
    merged.train(False)
    return TransformersModel(merged, processor, name=name, style=load_style(source, merged.config.model_type))


def merge(adapter: Path, out: Path) -> None:
    """Write a whole model folder: the base with the adapter merged in, its processor and prompt style."""
    import shutil

    white = load_adapted(str(adapter), "cpu", None)
    base = resolve(json.loads((adapter / "adapter_config.json").read_text())["base_model_name_or_path"])
    white.model.save_pretrained(out)
    for file in Path(base).glob("*") if Path(base).is_dir() else ():
        if file.is_file() and file.suffix in (".json", ".jinja", ".txt", ".model") and not (out / file.name).exists():
            shutil.copy(file, out / file.name)  # heads and thresholds were measured on the base: not those
    for stale in ("heads.json", "calibration.json"):
        (out / stale).unlink(missing_ok=True)
    if not Path(base).is_dir():
        from transformers import AutoProcessor

        AutoProcessor.from_pretrained(base).save_pretrained(out)  # type: ignore[no-untyped-call]


def write_card(folder: Path, told: Mapping[str, Any], scores: Mapping[str, tuple[float, float]]) -> None:
    """A model card in the hub's form: data, layers, settings, and scores before and after."""
    rows = "\n".join(f"| {name} | {before:.4g} | {after:.4g} |" for name, (before, after) in scores.items())
    lines = "\n".join(f"- **{key}**: {value}" for key, value in told.items())
    title = (
        f"# {folder.resolve().parent.name}\n\nA LoRA adapter, trained with `homeostat align` (config.yaml beside it)."
    )
    text = (
        f"---\nbase_model: {told.get('base model', '')}\nlibrary_name: peft\n"
        f"tags: [homeostat, dpo, lora, sail]\n---\n\n"
        f"{title}\n\n{lines}\n\n"
        f"| score | before | after |\n|---|---|---|\n{rows}\n"
    )
    (folder / "README.md").write_text(text, encoding="utf-8")
