"""The pointer head, and the point that its attention gives.

The architecture is that of V2P (arXiv 2508.13634, section 3.1) and GUI-Actor (2506.03143, section 3.1). Three pointer
tokens follow the prompt. The query is the last hidden state of the middle one, through an MLP. The keys are the
embeddings of the image patches as they enter the language model, through one 8-head self-attention with LayerNorm and
an MLP. With q and k of width d, z = q·k/√d and a = softmax(z).

The three tokens (``<|pointer_start|> <|pointer_pad|> <|pointer_end|>``) are embeddings that belong to the head and are
inserted at the embedding layer. No tokenizer changes, and a frozen backbone stays the same bit for bit.
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
from homeostat.data_files import StrPath
from homeostat.errors import ConfigError
from homeostat.sensors.chat.rendering import Rendered

__all__ = ["POINTER", "Pointer", "patch_grid", "patches_of", "read_point"]

POINTER = 3
"""The number of pointer tokens."""
_HEADS = 8
_SHARE = 0.3  # of the highest patch: higher patches form the regions of a point


class Pointer(nn.Module):
    """A pointer head for a backbone of hidden width D.

    Attributes:
        tokens: The embeddings of the pointer tokens (3, D).
        contextual: The self-attention over patches.
        norm: The LayerNorm after it.
        query: The MLP of the query.
        key: The MLP of the keys.
    """

    def __init__(self, width: int) -> None:
        """Creates a head with random weights.

        Args:
            width: D.

        Raises:
            ConfigError: D is not divisible by 8.
        """
        super().__init__()
        if width % _HEADS:
            raise ConfigError(
                f"hidden width {width} is not divisible by {_HEADS}, so this backbone can't have a pointer head"
            )
        self.tokens = nn.Parameter(torch.randn(POINTER, width) * width**-0.5)
        self.contextual = nn.MultiheadAttention(width, _HEADS, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.query = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
        self.key = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, query: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
        """Computes the attention over patches.

        Args:
            query: The last hidden state of the middle pointer token (B, D).
            patches: The embeddings of the patches (B, P, D).

        Returns:
            The attention (B, P).
        """
        mixed, _ = self.contextual(patches, patches, patches, need_weights=False)
        keys = self.key(self.norm(patches + mixed))
        logits = torch.einsum("bd,bpd->bp", self.query(query), keys) * query.shape[-1] ** -0.5
        attention: torch.Tensor = logits.softmax(-1)
        return attention

    def attend(self, model: Any, rows: Sequence[Rendered]) -> torch.Tensor:
        """Runs a batch of prompts through the backbone and the head, in one forward pass.

        Args:
            model: A transformers model.
            rows: B prompts, each with one image of P patches.

        Returns:
            The attention (B, P).

        Raises:
            ConfigError: A prompt does not have exactly one image, or the images differ in size.
        """
        for row in rows:
            if len(row.images) != 1 or patches_of(row) != patches_of(rows[0]):
                raise ConfigError("a batch for the pointer needs one image in each prompt, all of one size")
        inputs, shifts = padded(model, [(row, (0,) * (POINTER + 1)) for row in rows])
        with self._tokens_in(model), _entering(model) as entered:
            out = model(**inputs, use_cache=False, output_hidden_states=True, logits_to_keep=1)
        query = out.hidden_states[-1][:, -POINTER + 1].float()
        at = [slice(row.images[0].start + by, row.images[0].stop + by) for row, by in zip(rows, shifts, strict=True)]
        patches = torch.stack([entered[0][n, where] for n, where in enumerate(at)]).float()
        attention: torch.Tensor = self(query, patches)
        return attention

    def save(self, folder: StrPath) -> None:
        """Writes ``pointer.safetensors``.

        Args:
            folder: The folder, which is created if it does not exist.
        """
        from safetensors.torch import save_file

        where = Path(folder)
        where.mkdir(parents=True, exist_ok=True)
        save_file(
            {k: v.detach().cpu().contiguous() for k, v in self.state_dict().items()}, where / "pointer.safetensors"
        )

    @classmethod
    def load(cls, folder: StrPath) -> Pointer:
        """Reads ``pointer.safetensors``.

        Args:
            folder: The folder.

        Returns:
            The head.

        Raises:
            ConfigError: The folder holds no such file.
        """
        from safetensors.torch import load_file

        file = Path(folder) / "pointer.safetensors"
        if not file.is_file():
            raise ConfigError(f"no pointer head at {str(file)!r}; train one with homeostat ground")
        state = load_file(file)
        head = cls(state["tokens"].shape[1])
        head.load_state_dict(state)
        return head

    @contextmanager
    def _tokens_in(self, model: Any) -> Iterator[None]:
        """Replaces the last three outputs of the embedding layer by the pointer tokens, within the context."""

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
    """Records the input of the decoder's first layer, within the context."""
    seen: list[torch.Tensor] = []

    def keep(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen.append((args[0] if args else kwargs["hidden_states"]).detach())

    hook = find_decoder(model).layers[0].register_forward_pre_hook(keep, with_kwargs=True)
    try:
        yield seen
    finally:
        hook.remove()


def patch_grid(patches: int, height: int, width: int) -> tuple[int, int]:
    """Finds the grid of an image's patches from their number and the image's shape.

    Args:
        patches: The number of patches.
        height: The image's height.
        width: The image's width.

    Returns:
        The numbers of rows and columns.

    Raises:
        ConfigError: No grid has about the proportions of the image.
    """
    fits = [(r, patches // r) for r in range(1, patches + 1) if patches % r == 0]
    rows, columns = min(fits, key=lambda rc: abs(np.log(rc[0] / rc[1]) - np.log(height / width)))
    if not 0.7 < rows / columns * width / height < 1.43:
        raise ConfigError(
            f"{patches} patches form no grid in the proportions {width}x{height}; this image processor is not supported"
        )
    return rows, columns


def read_point(
    attention: NDArray[np.float32], rows: int, columns: int, best: Literal["max", "mean"] = "max"
) -> tuple[float, float]:
    """Reads a point from the attention.

    Patches above 0.3 of the highest value form 4-connected regions. The point is the weighted centre of the best one.

    Args:
        attention: The attention (P,), row by row.
        rows: The number of rows of patches.
        columns: The number of columns of patches.
        best: The best region has the highest patch (``max``, V2P) or the highest mean (``mean``, GUI-Actor).

    Returns:
        x and y, as shares of the width and the height.
    """
    grid = attention.reshape(rows, columns).astype(np.float64)
    regions, count = ndimage.label(grid > _SHARE * grid.max())
    measure = ndimage.maximum if best == "max" else ndimage.mean
    chosen = 1 + int(np.argmax(measure(grid, regions, np.arange(1, count + 1))))
    y, x = np.nonzero(regions == chosen)
    weights = grid[y, x]
    centre = ((x + 0.5) * weights).sum() / weights.sum() / columns, ((y + 0.5) * weights).sum() / weights.sum() / rows
    return float(centre[0]), float(centre[1])


def patches_of(row: Rendered) -> int:
    """Counts the patches of the first image of a prompt.

    Args:
        row: The prompt.

    Returns:
        The number of image tokens.
    """
    return row.images[0].stop - row.images[0].start
