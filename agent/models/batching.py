"""Answers to many prompts: side by side from a local transformers model, one by one from any other model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from homeostat.agent.models.generation import GenerationCall
from homeostat.agent.models.prefix_pool import PrefixPool
from homeostat.agent.models.protocol import Model
from homeostat.agent.models.rows import Row
from homeostat.agent.models.side_by_side import answer_rows, rolls
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.errors import CallInterrupted
from homeostat.sensors.chat.messages import Prompt

__all__ = ["answer_all"]

_AHEAD = 4
"""Prompts are rendered ahead, so many times the size of a batch."""


def answer_all(
    model: Model,
    prompts: Sequence[Prompt],
    *,
    batch: int = 16,
    max_new_tokens: int = 64,
    on_progress: Callable[[int], None] = lambda done: None,
) -> list[str]:
    """Answers many prompts greedily.

    Args:
        model: The model. A :class:`~homeostat.agent.TransformersModel` answers them side by side.
        prompts: The prompts.
        batch: The most prompts at a time.
        max_new_tokens: The most tokens of an answer.
        on_progress: Called with the number of prompts answered so far, as they are answered.

    Returns:
        One text for each prompt, in order.

    Raises:
        ModelError: A prompt can't be rendered, or the model can't answer it.
        PromptTooLong: A prompt does not fit the model's context.
        CallInterrupted: The model was interrupted.
    """
    if not isinstance(model, TransformersModel):
        texts = []
        for prompt in prompts:
            texts.append(model.generate(prompt, max_new_tokens=max_new_tokens, watch=False)[0].text)
            on_progress(len(texts))
        return texts
    call = GenerationCall(max_new_tokens=max_new_tokens, watch=False)
    pool = PrefixPool(model.model.config.get_text_config(decoder=True), batch)
    found: list[str] = []
    while len(found) < len(prompts):
        group = prompts[len(found) : len(found) + _AHEAD * batch]
        rows = [Row(prompt, call, rendered=model.renderer.render(prompt)) for prompt in group]
        if not rolls(model, [row.rendered for row in rows if row.rendered is not None], pool):
            rows = rows[:batch]
        begun, done = len(found), 0

        def ended(number: int) -> None:
            nonlocal done
            done += 1
            on_progress(begun + done)  # noqa: B023 - called within this turn of the loop

        for (answer,) in answer_rows(model, rows, pool, slots=batch, on_end=ended):
            if answer.finish == "length" and len(answer.tokens) < max_new_tokens:
                raise CallInterrupted(f"{model.name!r}: a batch was interrupted; answer it again")
            found.append(answer.text)
    return found
