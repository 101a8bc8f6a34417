"""TRL's ``DPOTrainer`` with a weight a token, for whatever the fast path can't do; text and image models.

TRL computes both models' log-probabilities in one fused forward and has no place for weights, so they travel in the
batch as ``token_weights`` (2B, T) and multiply what that forward returns: Σ w·ρ = Σ w·log π_θ − Σ w·log π_ref.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from trl import DPOTrainer

from homeostat.errors import ConfigError

__all__ = ["WeightedDPOTrainer", "with_weights"]

COLUMNS = ("chosen_weights", "rejected_weights")


def with_weights(data: Any, weights: Sequence[torch.Tensor], chosen: Sequence[int]) -> Any:
    """The dataset with both answers' weights; ``chosen[n]`` counts the chosen answer's tokens in ``weights[n]``."""
    split = [(w[:n].tolist(), w[n:].tolist()) for w, n in zip(weights, chosen, strict=True)]
    for at, name in enumerate(COLUMNS):
        data = data.add_column(name, [both[at] for both in split])
    return data


class WeightedDPOTrainer(DPOTrainer):  # type: ignore[misc]
    """``DPOTrainer`` on rows with ``chosen_weights`` and ``rejected_weights``; without them it is TRL's own."""

    data_collator: Any
    _signature_columns: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        plain = self.data_collator
        self.data_collator = lambda examples: _collated(plain, examples)
        base = self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model
        forward = base.forward

        def weighted(*args: Any, token_weights: torch.Tensor | None = None, **kwargs: Any) -> Any:
            out = forward(*args, **kwargs)
            if token_weights is not None:
                out.log_probs = out.log_probs * token_weights[:, 1:].to(out.log_probs)
            return out

        base.forward = weighted

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        self._signature_columns = list(dict.fromkeys([*self._signature_columns, *COLUMNS]))


def _collated(plain: Any, examples: list[dict[str, Any]]) -> dict[str, Any]:
    weights = [e[name] for name in COLUMNS for e in examples if e.get(name) is not None]
    out: dict[str, Any] = plain(examples)
    if len(weights) < 2 * len(examples):
        return out
    mask = out["completion_mask"].bool()
    placed = torch.ones(mask.shape, dtype=torch.float32)
    for row, own in enumerate(weights):
        if int(mask[row].sum()) != len(own):
            raise ConfigError(f"{len(own)} weights for an answer of {int(mask[row].sum())} tokens; tokenise both alike")
        placed[row, mask[row]] = torch.tensor(own)
    return out | {"token_weights": placed}
