"""Reads the attention of the answer's first token for many prompts at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from homeostat.agent.models.generation import GenerationCall
from homeostat.agent.models.prefix_pool import PrefixPool
from homeostat.agent.models.rows import Row
from homeostat.agent.models.side_by_side import answer_rows
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.sensors.attempts import SpanMass
from homeostat.sensors.chat.messages import Prompt

__all__ = ["first_masses"]


def first_masses(
    model: TransformersModel,
    prompts: Sequence[Prompt],
    *,
    batch: int = 8,
    on_progress: Callable[[int], None] = lambda done: None,
) -> list[SpanMass]:
    """Reads the masses of the token that would begin the answer.

    Args:
        model: The model.
        prompts: The prompts.
        batch: The most prompts at a time.
        on_progress: Called with the number of prompts read so far.

    Returns:
        The span masses of each prompt.

    Raises:
        ModelError: A prompt can't be rendered.
        PromptTooLong: A prompt does not fit the model's context.
    """
    call = GenerationCall(max_new_tokens=1)
    pool = PrefixPool(model.model.config.get_text_config(decoder=True), batch)
    found: list[SpanMass] = []
    for first in range(0, len(prompts), batch):
        rows = [Row(prompt, call) for prompt in prompts[first : first + batch]]
        for (answer,) in answer_rows(model, rows, pool):
            assert answer.spans is not None
            found.append(answer.spans)
        on_progress(len(found))
    return found
