"""The fast path: trains from the lowest adapted layer upwards, on hidden states that were computed once.

Compared with a plain implementation of DPO, a step saves six things: the forward and backward pass of the layers
below, the reference's forward pass, the second pass over the prompt, the logits of the prompt, every activation below
the first adapter, and the memory of the answers' logits. The gradients are the same
(``tests/alignment/test_sail.py``). The training loop is transformers' ``Trainer``, with its checkpoints, resuming,
progress, reports and ``accelerate launch``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset
from transformers import Trainer

from homeostat.agent.models.branches import branch_mask
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.alignment.sail.answer_scores import answer_scores
from homeostat.alignment.sail.cache import StateCache
from homeostat.alignment.sail.loss import chosen_nll, weighted_dpo
from homeostat.alignment.sail.states import (
    FrozenLayers,
    Packed,
    compute,
    laid_out,
    pack,
    skipping,
    state_name,
)
from homeostat.alignment.sail.tokens import Tokens, answer_logprobs

__all__ = ["FastTrainer", "PairStates", "collate", "pair_logprobs", "pair_losses", "why_not"]

_CLOSE = 2e-3  # nats per token; float32 differs by 1e-5, a wrong mask or position by far more
_CLOSE_16_BIT = 0.2


class PairStates(Dataset[dict[str, Any]]):
    """Pairs with their hidden states and token weights.

    Attributes:
        computed: The number of pairs whose states were not in the cache.
    """

    def __init__(
        self,
        frozen: FrozenLayers,
        pairs: Sequence[Tokens],
        weights: Sequence[torch.Tensor],
        cache: StateCache,
        size: int = 8,
    ) -> None:
        """Computes the states that the cache lacks. States for which the cache has no room stay in memory.

        Args:
            frozen: The layers that the states come from.
            pairs: The pairs.
            weights: For each pair, the token weights (C + R,) of both answers.
            cache: Where the states are stored.
            size: The number of pairs in one batch.
        """
        self._pairs, self._weights, self._cache = pairs, weights, cache
        self._packed = [pack(t) for t in pairs]
        self._names = [state_name(frozen, t) for t in pairs]
        self._in_memory: dict[int, dict[str, torch.Tensor]] = {}
        missing = [n for n, name in enumerate(self._names) if not cache.has(name)]

        def take(i: int, states: dict[str, torch.Tensor]) -> None:
            n = missing[i]
            if not cache.put(self._names[n], states):
                self._in_memory[n] = states

        compute(frozen.model, frozen.count, [pairs[n] for n in missing], take, size)
        self.computed = len(missing)

    def __len__(self) -> int:
        """Returns the number of pairs."""
        return len(self._pairs)

    def __getitem__(self, n: int) -> dict[str, Any]:
        """Returns one pair in the form that :func:`collate` takes."""
        stored = self._in_memory.get(n) or self._cache.get(self._names[n])
        assert stored is not None, f"the states of pair {n} were removed from the cache during the run"
        return {"packed": self._packed[n], "weights": self._weights[n]} | stored


def collate(items: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Makes a batch. Hidden states are padded on the left, the tokens of the answers on the right.

    Args:
        items: B pairs of :class:`PairStates`.

    Returns:
        The batch, for :func:`pair_logprobs`.
    """
    packed: list[Packed] = [item["packed"] for item in items]
    width = max(len(p.ids) for p in packed)
    hidden = items[0]["hidden"].new_zeros((len(items), width, items[0]["hidden"].shape[-1]))
    for n, item in enumerate(items):
        hidden[n, width - len(item["hidden"]) :] = item["hidden"]
    _, branch, positions = laid_out(packed, width)
    keep = max(len(p.targets) - 1 for p in packed)
    rows = [p.rows - len(p.ids) + keep for p in packed]
    return {
        "hidden": hidden,
        "branch": branch,
        "positions": positions,
        "rows": pad_sequence(rows, batch_first=True),
        "targets": pad_sequence([p.targets for p in packed], batch_first=True),
        "signs": pad_sequence([p.signs for p in packed], batch_first=True),
        "weights": pad_sequence([item["weights"] for item in items], batch_first=True),
        "reference": pad_sequence([item["reference"] for item in items], batch_first=True),
        "keep": torch.tensor(keep),
    }


def pair_logprobs(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Runs a batch through the upper layers.

    Args:
        model: The model, within :func:`~homeostat.alignment.sail.states.skipping`.
        batch: A batch of :func:`collate`.

    Returns:
        The log-probabilities (B, T) of both answers' tokens; 0 at padding.
    """
    inputs = {
        "inputs_embeds": batch["hidden"],
        "attention_mask": branch_mask(batch["branch"]),
        "position_ids": batch["positions"],
    }
    return answer_scores(model, inputs, int(batch["keep"]), batch["rows"], batch["targets"], batch["signs"] != 0)


def pair_losses(
    model: Any, batch: dict[str, torch.Tensor], beta: float, nll: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Computes the losses of a batch.

    Args:
        model: The model, within :func:`~homeostat.alignment.sail.states.skipping`.
        batch: A batch of :func:`collate`.
        beta: DPO's beta.
        nll: The factor of the chosen answer's cross-entropy per token, which is added to the loss.

    Returns:
        Losses (B,) and margins (B,).
    """
    scores = pair_logprobs(model, batch)
    losses, margins = weighted_dpo(scores - batch["reference"], batch["weights"], batch["signs"], beta)
    return (losses + nll * chosen_nll(scores, batch["signs"]) if nll else losses), margins


class FastTrainer(Trainer):
    """A transformers ``Trainer`` on :class:`PairStates`. It runs within ``skipping``.

    Attributes:
        beta: DPO's beta.
        nll: The factor of the chosen answer's cross-entropy.
    """

    def __init__(self, *args: Any, beta: float, nll: float = 0.0, **kwargs: Any) -> None:
        """Builds the trainer.

        Args:
            args: Arguments of ``Trainer``.
            beta: DPO's beta.
            nll: The factor of the chosen answer's cross-entropy.
            kwargs: Arguments of ``Trainer``.
        """
        super().__init__(*args, **{"data_collator": collate} | kwargs)
        self.beta, self.nll = beta, nll
        self.model_accepts_loss_kwargs = False

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Computes the mean loss of a batch; ``Trainer`` calls this method.

        Args:
            model: The model.
            inputs: A batch of :func:`collate`.
            return_outputs: Whether to return the margins too.
            num_items_in_batch: Not used.

        Returns:
            The loss; with ``return_outputs``, the loss and a dict with the margins.
        """
        losses, margins = pair_losses(model, inputs, self.beta, self.nll)
        return (losses.mean(), {"margins": margins}) if return_outputs else losses.mean()

    def prediction_step(self, model: Any, inputs: Any, prediction_loss_only: bool, ignore_keys: Any = None) -> Any:
        """Computes the loss of held-out pairs; ``Trainer`` calls this method.

        Args:
            model: The model.
            inputs: A batch of :func:`collate`.
            prediction_loss_only: Not used: no outputs are gathered.
            ignore_keys: Not used.

        Returns:
            The loss, and None for logits and labels.
        """
        with torch.no_grad():
            loss = self.compute_loss(model, self._prepare_inputs(inputs))
        return loss.detach(), None, None


def why_not(model: TransformersModel, first: int, tokens: Tokens) -> str | None:
    """Tests whether the fast path works with a model: one pair is run plainly and from hidden states.

    Args:
        model: The model.
        first: The number of the lowest adapted layer.
        tokens: A pair.

    Returns:
        Why the fast path does not apply; None if it does.
    """
    network = model.model
    attention = str(network.config._attn_implementation)  # transformers has no public name for it
    if "flash" in attention or "flex" in attention:
        return f"attention {attention!r} takes no mask that separates the two answers; load the model with sdpa"
    plain = answer_logprobs(model, [(tokens.prompt, tokens.chosen), (tokens.prompt, tokens.rejected)])
    states: list[dict[str, torch.Tensor]] = []
    try:
        compute(network, first, [tokens], lambda n, computed: states.append(computed))
        with skipping(network, first), torch.inference_mode():
            ones = torch.ones(len(states[0]["reference"]))
            batch = collate([{"packed": pack(tokens), "weights": ones} | states[0]])
            found = pair_logprobs(network, {k: v.to(network.device) for k, v in batch.items()})[0].cpu()
    except (TypeError, ValueError, RuntimeError, KeyError, IndexError) as error:
        reason = str(error).strip().partition("\n")[0][:100]
        return f"{type(network).__name__} does not run from hidden states ({type(error).__name__}: {reason})"
    close = _CLOSE if network.dtype == torch.float32 else _CLOSE_16_BIT
    apart = float((found - torch.cat(plain)).abs().max())
    if apart <= close:
        return None
    return f"{type(network).__name__}, run from hidden states, differs by {apart:.2g} nats per token"
