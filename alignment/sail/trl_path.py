"""TRL's ``DPOTrainer`` with token weights, for models to which the fast path does not apply.

TRL computes the log-probabilities of both models in a fused forward pass and has no argument for weights. They travel
in the batch as ``token_weights`` (2B, T), and multiply what that forward pass returns:
Σ w·ρ = Σ w·log π_θ − Σ w·log π_ref. Text models and image-text models are supported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from trl import DPOTrainer

from homeostat.alignment.preference.pairs import Pair, to_dataset
from homeostat.errors import ConfigError

__all__ = ["COLUMNS", "WeightedDPOTrainer", "trl_dataset", "with_weights"]

COLUMNS = ("chosen_weights", "rejected_weights")
"""The columns of a dataset that hold token weights."""


def trl_dataset(pairs: Sequence[Pair], reads_images: bool) -> Any:
    """Makes the dataset that TRL trains on.

    Args:
        pairs: The pairs.
        reads_images: Whether the model reads images. The chat templates of such models take a message's parts; those of
            most others take one string a message.

    Returns:
        A ``datasets.Dataset`` in TRL's preference format.
    """
    data = to_dataset(pairs)
    if reads_images:
        return data

    def strings(row: dict[str, Any]) -> dict[str, Any]:
        return {
            side: [m | {"content": "".join(part["text"] or "" for part in m["content"])} for m in row[side]]
            for side in ("prompt", "chosen", "rejected")
        }

    return Dataset.from_list([row | strings(row) for row in data])


def with_weights(data: Any, weights: Sequence[torch.Tensor], chosen: Sequence[int]) -> Any:
    """Adds columns with token weights to a dataset.

    Args:
        data: A dataset in TRL's preference format.
        weights: For each row, the weights (C + R,) of the chosen and then the rejected answer's tokens.
        chosen: For each row, the number C of the chosen answer's tokens.

    Returns:
        The dataset with the columns :data:`COLUMNS`.
    """
    split = [(w[:n].tolist(), w[n:].tolist()) for w, n in zip(weights, chosen, strict=True)]
    for at, name in enumerate(COLUMNS):
        data = data.add_column(name, [both[at] for both in split])
    return data


class WeightedDPOTrainer(DPOTrainer):  # type: ignore[misc]
    """A ``DPOTrainer`` that reads the columns :data:`COLUMNS`. Without them it equals TRL's trainer."""

    data_collator: Any
    _signature_columns: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Builds the trainer and wraps its collator and its model's forward pass.

        Args:
            args: Arguments of ``DPOTrainer``.
            kwargs: Arguments of ``DPOTrainer``.
        """
        super().__init__(*args, **kwargs)
        plain = self.data_collator
        self.data_collator = lambda examples: _collated(plain, examples)
        base = self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model
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
        count = int(mask[row].sum())
        if count != len(own):
            raise ConfigError(f"{len(own)} weights for an answer of {count} tokens; compute them with this tokenizer")
        placed[row, mask[row]] = torch.tensor(own)
    return out | {"token_weights": placed}
