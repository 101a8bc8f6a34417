"""The settings of ``homeostat align``. This module imports neither torch nor transformers, so the help is quick."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from homeostat.settings import Settings

__all__ = ["TARGETS", "AlignSettings", "WeightSource"]

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj")
"""Names of the projection matrices that get an adapter by default: those of attention."""
WeightSource = Literal["uniform", "attention", "reward", "contrast", "judge", "anchors"]
"""Where the token weights come from; :mod:`homeostat.alignment.sail.weights` explains each."""


class AlignSettings(Settings):
    """The settings of ``homeostat align``; every field is a flag.

    The authors of SAIL released r = 8, alpha = 16, a learning rate of 1e-5 and 64 pairs for each step.
    """

    data: Path = Field(description="Preference pairs: a datasets folder, or a .jsonl or .json file.")
    out: Path = Field(Path("runs/align"), description="Folder for the adapter, checkpoints, model card and config.")
    layers: str = Field(
        "focal", description="Layers to adapt: focal, all, random (as many as focal), or numbers separated by commas."
    )
    localization: Path | None = Field(
        None, description="Output of homeostat localize. Required for focal and random layers and attention weights."
    )
    targets: list[str] = Field(list(TARGETS), description="Names of the matrices that get an adapter.")
    r: int = Field(8, ge=1, description="Rank of the adapter.")
    alpha: int = Field(16, ge=1, description="LoRA alpha: the adapter's output is scaled by alpha / r.")
    weights: WeightSource = Field(
        "attention", description="Source of the token weights: uniform, attention, reward, contrast, judge or anchors."
    )
    heads: Literal["focal", "random"] = Field(
        "focal", description="With attention weights: the heads whose attention is read."
    )
    lam: float = Field(1.0, ge=0, le=1, description="Strength lambda of the token weights; 0 is plain DPO.")
    beta: float = Field(0.1, gt=0, description="DPO's beta: how strongly the policy is held to the reference.")
    nll: float = Field(0.0, ge=0, description="Factor of the chosen answer's cross-entropy, added to the loss.")
    reward_alpha: float = Field(0.5, ge=0, description="With reward weights: TGDPO's alpha.")
    reward_model: str | None = Field(None, description="With reward weights: a model or adapter trained with DPO.")
    positive_model: str | None = Field(None, description="With contrast weights: a model or adapter trained with DPO.")
    negative_model: str | None = Field(
        None, description="With contrast weights: a model or adapter trained with --swap."
    )
    judge_layer: int | None = Field(
        None, ge=0, description="With judge weights: the layer to read. Default: two thirds of the way up."
    )
    anchor_credit: float = Field(
        1.5, gt=1, description="With anchors weights: the weight of tokens on which later tokens depend; others have 1."
    )
    swap: bool = Field(False, description="Exchange chosen and rejected answers, to train a --negative-model.")
    path: Literal["auto", "fast", "trl"] = Field(
        "auto", description="Training path. fast: from cached hidden states; trl: with TRL's DPOTrainer."
    )
    epochs: float = Field(1.0, gt=0, description="Number of passes over the pairs.")
    batch: int = Field(16, ge=1, description="Pairs in one batch on each process.")
    accumulate: int = Field(1, ge=1, description="Batches whose gradients are summed before an optimiser step.")
    rate: float = Field(1e-5, gt=0, description="Peak learning rate; it decays as a cosine.")
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of the steps in which the learning rate rises.")
    max_steps: int = Field(-1, description="Stop after this many steps; -1 means that epochs decides.")
    held_out: float = Field(
        0.0, ge=0, lt=1, description="Share of the tasks whose pairs only measure the held-out loss."
    )
    forgetting: int = Field(
        24, ge=0, description="Aligned twins that show, with a text, what the model forgets; 0 measures nothing."
    )
    text: Path | None = Field(
        None, description="Text file for that measure. Default: a public speech of about 300 tokens."
    )
    attention_steps: int = Field(
        20, ge=0, description="Steps between two measurements of attention entropy and logits; 0 for none."
    )
    bf16: bool = Field(False, description="Train with bfloat16 autocast.")
    save_steps: int = Field(50, ge=1, description="Steps between two checkpoints.")
    report_to: list[str] = Field([], description="Experiment trackers of transformers: wandb, tensorboard, ….")
    cache: Path = Field(
        Path("~/.cache/homeostat/states"), description="Folder for the cached hidden states of the frozen layers."
    )
    cache_gb: float = Field(20.0, ge=0, description="Largest size of the cache in GiB.")
    merge: bool = Field(False, description="Also save the whole model with the adapter merged in.")

    @field_validator("layers")
    @classmethod
    def _known_layers(cls, value: str) -> str:
        if value not in ("focal", "all", "random") and not all(p.strip().isdigit() for p in value.split(",")):
            raise ValueError("give focal, all, random, or layer numbers separated by commas")
        return value

    @model_validator(mode="after")
    def _complete(self) -> AlignSettings:
        if self.localization is None and (self.layers in ("focal", "random") or self.weights == "attention"):
            what = f"layers {self.layers!r}" if self.layers in ("focal", "random") else "weights 'attention'"
            raise ValueError(
                f"{what} need localization; run homeostat localize, or give layers all and weights uniform"
            )
        needed: dict[str, dict[str, str | None]] = {
            "reward": {"reward_model": self.reward_model},
            "contrast": {"positive_model": self.positive_model, "negative_model": self.negative_model},
        }
        for name, model in needed.get(self.weights, {}).items():
            if model is None:
                raise ValueError(f"weights {self.weights!r} need {name}; give the folder of an adapter or a model")
        return self
