"""What ``homeostat align`` is told."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from homeostat.alignment.sail.layout import TARGETS
from homeostat.alignment.sail.weights import Source
from homeostat.alignment.settings import Settings

__all__ = ["AlignSettings"]


class AlignSettings(Settings):
    """Fields are the command's flags. SAIL's authors released r 8, alpha 16, rate 1e-5, 64 pairs a step."""

    data: Path = Field(description="Preference pairs: a datasets folder, or a .jsonl file.")
    out: Path = Field(Path("runs/align"), description="Where adapter, checkpoints, model card and config go.")
    layers: str = Field("focal", description="focal, all, random (as many as focal), or layer numbers with commas.")
    localization: Path | None = Field(
        None, description="What homeostat localize wrote; needed for focal layers and heads."
    )
    targets: list[str] = Field(list(TARGETS), description="Matrices that get an adapter.")
    r: int = Field(8, ge=1, description="The adapter's rank.")
    alpha: int = Field(16, ge=1, description="The adapter's scale is alpha / r.")
    weights: Source = Field("attention", description="Token weights: uniform, attention, reward, contrast or judge.")
    heads: Literal["focal", "random"] = Field("focal", description="With attention weights: whose attention.")
    lam: float = Field(1.0, ge=0, le=1, description="How much the token weights count; 0 is plain DPO.")
    beta: float = Field(0.1, gt=0, description="DPO's beta.")
    nll: float = Field(0.0, ge=0, description="How much of the chosen answer's cross-entropy is added.")
    reward_alpha: float = Field(0.5, ge=0, description="TGDPO's alpha.")
    reward_model: str | None = Field(None, description="With reward weights: a model or adapter trained by DPO.")
    positive_model: str | None = Field(None, description="With contrast weights: one trained by DPO.")
    negative_model: str | None = Field(None, description="With contrast weights: one trained with --swap.")
    judge_layer: int | None = Field(None, ge=0, description="With judge weights: which layer. Default: two thirds up.")
    swap: bool = Field(False, description="Prefer the rejected answers (a contrastive model for --weights contrast).")
    path: Literal["auto", "fast", "trl"] = Field("auto", description="fast: on cached states; trl: TRL's DPOTrainer.")
    epochs: float = Field(1.0, gt=0, description="How often every pair is seen.")
    batch: int = Field(16, ge=1, description="Pairs a step on each process.")
    accumulate: int = Field(1, ge=1, description="Batches whose gradients are added up before a step.")
    rate: float = Field(1e-5, gt=0, description="Peak learning rate, falling as a cosine.")
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of steps in which the rate rises.")
    max_steps: int = Field(-1, description="Stop after so many steps; -1: as epochs have it.")
    held_out: float = Field(0.0, ge=0, lt=1, description="Share of the tasks whose pairs are kept for the loss alone.")
    bf16: bool = Field(False, description="bfloat16 autocast.")
    save_steps: int = Field(50, ge=1, description="Steps between two checkpoints.")
    report_to: list[str] = Field([], description="wandb, tensorboard, … as transformers has it.")
    cache: Path = Field(Path("~/.cache/homeostat/states"), description="Where the frozen layers' states are kept.")
    cache_gb: float = Field(20.0, ge=0, description="The most that the cache may hold.")
    merge: bool = Field(False, description="Also save the whole model with the adapter merged in.")

    @field_validator("layers")
    @classmethod
    def _known_layers(cls, value: str) -> str:
        if value not in ("focal", "all", "random") and not all(p.strip().isdigit() for p in value.split(",")):
            raise ValueError("give focal, all, random, or layer numbers with commas")
        return value

    @model_validator(mode="after")
    def _fits(self) -> AlignSettings:
        if self.localization is None and (self.layers in ("focal", "random") or self.weights == "attention"):
            what = f"layers {self.layers!r}" if self.layers in ("focal", "random") else "weights 'attention'"
            raise ValueError(
                f"{what} need localization; run homeostat localize, or give layers all and weights uniform"
            )
        for source, names in (("reward", ("reward_model",)), ("contrast", ("positive_model", "negative_model"))):
            for name in names:
                if self.weights == source and getattr(self, name) is None:
                    raise ValueError(f"weights {source!r} need {name}; give an adapter's folder or a model")
        return self
