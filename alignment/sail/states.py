"""Computes the frozen part of a run once: the input of the lowest adapted layer, and the reference's log-probabilities.

Everything below the lowest adapted layer is the same for policy and reference, at every step. Each pair therefore runs
through it once. Prompt, chosen answer and rejected answer form one row: the answers can't attend to each other, and the
positions of both continue from the prompt. The result is stored on disk, under a hash of weights, layer and tokens, up
to a limit on the size of the cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from homeostat.agent.models.branches import branch_mask
from homeostat.agent.models.inputs import on_device
from homeostat.alignment.sail.answer_scores import answer_scores, plain_head
from homeostat.alignment.sail.layout import find_decoder
from homeostat.alignment.sail.tokens import Tokens, batches

__all__ = [
    "FrozenLayers",
    "Packed",
    "compute",
    "laid_out",
    "pack",
    "skipping",
    "state_name",
    "weights_digest",
]


@dataclass(frozen=True)
class Packed:
    """A pair as one row of N = P + (C − 1) + (R − 1) tokens. The last token of an answer predicts nothing, so it has no
    place in the row.

    Attributes:
        ids: The tokens (N,).
        branch: (N,), 0 for the prompt, 1 for the chosen answer, 2 for the rejected answer.
        positions: The position ids (N,).
        rows: (C + R,), the place in the row that predicts each answer token.
        targets: The answer tokens (C + R,).
        signs: (C + R,), +1 for the chosen answer, −1 for the rejected answer.
    """

    ids: torch.Tensor
    branch: torch.Tensor
    positions: torch.Tensor
    rows: torch.Tensor
    targets: torch.Tensor
    signs: torch.Tensor


@dataclass(frozen=True)
class FrozenLayers:
    """The layers below the lowest adapted layer.

    Attributes:
        model: The frozen model, a transformers model without an adapter.
        count: The number of frozen layers, which is also the number of the lowest adapted layer.
        digest: :func:`weights_digest` of the model.
    """

    model: Any
    count: int
    digest: str


def pack(tokens: Tokens) -> Packed:
    """Packs a pair into one row.

    Args:
        tokens: The pair.

    Returns:
        The row.
    """
    p, c, r = len(tokens.prompt.ids), len(tokens.chosen), len(tokens.rejected)
    ids = torch.tensor([*tokens.prompt.ids, *tokens.chosen[:-1], *tokens.rejected[:-1]])
    branch = torch.tensor([0] * p + [1] * (c - 1) + [2] * (r - 1))
    positions = torch.tensor([*range(p), *range(p, p + c - 1), *range(p, p + r - 1)])
    rows = torch.tensor([p - 1, *range(p, p + c - 1), p - 1, *range(p + c - 1, p + c + r - 2)])
    signs = torch.tensor([1.0] * c + [-1.0] * r)
    return Packed(ids, branch, positions, rows, torch.tensor([*tokens.chosen, *tokens.rejected]), signs)


class _Passed(nn.Module):
    """Stands for a layer that has run already: it returns its input."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        read_by_decoders = ("attention_type", "layer_type", "is_sliding")
        vars(self).update({name: value for name, value in vars(layer).items() if name in read_by_decoders})

    def forward(self, hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        return hidden_states


@contextmanager
def skipping(model: Any, first: int) -> Iterator[None]:
    """Lets a model continue from hidden states: within the context, its lowest layers return their input.

    Args:
        model: A transformers model, with or without an adapter.
        first: The number of the first layer that runs.

    Yields:
        Nothing.
    """
    layers = find_decoder(model).layers
    kept = list(layers[:first])
    for index, layer in enumerate(kept):
        layers[index] = _Passed(layer)
    try:
        yield
    finally:
        for index, layer in enumerate(kept):
            layers[index] = layer


def weights_digest(model: Any) -> str:
    """Computes a digest of a model's weights.

    Args:
        model: The model.

    Returns:
        The sha256 over every weight's name, shape, type and a sample of at least 512 of its values.
    """
    seen = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        flat = value.detach().flatten()
        sample = flat[:: max(1, len(flat) // 512)].float().cpu().numpy().tobytes()
        seen.update(f"{name} {tuple(value.shape)} {value.dtype}".encode() + sample)
    return seen.hexdigest()


def state_name(frozen: FrozenLayers, tokens: Tokens) -> str:
    """Names a pair's states in the cache.

    Args:
        frozen: The layers that the states come from.
        tokens: The pair.

    Returns:
        A hash of the weights, the layer, the tokens and the pixels.
    """
    seen = hashlib.sha256(
        f"{frozen.digest} {frozen.count} {tokens.prompt.ids} {tokens.chosen} {tokens.rejected}".encode()
    )
    for image in tokens.prompt.images:
        seen.update(image.digest.encode())
    return seen.hexdigest()[:40]


@torch.inference_mode()
def compute(
    model: Any,
    first: int,
    pairs: Sequence[Tokens],
    take: Callable[[int, dict[str, torch.Tensor]], None],
    size: int = 8,
) -> None:
    """Runs pairs through the frozen model.

    Args:
        model: The frozen model.
        first: The number of the lowest adapted layer.
        pairs: The pairs.
        take: Called with each pair's number and its states: ``hidden`` (N, D), the input of layer ``first`` in the
            model's own type, and ``reference`` (C + R,), the log-probabilities of both answers' tokens in float32.
        size: The number of pairs in one batch.
    """
    layer = find_decoder(model).layers[first]
    seen: list[torch.Tensor] = []

    def keep(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen.append(args[0] if args else kwargs["hidden_states"])

    plain_head(model)  # found out before the hook counts what passes the layer
    for group in batches([(t.prompt, (*t.chosen, *t.rejected)) for t in pairs], size):
        packed = [pack(pairs[n]) for n in group]
        width = max(len(p.ids) for p in packed)
        ids, branch, positions = laid_out(packed, width)
        extra = [pairs[n].prompt.inputs for n in group]
        inputs = {
            k: torch.cat([e[k] for e in extra])
            for k, v in extra[0].items()
            if k not in ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids") and torch.is_tensor(v)
        }
        given = on_device(model, {"input_ids": ids, "position_ids": positions} | inputs)
        answers = max(len(p.targets) - 1 for p in packed)
        # Rows are counted from the right, because padding is on the left.
        at = pad_sequence([p.rows - len(p.ids) + answers for p in packed], batch_first=True).to(model.device)
        targets = pad_sequence([p.targets for p in packed], batch_first=True).to(model.device)
        real = pad_sequence([p.signs != 0 for p in packed], batch_first=True).to(model.device)
        hook = layer.register_forward_pre_hook(keep, with_kwargs=True)
        try:
            given["attention_mask"] = branch_mask(branch).to(model.device)
            scores = answer_scores(model, given, answers, at, targets, real)
        finally:
            hook.remove()
        hidden = seen.pop()
        for row, (n, p) in enumerate(zip(group, packed, strict=True)):
            reference = scores[row, : len(p.targets)]
            take(n, {"hidden": hidden[row, width - len(p.ids) :].cpu().clone(), "reference": reference.cpu().clone()})


def laid_out(packed: Sequence[Packed], width: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Lays out rows as a batch, padded on the left, so that all rows end at the same place.

    Args:
        packed: B pairs.
        width: The width of the batch.

    Returns:
        Tokens, branches (−1 at padding) and positions, each (B, width).
    """
    ids = torch.zeros((len(packed), width), dtype=torch.long)
    branch, positions = torch.full_like(ids, -1), torch.zeros_like(ids)
    for n, p in enumerate(packed):
        at = width - len(p.ids)
        ids[n, at:], branch[n, at:], positions[n, at:] = p.ids, p.branch, p.positions
    return ids, branch, positions
