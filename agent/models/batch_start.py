"""Where a batch starts: the keys and values that its rows have already, padded on the left into one cache.

A batch of B prompts runs its last Q tokens together. Everything in front of them has to be in the cache: it comes from
a :class:`~homeostat.agent.models.prefix_pool.PrefixPool`, from an earlier row of the same batch, or from a forward pass
of the row alone. Q is chosen so that the fewest tokens run. With n_i new tokens in row i, the costs are

    cost(Q) = B Q + Σ over rows with n_i > Q of (n_i − Q + a)

where ``a`` stands for what one more forward pass costs besides its tokens.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from homeostat.agent.models.inputs import on_device
from homeostat.agent.models.kv_cache import inputs_after
from homeostat.agent.models.prefix_pool import Prefix, PrefixPool
from homeostat.sensors.chat.batches import RenderedBatch, batch
from homeostat.sensors.chat.rendered import Rendered

if TYPE_CHECKING:
    from homeostat.agent.models.transformers_model import TransformersModel

__all__ = ["BatchStart", "start_batch"]

_ONE_MORE_PASS = 48
"""``a`` in the module's formula, in tokens."""
_WORTH_A_LOOK = 128
"""Rows of a batch are compared with each other where so many tokens are new."""


@dataclass(frozen=True)
class BatchStart:
    """Where a batch starts.

    Attributes:
        prompts: The prompts, with the inputs that ``generate`` takes: all tokens, and the pixels that still have to be
            run.
        cache: The cache of what need not run again.
        cached: For each row, the number of its tokens that were not run again.
    """

    prompts: RenderedBatch
    cache: Any = field(repr=False)
    cached: tuple[int, ...]


def start_batch(
    model: TransformersModel,
    rows: Sequence[Rendered],
    owners: Sequence[Hashable],
    fresh: int,
    pool: PrefixPool,
    known: Sequence[Prefix] = (),
) -> BatchStart:
    """Prepares a batch, so that only what is new runs.

    Args:
        model: The model.
        rows: The B prompts.
        owners: The caller of each row.
        fresh: The number of the last tokens of each prompt that have to run in any case.
        pool: The keys and values of earlier prompts.
        known: Further keys and values that rows may start from.

    Returns:
        Where the batch starts.

    Raises:
        ModelError: The prompts' inputs can't be put into one batch.
    """
    begun = [
        pool.longest(row, owner, max(len(row.ids) - fresh, 0), known) for row, owner in zip(rows, owners, strict=True)
    ]
    together = _rows_together(rows, [length for _, length in begun], fresh)
    cuts = [max(len(row.ids) - together, 0) for row in rows]
    if not max(cuts):
        return BatchStart(batch(rows, model.pad), pool.empty_cache(), (0,) * len(rows))
    done: list[Prefix] = []
    cached = []
    for row, cut, (prefix, length) in zip(rows, cuts, begun, strict=True):
        best, shared = prefix, min(length, cut)
        for other in done if cut - shared > _WORTH_A_LOOK else ():
            if (more := other.shared(row, cut)) > shared:
                best, shared = other, more
        done.append(_prefilled(model, pool, row, best, shared, cut))
        cached.append(shared)
    behind = batch([_behind(row, cut) for row, cut in zip(rows, cuts, strict=True)], model.pad)
    return BatchStart(RenderedBatch(tuple(rows), behind.inputs), _merged(pool, done, cuts), tuple(cached))


def _rows_together(rows: Sequence[Rendered], known: Sequence[int], fresh: int) -> int:
    """Q of the module's formula."""
    new = [len(row.ids) - length for row, length in zip(rows, known, strict=True)]
    for n, row in enumerate(rows):  # what an earlier row of the batch will have computed
        for other in rows[:n] if new[n] > _WORTH_A_LOOK else ():
            most = min(len(row.ids), len(other.ids)) - fresh
            shared = Prefix(other.ids, other.images, ()).shared(row, max(most, 0))
            new[n] = min(new[n], len(row.ids) - shared)

    def cost(together: int) -> int:
        return together * len(rows) + sum(n - together + _ONE_MORE_PASS for n in new if n > together)

    whole = max(len(row.ids) for row in rows)  # no image is cut if everything runs together
    possible = [q for q in {fresh, *new, whole} if q >= fresh and not any(_cuts_images(row, q) for row in rows)]
    return min(possible, key=lambda q: (cost(q), q), default=whole)


def _cuts_images(row: Rendered, together: int) -> bool:
    """Whether some of a row's images, or a part of one, would run with the batch and the rest before it."""
    cut = len(row.ids) - together
    return bool(row.images) and row.images[0].start < cut < row.images[-1].stop


def _prefilled(
    model: TransformersModel, pool: PrefixPool, row: Rendered, prefix: Prefix | None, shared: int, cut: int
) -> Prefix:
    """The keys and values of a prompt's first ``cut`` tokens, of which ``shared`` are in ``prefix``."""
    ids = row.ids[:cut]
    images = tuple(image for image in row.images if image.stop <= cut)
    if prefix is not None and shared == cut:
        return Prefix(ids, images, [(keys[:, :, :cut], values[:, :, :cut]) for keys, values in prefix.layers])
    cache = pool.empty_cache()
    if prefix is not None:
        for number, (keys, values) in enumerate(prefix.layers):
            cache.update(keys[:, :, :shared], values[:, :, :shared], number)
    if cut > shared:
        inputs = on_device(model.model, inputs_after(row, shared) if images else _tokens(row))
        inputs |= {"input_ids": inputs["input_ids"][:, shared:cut], "attention_mask": inputs["attention_mask"][:, :cut]}
        with torch.inference_mode():
            model.model(**inputs, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return Prefix(ids, images, [(layer.keys, layer.values) for layer in cache.layers])


def _behind(row: Rendered, cut: int) -> Rendered:
    """The prompt with the inputs that run with the batch: all tokens, and the pixels behind the cut."""
    inputs = inputs_after(row, cut) if row.images and row.images[0].start >= cut else _tokens(row)
    return Rendered(row.text, inputs, row.spans, row.images)


def _tokens(row: Rendered) -> dict[str, Any]:
    return {name: row.inputs[name] for name in ("input_ids", "attention_mask")}


def _merged(pool: PrefixPool, rows: Sequence[Prefix], cuts: Sequence[int]) -> Any:
    """One cache of all rows, padded on the left."""
    cache, columns = pool.empty_cache(), max(cuts)
    for number in range(len(cache.layers)):
        parts = []
        for kind in (0, 1):
            like = next(row.layers[number][kind] for row, cut in zip(rows, cuts, strict=True) if cut)
            wide = like.new_zeros((len(rows), like.shape[1], columns, like.shape[3]))
            for n, (row, cut) in enumerate(zip(rows, cuts, strict=True)):
                if cut:
                    wide[n, :, columns - cut :] = row.layers[number][kind][0]
            parts.append(wide)
        cache.update(*parts, number)
    return cache
