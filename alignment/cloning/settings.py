"""The settings of ``homeostat clone --model``. This module imports neither torch nor transformers."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from homeostat.settings import Settings

__all__ = ["MATRICES", "CloneSettings"]

MATRICES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""Names of the projection matrices that get an adapter by default: those of attention and of the gated MLP."""


class CloneSettings(Settings):
    """The settings of ``homeostat clone --model``; every field is a flag.

    Behaviour cloning asks for other values than preference optimisation: LoRA on all matrices, and a high rate.
    """

    suite: list[str] = Field(
        [], description="Suites whose tasks are demonstrated, in turns. Default: the environment's own suite."
    )
    env: str | None = Field(None, description="Environment, where no suite is given. Default: phone.")
    out: Path = Field(Path("runs/clone"), description="Folder for the adapter, checkpoints, model card and config.")
    episodes: int = Field(1000, ge=1, description="Number of demonstrated episodes; none is shown twice.")
    batch: int = Field(4, ge=1, description="Episodes in one optimiser step.")
    goals: int = Field(
        0, ge=0, description="Other goals that are asked on every screen, where the environment knows their actions."
    )
    noise: float = Field(
        0.1, ge=0, lt=1, description="Share of steps with a random action, from which the solution then recovers."
    )
    brief: bool = Field(
        False,
        description="Train in short prompts: no instructions, and the screen before the goal. Saved with the adapter.",
    )
    style: Path | None = Field(
        None, description="File with the prompt style to train in. Default: the model's own. Saved with the adapter."
    )
    adapter: Path | None = Field(
        None, description="Folder of an adapter to train further, with its own layers, r and alpha. Default: a new one."
    )
    layers: str = Field("all", description="Layers to adapt: all, or numbers separated by commas.")
    targets: list[str] = Field(list(MATRICES), description="Names of the matrices that get an adapter.")
    r: int = Field(16, ge=1, description="Rank of the adapter.")
    alpha: int = Field(32, ge=1, description="LoRA alpha: the adapter's output is scaled by alpha / r.")
    rate: float = Field(1e-3, gt=0, description="Peak learning rate; it decays as a cosine.")
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of the steps in which the learning rate rises.")
    pack: int = Field(
        640, ge=0, description="Tokens of a sequence that several prompts share; 0 gives every prompt its own."
    )
    held_out: int = Field(
        16, ge=0, description="Further training episodes that only measure the loss; 0 measures nothing."
    )
    save_steps: int = Field(25, ge=1, description="Steps between two checkpoints.")
    merge: bool = Field(False, description="Also save the whole model with the adapter merged in.")

    @field_validator("layers")
    @classmethod
    def _known_layers(cls, value: str) -> str:
        if value != "all" and not all(p.strip().isdigit() for p in value.split(",")):
            raise ValueError("give all, or layer numbers separated by commas")
        return value
