"""The extension of vLLM's workers: ``worker_extension_cls="homeostat.agent.vllm.worker.AttentionWorker"``.

vLLM mixes the class into its worker. Its methods are called with ``collective_rpc``; each takes and returns plain
values only. Nothing here imports transformers, so the worker's process stays as it is without the extension.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["AttentionWorker"]


class AttentionWorker:
    """Reads and steers the attention of requests that carry a :class:`~homeostat.agent.vllm.SpanRequest`."""

    model_runner: Any
    vllm_config: Any

    def homeostat_setup(self) -> dict[str, Any]:
        """Begins to watch the worker's attention layers. A second call changes nothing.

        Returns:
            ``refused``, why this engine can't be watched, or ""; the number of ``layers`` and ``heads``; the
            ``backend``; and ``label_bytes``, the memory of one label cache.
        """
        from homeostat.agent.vllm.modes import kernel_of, refusal

        layers = self._homeostat_layers()
        told = {"refused": "", "layers": len(layers), "heads": 0, "backend": "", "label_bytes": 0}
        if getattr(self, "_homeostat", None) is None:
            try:
                told["refused"] = refusal(self, layers)
                if not told["refused"]:
                    self._homeostat = self._homeostat_watcher(layers, kernel_of(next(iter(layers.values()))))
            except Exception as error:  # the engine goes on without the extension
                told["refused"] = f"the worker could not be watched ({type(error).__name__}: {error})"
        if told["refused"]:
            return told
        layer = next(iter(layers.values()))
        size = layer.kv_cache.numel() * layer.kv_cache.element_size()
        return told | {"heads": layer.num_heads, "backend": layer.attn_backend.get_name(), "label_bytes": size}

    def homeostat_take(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Returns what was read of ended requests, and forgets it.

        Args:
            keys: The keys of the requests.

        Returns:
            By key, what :func:`~homeostat.agent.vllm.wire.joined_masses` takes from each rank.
        """
        watcher = getattr(self, "_homeostat", None)
        if watcher is None:
            return {key: {"error": "the worker is not watched; call homeostat_setup", "samples": {}} for key in keys}
        return {key: watcher.take(key) for key in keys}

    def homeostat_status(self) -> dict[str, int]:
        """Counts open requests, requests whose masses wait for their client, and the bytes of all that is kept."""
        watcher = getattr(self, "_homeostat", None)
        return {} if watcher is None else watcher.status()

    def _homeostat_layers(self) -> dict[int, Any]:
        """By index, the decoder's attention layers."""
        from vllm.model_executor.layers.attention import Attention
        from vllm.model_executor.models.utils import extract_layer_index
        from vllm.v1.attention.backend import AttentionType

        found = {}
        for name, layer in self.vllm_config.compilation_config.static_forward_context.items():
            if isinstance(layer, Attention) and layer.attn_type == AttentionType.DECODER:
                found[extract_layer_index(name)] = layer
        return dict(sorted(found.items()))

    def _homeostat_watcher(self, layers: dict[int, Any], kernel: Any) -> Any:
        from homeostat.agent.vllm.seeds import step_generators
        from homeostat.agent.vllm.watcher import Watcher

        runner = self.model_runner
        by_name = {
            name: group
            for group, spec in enumerate(runner.kv_cache_config.kv_cache_groups)
            for name in spec.layer_names
        }
        groups = {
            index: by_name[layer.kv_sharing_target_layer_name or layer.layer_name] for index, layer in layers.items()
        }
        first = next(iter(layers.values()))
        parallel = self.vllm_config.parallel_config
        rank = parallel.rank % parallel.tensor_parallel_size
        heads = range(rank * first.num_heads, (rank + 1) * first.num_heads)

        def batch() -> list[str]:
            if runner.device.type == "cpu":
                step_generators(runner)
            return [name for name in runner.input_batch.req_ids if name is not None]

        shares = heads, first.num_heads * parallel.tensor_parallel_size
        watcher = Watcher(layers, groups, kernel, batch, runner.requests, shares)
        original = runner.sampler.gather_logprobs

        def gather(logprobs: Any, count: int, token_ids: Any) -> Any:
            if not runner.num_prompt_logprobs:  # otherwise these may be a prompt's
                watcher.distributions(logprobs)
            return original(logprobs, count, token_ids)

        if self.vllm_config.model_config.logprobs_mode == "processed_logprobs":
            runner.sampler.gather_logprobs = gather
        return watcher
