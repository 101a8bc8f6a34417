"""The fast path: training from the lowest adapted layer up, on states that were computed once.

Against DPO written plainly a step saves the layers below (forward and backward), the reference's whole forward, the
second run of the prompt, the logits of the prompt's rows, and every activation below the first adapter. The gradients
are the same (``tests/alignment/test_sail.py``). Training itself is transformers' ``Trainer``: checkpoints, resuming,
progress, reports and ``accelerate launch`` are its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset
from transformers import Trainer

from homeostat.agent.models.branches import branch_mask
from homeostat.alignment.sail.loss import chosen_nll, weighted_dpo
from homeostat.alignment.sail.states import Packed, StateCache, compute, laid_out, pack, skipping, state_name
from homeostat.alignment.sail.tokens import Tokens, answer_logprobs

__all__ = ["FastTrainer", "PairStates", "collate", "pair_losses", "why_not"]

_CLOSE = 2e-3  # nats a token; float32 differs by 1e-5, bfloat16 by more, a wrong mask or position by far more


class PairStates(Dataset[dict[str, Any]]):
    """Pairs with their states and weights, out of the cache. ``weights[n]`` (C + R,): see :mod:`.weights`."""

    def __init__(
        self,
        model: Any,
        first: int,
        pairs: Sequence[Tokens],
        weights: Sequence[torch.Tensor],
        cache: StateCache,
        digest: str,
        size: int = 8,
    ) -> None:
        """Computes what the cache lacks. ``model`` is the frozen one, ``digest`` its weights'."""
        self._pairs, self._weights, self._cache = pairs, weights, cache
        self._packed = [pack(t) for t in pairs]
        self._names = [state_name(digest, first, t) for t in pairs]
        self._kept: dict[int, dict[str, torch.Tensor]] = {}  # what found no room on disk stays in memory
        lacking = [n for n, name in enumerate(self._names) if not cache.has(name)]

        def take(i: int, made: dict[str, torch.Tensor]) -> None:
            n = lacking[i]
            if not cache.put(self._names[n], made):
                self._kept[n] = made

        compute(model, first, [pairs[n] for n in lacking], take, size)
        self.computed = len(lacking)

    def __len__(self) -> int:
        """How many pairs."""
        return len(self._pairs)

    def __getitem__(self, n: int) -> dict[str, Any]:
        """One pair, for :func:`collate`."""
        stored = self._kept.get(n) or self._cache.get(self._names[n])
        assert stored is not None, f"states of pair {n} are gone from the cache"
        return {"packed": self._packed[n], "weights": self._weights[n]} | stored


def collate(items: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """A batch of pairs: hidden states padded on the left, the answers' tokens on the right."""
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
    """(B, T) log-probabilities of both answers' tokens; ``model`` skips the layers that the states come from."""
    out = model(
        inputs_embeds=batch["hidden"],
        attention_mask=branch_mask(batch["branch"]),
        position_ids=batch["positions"],
        use_cache=False,
        logits_to_keep=int(batch["keep"]),
    )
    at = batch["rows"][..., None].expand(-1, -1, out.logits.shape[-1])
    scores = out.logits.gather(1, at).float().log_softmax(-1)
    found: torch.Tensor = scores.gather(-1, batch["targets"][..., None])[..., 0]
    return found


def pair_losses(
    model: Any, batch: dict[str, torch.Tensor], beta: float, nll: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """(B,) losses and margins of a batch; ``nll`` times the chosen answer's cross-entropy a token is added."""
    scores = pair_logprobs(model, batch)
    losses, margins = weighted_dpo(scores - batch["reference"], batch["weights"], batch["signs"], beta)
    return (losses + nll * chosen_nll(scores, batch["signs"]) if nll else losses), margins


class FastTrainer(Trainer):
    """transformers' Trainer on :class:`PairStates`; within :func:`skipping`."""

    def __init__(self, *args: Any, beta: float, nll: float = 0.0, **kwargs: Any) -> None:
        super().__init__(*args, **{"data_collator": collate} | kwargs)
        self.beta, self.nll = beta, nll
        self.model_accepts_loss_kwargs = False

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The mean loss of the batch's pairs."""
        losses, margins = pair_losses(model, inputs, self.beta, self.nll)
        return (losses.mean(), {"margins": margins}) if return_outputs else losses.mean()

    def prediction_step(self, model: Any, inputs: Any, prediction_loss_only: bool, ignore_keys: Any = None) -> Any:
        """The held-out pairs' loss; no outputs are gathered."""
        with torch.no_grad():
            loss = self.compute_loss(model, self._prepare_inputs(inputs))
        return loss.detach(), None, None


def why_not(white: Any, first: int, tokens: Tokens) -> str | None:
    """Why the fast path does not apply to this model; None where it does.

    One pair is run both ways: plainly, and from the states that enter layer ``first``.
    """
    model = white.model
    kind = str(getattr(model.config, "_attn_implementation", ""))
    if "flash" in kind or "flex" in kind:
        return f"attention {kind!r} takes no mask of branches; load the model with sdpa"
    plain = answer_logprobs(white, [(tokens.prompt, tokens.chosen), (tokens.prompt, tokens.rejected)])
    states: list[dict[str, torch.Tensor]] = []
    try:
        compute(model, first, [tokens], lambda n, made: states.append(made))
        with skipping(model, first), torch.inference_mode():
            ones = torch.ones(len(states[0]["reference"]))
            batch = collate([{"packed": pack(tokens), "weights": ones} | states[0]])
            found = pair_logprobs(model, {k: v.to(model.device) for k, v in batch.items()})[0].cpu()
    except (TypeError, ValueError, RuntimeError, KeyError, IndexError) as error:
        said = str(error).strip().partition("\n")[0][:100]
        return f"{type(model).__name__} does not run from hidden states ({type(error).__name__}: {said})"
    close = _CLOSE if model.dtype == torch.float32 else 0.2
    apart = float((found - torch.cat(plain)).abs().max())
    return f"{type(model).__name__} run from hidden states is {apart:.2g} nats apart" if not apart <= close else None
