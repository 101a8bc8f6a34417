"""The frozen part of a run, computed once: what enters the lowest adapted layer, and the reference's log-probabilities.

Everything below the lowest adapted layer is the same for policy and reference, at every step. So a pair is run through
it once: prompt, chosen and rejected answer in one row, the two answers blind to each other and both counted on from the
prompt. The result lies on disk under a hash of weights, layer and tokens, up to a bound; what finds no room is computed
again whenever it is asked for.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from homeostat.agent.models.branches import branch_mask
from homeostat.agent.models.teacher_forcing import on_device
from homeostat.alignment.sail.layout import find_decoder
from homeostat.alignment.sail.tokens import Tokens, batches

__all__ = ["Packed", "StateCache", "compute", "laid_out", "pack", "skipping", "state_name", "weights_digest"]


@dataclass(frozen=True)
class Packed:
    """A pair's row of N = P + (C − 1) + (R − 1) tokens; an answer's last token needs no row.

    ``branch`` (N,): 0 the prompt, 1 chosen, 2 rejected; ``positions`` (N,); ``rows`` (C + R,): which row predicts each
    answer token; ``targets`` (C + R,): those tokens; ``signs`` (C + R,): +1 chosen, −1 rejected.
    """

    ids: torch.Tensor
    branch: torch.Tensor
    positions: torch.Tensor
    rows: torch.Tensor
    targets: torch.Tensor
    signs: torch.Tensor


def pack(tokens: Tokens) -> Packed:
    """The pair in one row."""
    p, c, r = len(tokens.prompt.ids), len(tokens.chosen), len(tokens.rejected)
    ids = torch.tensor([*tokens.prompt.ids, *tokens.chosen[:-1], *tokens.rejected[:-1]])
    branch = torch.tensor([0] * p + [1] * (c - 1) + [2] * (r - 1))
    positions = torch.tensor([*range(p), *range(p, p + c - 1), *range(p, p + r - 1)])
    rows = torch.tensor([p - 1, *range(p, p + c - 1), p - 1, *range(p + c - 1, p + c + r - 2)])
    signs = torch.tensor([1.0] * c + [-1.0] * r)
    return Packed(ids, branch, positions, rows, torch.tensor([*tokens.chosen, *tokens.rejected]), signs)


class _Passed(nn.Module):
    """A layer that was run already."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        for name in ("attention_type", "layer_type", "is_sliding"):  # what a decoder asks its layers for
            if hasattr(layer, name):
                setattr(self, name, getattr(layer, name))

    def forward(self, hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        return hidden_states


@contextmanager
def skipping(model: Any, first: int) -> Iterator[None]:
    """Within, the decoder's layers below ``first`` pass on what they get: the model continues from hidden states."""
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
    """sha256 over every weight's name, shape and a sample of its values: equal models have equal ones."""
    seen = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        flat = value.detach().flatten()
        sample = flat[:: max(1, len(flat) // 512)].float().cpu().numpy().tobytes()
        seen.update(f"{name} {tuple(value.shape)} {value.dtype}".encode() + sample)
    return seen.hexdigest()


class StateCache:
    """Tensors by name on disk, at most ``limit`` bytes of them. A folder may be shared: a name holds what it hashes."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        folder.mkdir(parents=True, exist_ok=True)
        self._used = sum(f.stat().st_size for f in folder.glob("*.safetensors"))

    def get(self, name: str) -> dict[str, torch.Tensor] | None:
        """What is stored under this name; None where nothing (whole) is."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        file = self.folder / f"{name}.safetensors"
        try:
            return load_file(file) if file.is_file() else None
        except (SafetensorError, OSError):
            file.unlink(missing_ok=True)
            return None

    def has(self, name: str) -> bool:
        """Whether something is stored under this name."""
        return (self.folder / f"{name}.safetensors").is_file()

    def put(self, name: str, tensors: dict[str, torch.Tensor]) -> bool:
        """Store, in one move; False where there is no room."""
        from safetensors.torch import save_file

        size = sum(t.numel() * t.element_size() for t in tensors.values())
        if self._used + size > self.limit:
            return False
        part = self.folder / f"{name}.{os.getpid()}.part"
        save_file({k: v.contiguous() for k, v in tensors.items()}, part)
        os.replace(part, self.folder / f"{name}.safetensors")
        self._used += size
        return True


def state_name(digest: str, first: int, tokens: Tokens) -> str:
    """The name of a pair's states in the cache."""
    seen = hashlib.sha256(f"{digest} {first} {tokens.prompt.ids} {tokens.chosen} {tokens.rejected}".encode())
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
    """Run pairs through the frozen model; ``take(n, {"hidden": (N, D), "reference": (C + R,)})`` for each.

    ``hidden`` is what enters layer ``first``, in the model's own type; ``reference`` the log-probabilities of both
    answers' tokens, float32.
    """
    layer = find_decoder(model).layers[first]
    seen: list[torch.Tensor] = []

    def keep(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen.append(args[0] if args else kwargs["hidden_states"])

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
        hook = layer.register_forward_pre_hook(keep, with_kwargs=True)
        try:
            answers = max(len(p.targets) - 1 for p in packed)
            out = model(
                **given, attention_mask=branch_mask(branch).to(model.device), use_cache=False, logits_to_keep=answers
            )
        finally:
            hook.remove()
        hidden = seen.pop()
        scores = out.logits.float().log_softmax(-1)
        for row, (n, p) in enumerate(zip(group, packed, strict=True)):
            at = p.rows.to(scores.device) - len(p.ids) + answers  # rows are counted from the right: padding is left
            reference = scores[row, at].gather(-1, p.targets.to(scores.device)[:, None])[:, 0]
            take(n, {"hidden": hidden[row, width - len(p.ids) :].cpu().clone(), "reference": reference.cpu().clone()})


def laid_out(packed: Sequence[Packed], width: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(B, width) ids, branches (−1 padding) and positions, padded on the left so that answers end at one slot."""
    ids = torch.zeros((len(packed), width), dtype=torch.long)
    branch, positions = torch.full_like(ids, -1), torch.zeros_like(ids)
    for n, p in enumerate(packed):
        at = width - len(p.ids)
        ids[n, at:], branch[n, at:], positions[n, at:] = p.ids, p.branch, p.positions
    return ids, branch, positions
