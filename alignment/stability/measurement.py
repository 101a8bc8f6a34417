"""Measures the attention logits, the attention entropy and the output logits of a model's own forward passes.

- *Attention entropy* (Zhai et al., arXiv 2303.06296, section 3): −Σ p log p of each attention row. Here it is divided
  by log(visible keys), so 1 is uniform and 0 is a single key, and averaged over the rows that see at least two keys.
- *Attention logits* (Wortsman et al., arXiv 2309.14322, section 3.1.1): the largest q·k/√d of a visible key.
- *Output logits* (the same paper, section 3.1.2): log Z, the log of the sum of the exponentials of the output logits,
  averaged over tokens. It drifts away from its value at the start when the output logits diverge.

Within :func:`measuring`, torch's SDPA still computes every attention output, so training is unchanged to the last bit.
Beside it, the weights are computed once more, without gradients, in chunks of rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from homeostat.errors import ConfigError
from homeostat.sensors.probe.architectures import find_layers
from homeostat.sensors.probe.explicit_attention import MASKED, RowMask, row_chunks

__all__ = ["Measurement", "measuring", "why_not_measured"]

_IMPLEMENTATION = "sdpa"


@dataclass
class Measurement:
    """What was measured over one or several forward passes.

    Attributes:
        entropy: The mean normalised attention entropy by layer, in [0, 1]. Layers that did not run are missing.
        max_logit: The largest attention logit by layer.
        log_z: The mean log Z of the output logits; None if the output layer was not called.
    """

    entropy: dict[int, float] = field(default_factory=dict)
    max_logit: dict[int, float] = field(default_factory=dict)
    log_z: float | None = None

    def figures(self) -> dict[str, float]:
        """Returns the values by name, for a log.

        Returns:
            ``attention_entropy/LAYER`` and ``attention_logit/LAYER`` for each layer, ``attention_logit``, the largest
            of any layer, and ``log_z``, if it was measured.
        """
        found = {f"attention_entropy/{layer}": value for layer, value in sorted(self.entropy.items())}
        found |= {f"attention_logit/{layer}": value for layer, value in sorted(self.max_logit.items())}
        if self.max_logit:
            found["attention_logit"] = max(self.max_logit.values())
        return found | ({} if self.log_z is None else {"log_z": self.log_z})


class _Sums:
    """Sums over the calls of one layer, on the model's device, so that nothing waits for the device before the end."""

    def __init__(self) -> None:
        self.entropy: list[Tensor] = []
        self.rows: list[Tensor] = []
        self.largest: list[Tensor] = []

    def add(self, query: Tensor, key: Tensor, rows: RowMask, scale: float) -> None:
        batch, heads, queries, size = query.shape
        groups, keys = key.shape[1:3]
        for first, stop in row_chunks(0, queries, batch * heads * keys):
            folded = (query[:, :, first:stop].float() * scale).reshape(batch * groups, -1, size)
            scores = torch.bmm(folded, key.float().flatten(0, 1).mT).view(batch, heads, stop - first, keys)
            mask = rows.rows(first, stop)
            if mask is not None and mask.dtype != torch.bool:
                scores, mask = scores + mask, mask > MASKED
            seen = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask.expand_as(scores)
            scores = scores.masked_fill(~seen, float("-inf"))
            count = seen.sum(-1)
            logs = scores.log_softmax(-1)
            entropy = -(logs.exp() * logs).masked_fill(~seen, 0).sum(-1) / count.clamp(min=2).log()
            several = count >= 2
            self.entropy.append(entropy.masked_fill(~several, 0).sum(dtype=torch.float64))
            self.rows.append(several.sum())
            self.largest.append(scores.amax())


def why_not_measured(modules: Iterable[nn.Module]) -> str:
    """Checks whether attention modules can be measured.

    Args:
        modules: The attention modules.

    Returns:
        The reason why they can't be measured, in one line; empty if they can.
    """
    for module in modules:
        config: Any = module.config
        if config._attn_implementation != _IMPLEMENTATION:
            return (
                f"the attention implementation {config._attn_implementation!r} can't be measured; load the model with "
                f"attn_implementation={_IMPLEMENTATION!r}"
            )
    return ""


@contextmanager
def measuring(model: nn.Module, layers: Mapping[int, nn.Module] | None = None) -> Iterator[Measurement]:
    """Measures every forward pass of a model within a ``with`` block. The measurement is complete after the block.

    Compiled layers run uncompiled within the block.

    Args:
        model: A transformers model, with or without a PEFT adapter, whose attention implementation is ``sdpa``.
        layers: The attention modules to measure, by layer; None finds all.

    Yields:
        The measurement.

    Raises:
        ConfigError: The model has another attention implementation.
        ProbeError: The attention of this architecture can't be read.
    """
    indices = {module: index for index, module in (layers or find_layers(model, "all")).items()}
    if reason := why_not_measured(indices):
        raise ConfigError(reason)
    plain: Any = ALL_ATTENTION_FUNCTIONS[_IMPLEMENTATION]
    sums: dict[int, _Sums] = {}
    logs: list[Tensor] = []

    def attend(
        module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **settings: Any
    ) -> Any:
        if module in indices:
            scale = settings.get("scaling")
            causal = settings.get("is_causal")
            causal = bool(getattr(module, "is_causal", True) if causal is None else causal)
            with torch.no_grad():
                rows = RowMask(attention_mask, query.shape[2], key.shape[2], causal, query.device)
                scale = query.shape[-1] ** -0.5 if scale is None else scale
                sums.setdefault(indices[module], _Sums()).add(query, key, rows, scale)
        return plain(module, query, key, value, attention_mask, **settings)

    def spoken(module: nn.Module, args: Any, out: Tensor) -> None:
        if out.numel():
            logs.append(out.detach().float().logsumexp(-1).mean())

    result = Measurement()
    outer: Any = model
    head = outer.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    hook = None if head is None else head.register_forward_hook(spoken)
    AttentionInterface.register(_IMPLEMENTATION, attend)
    try:
        with torch.compiler.set_stance("force_eager"):
            yield result
    finally:
        AttentionInterface.register(_IMPLEMENTATION, plain)
        if hook is not None:
            hook.remove()
    for layer, one in sorted(sums.items()):
        count = int(torch.stack(one.rows).sum())
        if count:
            result.entropy[layer] = float(torch.stack(one.entropy).sum()) / count
        result.max_logit[layer] = float(torch.stack(one.largest).amax())
    result.log_z = float(torch.stack(logs).mean()) if logs else None
