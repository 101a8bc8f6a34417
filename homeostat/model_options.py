"""The options that say how a model's weights are loaded: one definition for the command line, YAML files and Python."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["ModelOptions", "Quantization"]

Quantization = Literal["4bit", "8bit"]
"""The kinds of quantisation: NF4 weights of 4 bits (QLoRA, arXiv 2305.14314), or ``LLM.int8()`` (arXiv 2208.07339)."""


class ModelOptions(BaseModel):
    """How a model's weights are loaded. Agents, settings and commands inherit or take these fields.

    Attributes:
        device: Where the models are loaded, such as ``"cuda"`` or ``"cpu"``; None takes the fastest one available.
        dtype: The type of the weights, such as ``"bfloat16"``; None chooses by device and size.
        revision: The version of a hub model: a branch, a tag or a commit; None takes the newest. It applies to the
            model that is named with it, not to planners, judges and other models beside it.
        quantization: How the weights are quantised while they are loaded, with bitsandbytes; None leaves them whole.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str | None = Field(
        default=None,
        description="Where the model is loaded, such as cpu, cuda or mps. Default: the fastest device available.",
    )
    dtype: str | None = Field(
        default=None, description="Type of the weights: float32, bfloat16 or float16. Default: by device and size."
    )
    revision: str | None = Field(
        default=None,
        min_length=1,
        description="Version of a hub model: a branch, a tag or a commit. Default: the newest.",
    )
    quantization: Quantization | None = Field(
        default=None, description="Quantise the weights with bitsandbytes: 4bit or 8bit. Default: whole weights."
    )

    def load_options(self) -> dict[str, Any]:
        """Returns the options for the model that they were given for.

        Returns:
            The keyword arguments of :meth:`~homeostat.TransformersModel.load`, by name.
        """
        return {name: getattr(self, name) for name in ModelOptions.model_fields}

    def other_load_options(self) -> dict[str, Any]:
        """Returns the options for another model that is loaded beside it, such as a planner: all but the revision.

        Returns:
            The keyword arguments of :meth:`~homeostat.TransformersModel.load`, by name.
        """
        return self.load_options() | {"revision": None}

    def chosen_options(self) -> dict[str, Any]:
        """Returns the options that differ from their defaults, for records of what was run.

        Returns:
            The options by name.
        """
        return {name: value for name, value in self.load_options().items() if value is not None}
