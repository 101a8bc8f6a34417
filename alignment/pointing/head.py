"""The pointer head, and the point that is read off its attention.

V2P, arXiv 2508.13634, section 3.1, after GUI-Actor, 2506.03143, section 3.1. Query: the last hidden state at the middle
one of three pointer tokens behind the prompt, through an MLP. Keys: the patches' embeddings as they enter the language
model, after one 8-head self-attention with LayerNorm and an MLP. z = q·k/√d, a = softmax(z).

The three tokens (``<|pointer_start|> <|pointer_pad|> <|pointer_end|>``) are embeddings of the head's own, put in at the
embedding layer: no tokenizer is changed, and a frozen backbone stays what it was, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import nn

from homeostat.alignment.sail.layout import find_decoder
from homeostat.alignment.sail.tokens import padded
from homeostat.errors import ConfigError
from homeostat.sensors.chat.rendering import Rendered

__all__ = ["POINTER", "Pointer", "patch_grid", "read_point"]

POINTER = 3
_HEADS = 8
_SHARE = 0.3


class Pointer(nn.Module):
    """The head of a backbone of hidden width D."""

    def __init__(self, width: int) -> None:
        """Raises :class:`ConfigError` for a width that 8 heads don't divide."""
        super().__init__()
        if width % _HEADS:
            raise ConfigError(
                f"hidden width {width} is not divisible by {_HEADS} heads; this backbone can't have the head"
            )
        self.tokens = nn.Parameter(torch.randn(POINTER, width) * width**-0.5)
        self.contextual = nn.MultiheadAttention(width, _HEADS, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.query = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
        self.key = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, query: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
        """(B, P) attention over patches. ``query`` (B, D) the pointer token's last state, ``patches`` (B, P, D)."""
        mixed, _ = self.contextual(patches, patches, patches, need_weights=False)
        keys = self.key(self.norm(patches + mixed))
        logits = torch.einsum("bd,bpd->bp", self.query(query), keys) * query.shape[-1] ** -0.5
        attention: torch.Tensor = logits.softmax(-1)
        return attention

    def attend(self, model: Any, rows: Sequence[Rendered]) -> torch.Tensor:
        """(B, P) attention of prompts with one image of P patches each, in one forward pass of ``model``."""
        for row in rows:
            if len(row.images) != 1 or row.images[0].stop - row.images[0].start != _patches(rows[0]):
                raise ConfigError("a pointer's prompts hold one image each, of one size; sort them by size")
        inputs, shifts = padded(model, [(row, (0,) * (POINTER + 1)) for row in rows])
        with self._tokens_in(model), _entering(model) as entered:
            out = model(**inputs, use_cache=False, output_hidden_states=True, logits_to_keep=1)
        query = out.hidden_states[-1][:, -POINTER + 1].float()
        at = [slice(row.images[0].start + by, row.images[0].stop + by) for row, by in zip(rows, shifts, strict=True)]
        patches = torch.stack([entered[0][n, where] for n, where in enumerate(at)]).float()
        attention: torch.Tensor = self(query, patches)
        return attention

    def save(self, folder: Path) -> None:
        """Write ``pointer.safetensors``."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        save_file(
            {k: v.detach().cpu().contiguous() for k, v in self.state_dict().items()}, folder / "pointer.safetensors"
        )

    @classmethod
    def load(cls, folder: Path) -> Pointer:
        """Raises :class:`ConfigError` where there is none."""
        from safetensors.torch import load_file

        file = folder / "pointer.safetensors"
        if not file.is_file():
            raise ConfigError(f"no pointer head at {str(file)!r}; train one with homeostat ground")
        state = load_file(file)
        head = cls(state["tokens"].shape[1])
        head.load_state_dict(state)
        return head

    @contextmanager
    def _tokens_in(self, model: Any) -> Iterator[None]:
        """Put the pointer's embeddings at the last three places of what the embedding layer gives."""

        def replace(module: nn.Module, args: Any, out: torch.Tensor) -> torch.Tensor:
            own = self.tokens.to(out).expand(out.shape[0], -1, -1)
            return torch.cat([out[:, :-POINTER], own], 1)

        hook = model.get_input_embeddings().register_forward_hook(replace)
        try:
            yield
        finally:
            hook.remove()


@contextmanager
def _entering(model: Any) -> Iterator[list[torch.Tensor]]:
    """What enters the decoder's first layer."""
    seen: list[torch.Tensor] = []

    def keep(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen.append((args[0] if args else kwargs["hidden_states"]).detach())

    hook = find_decoder(model).layers[0].register_forward_pre_hook(keep, with_kwargs=True)
    try:
        yield seen
    finally:
        hook.remove()


def patch_grid(patches: int, height: int, width: int) -> tuple[int, int]:
    """(rows, columns) of an image's patches, from its shape. Raises :class:`ConfigError` where they form no grid."""
    fits = [(r, patches // r) for r in range(1, patches + 1) if patches % r == 0]
    rows, columns = min(fits, key=lambda rc: abs(np.log(rc[0] / rc[1]) - np.log(height / width)))
    if not 0.7 < rows / columns * width / height < 1.43:
        raise ConfigError(
            f"{patches} patches form no grid like an image of {width}x{height}; this processor is not known"
        )
    return rows, columns


def read_point(
    attention: NDArray[np.float32], rows: int, columns: int, best: Literal["max", "mean"] = "max"
) -> tuple[float, float]:
    """The normalised point: patches above 0.3 of the highest, 4-connected regions, the best one's weighted centre.

    ``best``: the region with the highest patch (V2P), or with the highest mean (GUI-Actor).
    """
    grid = attention.reshape(rows, columns).astype(np.float64)
    regions, count = ndimage.label(grid > _SHARE * grid.max())
    measure = ndimage.maximum if best == "max" else ndimage.mean
    chosen = 1 + int(np.argmax(measure(grid, regions, np.arange(1, count + 1))))
    y, x = np.nonzero(regions == chosen)
    weights = grid[y, x]
    centre = ((x + 0.5) * weights).sum() / weights.sum() / columns, ((y + 0.5) * weights).sum() / weights.sum() / rows
    return float(centre[0]), float(centre[1])


def _patches(row: Rendered) -> int:
    return row.images[0].stop - row.images[0].start
