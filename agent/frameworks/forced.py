"""Reads the attention of an answer that another model call produced, by teacher forcing on a local model.

A framework's chat model returns text alone, perhaps from a server. Where a local copy of the same weights is there, it
is given the prompt and the answer in one forward pass, and the probe reads the attention that the answer's tokens pay
to every span. The prompt is rendered by the local model's own chat template.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from homeostat.actions import Call
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.sensors.attempts import Attempt, Readout
from homeostat.sensors.chat.messages import Prompt

__all__ = ["forced_attempt", "spelled"]


def spelled(text: str, calls: Sequence[Call], model: TransformersModel) -> str:
    """Spells an answer as the model would have written it.

    Args:
        text: What the assistant says.
        calls: The tools that it calls.
        model: The model, whose style says how calls are written.

    Returns:
        The text, with the calls behind it.
    """
    wording = model.style.conversation.call
    lines = [
        wording.format(call=json.dumps({"name": call.tool, "arguments": call.arguments}, ensure_ascii=False))
        for call in calls
    ]
    return "\n".join(([text] if text else []) + lines)


def forced_attempt(model: TransformersModel, prompt: Prompt, text: str, readout: bool | Readout) -> Attempt:
    """Reads a given answer.

    Args:
        model: The local model.
        prompt: The prompt that was answered.
        text: The answer.
        readout: What the probe records; False for log-probabilities alone.

    Returns:
        The attempt, with T tokens, their log-probabilities, and the attention that they pay to every span.

    Raises:
        ModelError: The prompt can't be rendered.
        PromptTooLong: Prompt and answer don't fit the model's context.
    """
    tokens: list[int] = model.renderer.tokenizer(text, add_special_tokens=False)["input_ids"]
    if not tokens:
        return Attempt(text=text)
    wanted = readout if isinstance(readout, Readout) else Readout()
    spans = model.read(prompt, tokens, wanted) if readout is not False else None
    scores = np.maximum(model.score(prompt, tokens).astype(np.float64), -1e4)  # minus infinity times 0 is no number
    best = np.exp(np.sort(scores, axis=1)[:, -2:])
    return Attempt(
        text=text,
        tokens=tuple(tokens),
        logprobs=tuple(scores[np.arange(len(tokens)), tokens].tolist()),
        entropy=tuple((-(np.exp(scores) * scores).sum(axis=1)).tolist()),
        margin=tuple((best[:, 1] - best[:, 0]).tolist()),
        spans=spans,
        prompt_tokens=len(model.renderer.render(prompt).ids),
    )
