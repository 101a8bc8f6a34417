"""Which modes of vLLM the extension serves; the others are refused by name, before the first request."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from homeostat.agent.vllm.kernels import CpuKernel

__all__ = ["KERNELS", "kernel_of", "refusal"]

KERNELS: dict[str, type[CpuKernel]] = {"CPU_ATTN": CpuKernel}
"""By the name of an attention backend, the kernel that reads with it."""

_EXACT = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 4e-3}
"""How far the kernel's masses may be from those of plain torch, by the cache's type."""


def refusal(worker: Any, layers: dict[int, Any]) -> str:
    """Says why a worker's engine can't be watched.

    Args:
        worker: vLLM's worker.
        layers: Its attention layers.

    Returns:
        One line that names the mode and a way out; "" where nothing stands in the way.
    """
    config = worker.vllm_config
    runner = worker.model_runner
    if not hasattr(runner, "input_batch") or not hasattr(runner, "requests"):
        return "the V2 model runner has no batch that can be read; start with VLLM_USE_V2_MODEL_RUNNER=0"
    if not layers:
        return f"{config.model_config.model!r} has no decoder attention layers to read"
    if config.speculative_config is not None:
        return "speculative decoding runs rows that are taken back; start without --speculative-config"
    if config.parallel_config.pipeline_parallel_size > 1:
        return "pipeline parallelism splits the layers among workers; start with --pipeline-parallel-size 1"
    if config.parallel_config.decode_context_parallel_size > 1:
        return "context parallelism splits the keys among workers; start with --decode-context-parallel-size 1"
    mode = config.compilation_config.cudagraph_mode
    if mode is not None and mode.has_full_cudagraphs():
        return f"cudagraph_mode={mode.name} replays attention without Python; use PIECEWISE or --enforce-eager"
    for index, layer in layers.items():
        backend = layer.attn_backend.get_name()
        if backend not in KERNELS:
            return f"attention backend {backend} of layer {index} is not served; known: {', '.join(KERNELS)}"
        if layer.kv_cache_dtype.startswith(("fp8", "nvfp4", "int8")):
            return f"a key-value cache of type {layer.kv_cache_dtype} is not served; use --kv-cache-dtype auto"
        if layer.head_size != layer.head_size_v:
            return f"layer {index} has values of another size than its keys, which is not served"
        off = _difference(layer, kernel_of(layer))
        if off > _EXACT.get(layer.kv_cache.dtype, 0.0):
            return f"the kernel {backend} gives masses that are {off:.1g} off plain torch's, so it is not served"
    if len({layer.num_heads for layer in layers.values()}) > 1:
        return "the layers differ in their number of heads, which is not served"
    return ""


def kernel_of(layer: Any) -> CpuKernel:
    """Finds the kernel that reads with a layer's backend.

    Args:
        layer: vLLM's attention layer.

    Returns:
        The kernel.

    Raises:
        KeyError: No kernel reads with the backend.
    """
    return KERNELS[layer.attn_backend.get_name()]()


def _difference(layer: Any, kernel: CpuKernel) -> float:
    """Reads a random prompt with the kernel and with plain torch, in blocks of their own.

    Soft caps, learned sinks and slopes are the kernel's own, so they are switched off for the comparison.
    """
    cache = layer.kv_cache
    block, heads, size = cache.shape[2], layer.num_kv_heads, layer.head_size
    tokens, rows = block + block // 2, 3
    keys = torch.randn(tokens, heads, size, generator=torch.Generator().manual_seed(0)).to(cache.dtype)
    query = torch.randn(rows, layer.num_heads, size, generator=torch.Generator().manual_seed(1)).to(cache.dtype)
    column = torch.arange(tokens) % 3
    paged, labels = (torch.zeros(3, *cache.shape[1:], dtype=cache.dtype) for _ in range(2))
    vectors = torch.nn.functional.one_hot(column, size)[:, None].expand(-1, heads, -1).contiguous().to(cache.dtype)
    slots = torch.arange(tokens) + block
    kernel.write(layer, paged, keys, slots)
    kernel.write(layer, labels, vectors, slots)
    out = torch.empty_like(query)
    plain = _Plain(layer)
    call = _Rows(torch.tensor([0, rows], dtype=torch.int32), torch.tensor([tokens], dtype=torch.int32))
    call.schedule = kernel.schedule(layer, -1, call.starts, call.lengths, cache.dtype)
    kernel.read(plain, paged, labels, query, call, out)
    scores = torch.einsum("rhd,khd->hrk", query.float(), keys.float().repeat_interleave(layer.num_heads // heads, 1))
    seen = torch.arange(tokens) <= torch.arange(tokens - rows, tokens)[:, None]
    weights = (scores * layer.impl.scale).masked_fill(~seen, float("-inf")).softmax(-1)
    masses = torch.stack([weights[..., column == c].sum(-1) for c in range(3)], -1).transpose(0, 1)
    return float((out[..., :3].float() - masses).abs().max())


class _Rows:
    """The rows of the comparison."""

    def __init__(self, starts: Tensor, lengths: Tensor) -> None:
        self.starts, self.lengths = starts, lengths
        self.table = torch.tensor([[1, 2]], dtype=torch.int32)
        self.schedule: Any = None


class _Plain:
    """A layer without soft cap, learned sinks, slopes and window."""

    def __init__(self, layer: Any) -> None:
        self.impl = self
        self.scale, self.isa = layer.impl.scale, layer.isa
        self.alibi_slopes, self.sliding_window, self.logits_soft_cap, self.sinks = None, -1, 0, None
