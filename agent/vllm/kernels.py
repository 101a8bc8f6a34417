"""Reads span masses with the engine's own attention kernel, by giving it labels in the place of values.

Attention is linear in the values: a head's output is o = Σ_j p_j v_j. With the one-hot vector of key j's label in the
place of v_j, column c of the output is Σ_{j in c} p_j, the row's mass on label c. So the same kernel, run once more on
the rows that are read, gives the masses from the keys in the paged cache: no key leaves the layer, no map is formed,
and block tables, chunks, cached prefixes, sliding windows, soft caps and learned sinks are the engine's own.

The labels live in a *label cache*. It has the shape of one layer's key-value cache and serves all layers whose caches
have that shape, because a token's label is the same in every layer.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from vllm import _custom_ops as ops, envs

__all__ = ["CpuKernel", "Rows"]


class Rows(Protocol):
    """The query rows of one kernel call.

    Attributes:
        starts: (n + 1,) int32: where each request's rows begin.
        lengths: (n,) int32: the number of keys that each request's last row sees.
        table: (n, b) int32: the blocks of each request.
        schedule: What :meth:`CpuKernel.schedule` returned for them.
    """

    starts: Tensor
    lengths: Tensor
    table: Tensor
    schedule: Any


class CpuKernel:
    """The kernel of vLLM's CPU backend, ``CPU_ATTN``."""

    def empty(self, kv_cache: Tensor) -> Tensor:
        """Makes a label cache.

        Args:
            kv_cache: (blocks, G, block, 2·D), the layer's cache. The kernel takes one set of strides for keys and
                values, so the label cache has those of the cache.

        Returns:
            Zeros. The half that would hold keys stays empty.

        Raises:
            ValueError: The cache is a view into a larger one, so that a copy of its strides would be as large.
        """
        reach = 1 + sum((n - 1) * step for n, step in zip(kv_cache.shape, kv_cache.stride(), strict=True))
        if reach > kv_cache.numel():
            raise ValueError(f"the key-value cache has strides {kv_cache.stride()}, which a label cache can't have")
        return torch.empty_strided(kv_cache.shape, kv_cache.stride(), dtype=kv_cache.dtype).zero_()

    def write(self, layer: Any, labels: Tensor, values: Tensor, slots: Tensor) -> None:
        """Writes the label vectors of n tokens.

        Args:
            layer: vLLM's attention layer.
            labels: The label cache.
            values: (n, G, D) label vectors.
            slots: (n,) the tokens' slots in the cache.
        """
        keys, held = _halves(labels)
        ops.cpu_attn_reshape_and_cache(values, values, keys, held, slots, layer.isa)

    def schedule(self, layer: Any, window: int, starts: Tensor, lengths: Tensor, dtype: torch.dtype) -> Tensor:
        """Divides the work among threads.

        Args:
            layer: vLLM's attention layer.
            window: The sliding window that all layers have; -1 for none, or where they differ.
            starts: As in :class:`Rows`.
            lengths: As in :class:`Rows`.
            dtype: The queries' type.

        Returns:
            The kernel's schedule.
        """
        found: Tensor = ops.cpu_attn_get_scheduler_metadata(
            num_reqs=len(lengths),
            num_heads=layer.num_heads,
            num_kv_heads=layer.num_kv_heads,
            head_dim=layer.head_size,
            seq_lens=lengths,
            dtype=dtype,
            query_start_loc=starts,
            causal=True,
            sliding_window_size=window,
            isa=layer.isa,
            enable_kv_split=envs.VLLM_CPU_ATTN_SPLIT_KV,
        )
        return found

    def read(self, layer: Any, kv_cache: Tensor, labels: Tensor, query: Tensor, rows: Rows, out: Tensor) -> None:
        """Runs the kernel.

        Args:
            layer: vLLM's attention layer.
            kv_cache: Its key-value cache.
            labels: The label cache.
            query: (R, H, D) queries.
            rows: Where the rows are.
            out: (R, H, D) the sums, which are written.
        """
        impl = layer.impl
        ops.cpu_attention_with_kv_cache(
            query=query,
            key_cache=_halves(kv_cache)[0],
            value_cache=_halves(labels)[1],
            output=out,
            query_start_loc=rows.starts,
            seq_lens=rows.lengths,
            scale=impl.scale,
            causal=True,
            alibi_slopes=impl.alibi_slopes,
            sliding_window=impl.sliding_window,
            block_table=rows.table,
            softcap=impl.logits_soft_cap,
            scheduler_metadata=rows.schedule,
            s_aux=impl.sinks,
        )


def _halves(cache: Tensor) -> tuple[Tensor, Tensor]:
    """The parts of a cache that hold keys and values."""
    blocks, heads, block, _ = cache.shape
    keys, values = cache.view(blocks, heads, block * 2, -1).chunk(2, dim=2)
    return keys, values
