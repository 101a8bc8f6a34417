"""A model's answer given, not generated: what it finds of it (teacher forcing), in one forward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from homeostat import sensors
from homeostat.agent.models.kv_cache import PrefixCache
from homeostat.errors import ModelError
from homeostat.sensors.attempts import Readout, SpanMass
from homeostat.sensors.chat.rendering import Rendered
from homeostat.sensors.steering.actuators import Actuator

__all__ = ["hidden_states", "on_device", "read_forced", "score"]


def score(
    model: Any, rendered: Rendered, prefix: PrefixCache, tokens: Sequence[int], steer: Sequence[Actuator] = ()
) -> NDArray[np.float32]:
    """(T, V) natural-log probabilities at each of ``tokens``; only what the cache does not hold is run.

    Under ``steer`` all is run, and nothing is kept.
    """
    if steer:
        inputs = _with_answer(on_device(model, rendered.inputs), tokens)
        with sensors.watch(model, sinks=False) as probe, torch.inference_mode():
            probe.start(rendered.as_spans(), steer=steer)
            out = model(**inputs, use_cache=False, logits_to_keep=len(tokens))
            steered: NDArray[np.float32] = torch.log_softmax(out.logits[0].float(), -1).cpu().numpy()
        return steered
    start = prefix.start(rendered)
    inputs = _with_answer(on_device(model, start.inputs), tokens)
    inputs["input_ids"] = inputs["input_ids"][:, start.cached :]
    with torch.inference_mode():
        out = model(**inputs, past_key_values=start.cache, use_cache=True, logits_to_keep=len(tokens))
        scores: NDArray[np.float32] = torch.log_softmax(out.logits[0].float(), -1).cpu().numpy()
    prefix.keep(start.cache, [*rendered.ids, *tokens[:-1]], rendered.images)
    return scores


def read_forced(
    model: Any,
    rendered: Rendered,
    tokens: Sequence[int],
    layers: Literal["all"] | Sequence[int],
    rows: int,
    readout: Readout,
) -> SpanMass:
    """What the probe reads of ``tokens`` after the prompt. Sinks are not measured (they would be known too late)."""
    inputs = _with_answer(on_device(model, rendered.inputs), tokens)
    with (
        sensors.watch(model, layers=layers, rows=rows, sinks=False, readout=readout) as probe,
        torch.inference_mode(),
    ):
        probe.start(rendered.as_spans())
        model(**inputs, use_cache=False, logits_to_keep=1)
        return probe.result()


def hidden_states(model: Any, rendered: Rendered) -> NDArray[np.float32]:
    """(L + 1, P, D) the residual stream at the prompt's tokens, entering each layer and, normed, after the last."""
    with torch.inference_mode():
        out = model(**on_device(model, rendered.inputs), use_cache=False, output_hidden_states=True, logits_to_keep=1)
    states: NDArray[np.float32] = torch.stack([h[0].float() for h in out.hidden_states]).cpu().numpy()
    return states


def on_device(model: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs on the model's device, floating-point ones in its type."""
    return {
        k: v.to(model.device, model.dtype if torch.is_floating_point(v) else None) if hasattr(v, "to") else v
        for k, v in inputs.items()
    }


def _with_answer(inputs: dict[str, Any], tokens: Sequence[int]) -> dict[str, Any]:
    """The inputs with all of ``tokens`` but the last behind them: the last needs no row of its own."""
    if not tokens:
        raise ModelError("tokens=() have nothing to be read of; give at least one")
    ids = inputs["input_ids"]
    forced = torch.tensor([list(tokens[:-1])], device=ids.device, dtype=ids.dtype)
    out = inputs | {"input_ids": torch.cat([ids, forced], 1)}
    for name, fill in (("attention_mask", 1), ("token_type_ids", 0), ("mm_token_type_ids", 0)):
        if name in out:
            out[name] = torch.nn.functional.pad(out[name], (0, len(tokens) - 1), value=fill)
    return out
