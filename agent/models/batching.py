"""A model's answers to many prompts: batched and greedy where its weights are at hand, one by one elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from homeostat.agent.models.protocol import Model
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.chat.rendering import Rendered

__all__ = ["answer_all"]

Told = Callable[[int], None]


def answer_all(
    model: Model, prompts: Sequence[Prompt], *, batch: int = 16, max_new_tokens: int = 64, told: Told = lambda n: None
) -> list[str]:
    """One greedy answer a prompt, in order. ``told`` hears how many are done. Raises :class:`ModelError`."""
    if not isinstance(model, TransformersModel):
        texts = []
        for prompt in prompts:
            texts.append(model.generate(prompt, max_new_tokens=max_new_tokens, watch=False)[0].text)
            told(len(texts))
        return texts
    found: dict[int, str] = {}
    for group in _groups(model, prompts, batch):
        found |= zip([n for n, _ in group], _batch(model, [r for _, r in group], max_new_tokens), strict=True)
        told(len(found))
    return [found[n] for n in range(len(prompts))]


def _groups(model: TransformersModel, prompts: Sequence[Prompt], size: int) -> Iterator[list[tuple[int, Rendered]]]:
    """Prompts of like inputs together: the same fields, and pixels that can be put side by side."""
    waiting: dict[Any, list[tuple[int, Rendered]]] = {}
    for n, prompt in enumerate(prompts):
        rendered = model.renderer.render(prompt)
        shape = tuple(
            (k, tuple(v.shape)) for k, v in sorted(rendered.inputs.items()) if k not in ("input_ids", "attention_mask")
        )
        group = waiting.setdefault(shape, [])
        group.append((n, rendered))
        if len(group) == size:
            yield waiting.pop(shape)
    for group in waiting.values():
        yield from ([one] for one in group) if _by_token(group[0][1]) else [group]


def _by_token(rendered: Rendered) -> bool:
    """Whether an input besides ids and mask has a number for every token: such prompts are not padded here."""
    length = len(rendered.ids)
    return any(
        tuple(v.shape) == (1, length)
        for k, v in rendered.inputs.items()
        if k not in ("input_ids", "attention_mask") and hasattr(v, "shape")
    )


def _batch(model: TransformersModel, rows: Sequence[Rendered], max_new_tokens: int) -> list[str]:
    import torch
    from transformers import GenerationConfig

    from homeostat.agent.models.teacher_forcing import on_device

    tokenizer = model.renderer.tokenizer
    length = max(len(r.ids) for r in rows)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    ids = torch.full((len(rows), length), pad)
    mask = torch.zeros_like(ids)
    for n, row in enumerate(rows):
        ids[n, length - len(row.ids) :] = torch.tensor(row.ids)
        mask[n, length - len(row.ids) :] = 1
    inputs: dict[str, Any] = {
        k: torch.cat([r.inputs[k] for r in rows]) for k in rows[0].inputs if k not in ("input_ids", "attention_mask")
    }
    stops = sorted(model.stops)
    config = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=max_new_tokens, do_sample=False, eos_token_id=stops or None, pad_token_id=pad
    )
    with torch.inference_mode():
        given = on_device(model.model, {"input_ids": ids, "attention_mask": mask} | inputs)
        out = model.model.generate(**given, generation_config=config)[:, length:].tolist()
    texts = []
    for row in out:
        end = next((k for k, token in enumerate(row) if token in model.stops), len(row))
        texts.append(tokenizer.decode(row[:end], skip_special_tokens=True, clean_up_tokenization_spaces=False))
    return texts
