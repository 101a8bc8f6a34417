"""The optimisers of an embedded model: Muon for the layers' matrices, AdamW for everything else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from homeostat.agent.models.precision import bfloat16_is_quick
from homeostat.nano.training.muon import Muon

__all__ = ["Optimisers"]


class Optimisers:
    """Muon and AdamW as one optimiser, with one learning rate that is given at every step.

    Muon takes the layers' matrices. AdamW takes embeddings, norms, biases and the patch projection.

    Args:
        model: The model. The optimisers change its parameters in place.
    """

    def __init__(self, model: Any) -> None:
        named, quick = dict(model.named_parameters()), bfloat16_is_quick(model.device.type)
        matrices = [p for name, p in named.items() if p.ndim == 2 and "embed" not in name]
        groups: list[dict[str, Any]] = [
            {"params": [p for n, p in named.items() if p.ndim > 1 and not (p.ndim == 2 and "embed" not in n)]},
            {"params": [p for p in named.values() if p.ndim <= 1], "weight_decay": 0.0},
        ]
        muon = Muon(matrices, lr=0.0, weight_decay=0.05, dtype=torch.bfloat16 if quick else None)
        adam = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98), weight_decay=0.05)
        self._parameters = list(named.values())
        self._optimisers: list[torch.optim.Optimizer] = [muon, adam]

    def step(self, rate: float) -> None:
        """Clips the gradients to a norm of 1, takes one step and clears the gradients.

        Args:
            rate: The learning rate of AdamW; Muon's is twice as high.
        """
        torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
        for optimiser, own_rate in zip(self._optimisers, (2 * rate, rate), strict=True):
            for group in optimiser.param_groups:
                group["lr"] = own_rate
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

    def state(self) -> list[dict[str, Any]]:
        """Returns what is needed to resume.

        Returns:
            The state of Muon and that of AdamW.
        """
        return [optimiser.state_dict() for optimiser in self._optimisers]

    def load(self, state: Sequence[dict[str, Any]]) -> None:
        """Restores what ``state`` returned.

        Args:
            state: The state of Muon and that of AdamW.
        """
        for optimiser, kept in zip(self._optimisers, state, strict=True):
            optimiser.load_state_dict(kept)
