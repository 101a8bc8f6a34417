"""Answers to many prompts: in batches from a local transformers model, one by one from any other model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from homeostat.agent.models.capacity import check_length
from homeostat.agent.models.protocol import Model
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.errors import CallInterrupted
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.chat.rendering import Rendered

__all__ = ["answer_all"]

_PADDED = ("input_ids", "attention_mask")
"""The inputs that are padded to a batch's longest prompt."""


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
        model: The model. A :class:`~homeostat.agent.TransformersModel` answers in batches.
        prompts: The prompts.
        batch: The most prompts of one batch.
        max_new_tokens: The most tokens of an answer.
        on_progress: Called with the number of prompts answered so far, after every batch.

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
    found: dict[int, str] = {}
    for group in _groups(model, prompts, batch):
        rows = [rendered for _, rendered in group]
        for row in rows:
            check_length(model.name, len(row.ids), max_new_tokens, model.context)
        answers = _answer_batch(model, rows, max_new_tokens)
        found |= zip([number for number, _ in group], answers, strict=True)
        on_progress(len(found))
    return [found[number] for number in range(len(prompts))]


def _groups(model: TransformersModel, prompts: Sequence[Prompt], size: int) -> Iterator[list[tuple[int, Rendered]]]:
    """Groups prompts whose inputs can be stacked: the same fields, and images of the same shape."""
    waiting: dict[Any, list[tuple[int, Rendered]]] = {}
    for number, prompt in enumerate(prompts):
        rendered = model.renderer.render(prompt)
        shapes = tuple((k, tuple(v.shape)) for k, v in sorted(rendered.inputs.items()) if k not in _PADDED)
        group = waiting.setdefault(shapes, [])
        group.append((number, rendered))
        if len(group) == size:
            yield waiting.pop(shapes)
    for group in waiting.values():
        yield from ([one] for one in group) if _has_token_input(group[0][1]) else [group]


def _has_token_input(rendered: Rendered) -> bool:
    """Whether an input besides ids and mask has one number for each token. Such an input can't be padded here."""
    length = len(rendered.ids)
    return any(
        tuple(v.shape) == (1, length) for k, v in rendered.inputs.items() if k not in _PADDED and hasattr(v, "shape")
    )


def _answer_batch(model: TransformersModel, rows: Sequence[Rendered], max_new_tokens: int) -> list[str]:
    """Answers one batch. Prompts are padded on the left."""
    import torch
    from transformers import GenerationConfig, StoppingCriteriaList

    from homeostat.agent.models.inputs import on_device
    from homeostat.agent.models.stopping import Progress

    tokenizer = model.renderer.tokenizer
    length = max(len(row.ids) for row in rows)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    ids = torch.full((len(rows), length), pad)
    mask = torch.zeros_like(ids)
    for number, row in enumerate(rows):
        ids[number, length - len(row.ids) :] = torch.tensor(row.ids)
        mask[number, length - len(row.ids) :] = 1
    inputs: dict[str, Any] = {k: torch.cat([row.inputs[k] for row in rows]) for k in rows[0].inputs if k not in _PADDED}
    config = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=max_new_tokens, do_sample=False, eos_token_id=sorted(model.stops) or None, pad_token_id=pad
    )
    with model.calling() as stop, torch.inference_mode():
        progress = Progress(stop)
        given = on_device(model.model, {"input_ids": ids, "attention_mask": mask} | inputs)
        stopping = StoppingCriteriaList([progress])
        out = model.model.generate(**given, generation_config=config, stopping_criteria=stopping)[:, length:].tolist()
        if stop.interrupted:
            raise CallInterrupted(f"{model.name!r}: a batch was interrupted; answer it again")
    texts = []
    for tokens in out:
        end = next((k for k, token in enumerate(tokens) if token in model.stops), len(tokens))
        texts.append(tokenizer.decode(tokens[:end], skip_special_tokens=True, clean_up_tokenization_spaces=False))
    return texts
