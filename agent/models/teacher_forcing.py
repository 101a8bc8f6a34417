"""Teacher forcing: one forward pass over a prompt and a given answer, to score the answer or to read its attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from homeostat import sensors
from homeostat.agent.models.generation import PROBED_ROWS
from homeostat.agent.models.inputs import on_device, with_answer
from homeostat.agent.models.kv_cache import KeyValueCache
from homeostat.sensors.attempts import Readout, SpanMass
from homeostat.sensors.chat.rendering import Rendered
from homeostat.sensors.steering.actuators import Actuator

__all__ = ["hidden_states", "read_forced", "score"]


def score(
    model: Any, rendered: Rendered, cache: KeyValueCache, tokens: Sequence[int], steer: Sequence[Actuator] = ()
) -> NDArray[np.float32]:
    """Scores a given answer.

    Only what the cache does not hold is run. With actuators the whole prompt is run and nothing is kept, because the
    keys and values of a steered pass are of no use to another call.

    Args:
        model: The transformers model.
        rendered: The prompt.
        cache: The model's key-value cache between calls.
        tokens: The answer's T tokens.
        steer: The actuators that change attention.

    Returns:
        (T, V) natural-log probabilities over the vocabulary at each token.

    Raises:
        ModelError: There are no tokens.
    """
    if steer:
        inputs = with_answer(on_device(model, rendered.inputs), tokens)
        with sensors.watch(model, sinks=False) as probe, torch.inference_mode():
            probe.start(rendered.as_spans(), steer=steer)
            return _log_probabilities(model(**inputs, use_cache=False, logits_to_keep=len(tokens)))
    start = cache.start(rendered)
    inputs = with_answer(on_device(model, start.inputs), tokens)
    inputs["input_ids"] = inputs["input_ids"][:, start.cached :]
    with torch.inference_mode():
        out = model(**inputs, past_key_values=start.cache, use_cache=True, logits_to_keep=len(tokens))
        scores = _log_probabilities(out)
    cache.keep(start.cache, [*rendered.ids, *tokens[:-1]], rendered.images)
    return scores


def read_forced(
    model: Any,
    rendered: Rendered,
    tokens: Sequence[int],
    layers: Literal["all"] | Sequence[int],
    readout: Readout,
) -> SpanMass:
    """Reads the attention of a given answer.

    Attention sinks are not measured: the probe finds them in the prompt's rows, and here those run in the same forward
    pass as the answer's.

    Args:
        model: The transformers model.
        rendered: The prompt.
        tokens: The answer's T tokens.
        layers: The layers that the probe reads: ``"all"``, or indices.
        readout: What the probe records besides span masses.

    Returns:
        The span masses of the T tokens.

    Raises:
        ModelError: There are no tokens.
    """
    inputs = with_answer(on_device(model, rendered.inputs), tokens)
    with (
        sensors.watch(model, layers=layers, rows=PROBED_ROWS, sinks=False, readout=readout) as probe,
        torch.inference_mode(),
    ):
        probe.start(rendered.as_spans())
        model(**inputs, use_cache=False, logits_to_keep=1)
        return probe.result()


def hidden_states(model: Any, rendered: Rendered) -> NDArray[np.float32]:
    """Computes the residual stream at a prompt's tokens.

    Args:
        model: The transformers model, of L layers and width D.
        rendered: The prompt, of P tokens.

    Returns:
        (L + 1, P, D): the states that enter each layer and, after the final norm, those behind the last layer.
    """
    with torch.inference_mode():
        out = model(**on_device(model, rendered.inputs), use_cache=False, output_hidden_states=True, logits_to_keep=1)
    states: NDArray[np.float32] = torch.stack([h[0].float() for h in out.hidden_states]).cpu().numpy()
    return states


def _log_probabilities(out: Any) -> NDArray[np.float32]:
    """(T, V) natural-log probabilities from a forward pass's logits."""
    scores: NDArray[np.float32] = torch.log_softmax(out.logits[0].float(), -1).cpu().numpy()
    return scores
