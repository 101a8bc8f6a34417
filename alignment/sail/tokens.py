"""Pairs as tokens, and teacher forcing of many answers in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from homeostat.agent.models.inputs import on_device
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.alignment.preference.pairs import Pair, chat_of
from homeostat.errors import ConfigError
from homeostat.sensors.chat.messages import Message, Part, Prompt
from homeostat.sensors.chat.rendering import Rendered, Renderer

__all__ = ["Forced", "Tokens", "answer_logprobs", "answer_tokens", "batches", "padded", "tokenise"]


@dataclass(frozen=True)
class Tokens:
    """A pair as tokens.

    Attributes:
        prompt: The rendered prompt of P tokens.
        chosen: The C tokens of the chosen answer, with those that end the turn.
        rejected: The R tokens of the rejected answer, with those that end the turn.
        higher: Labels of the spans of the higher instruction.
    """

    prompt: Rendered
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]
    higher: tuple[str, ...]


Forced = tuple[Rendered, tuple[int, ...]]
"""A prompt, and the answer tokens that are forced after it."""


def answer_tokens(renderer: Renderer, prompt: Prompt, answer: str) -> tuple[int, ...]:
    """Tokenises an answer as the chat template writes it, with the tokens that end the turn.

    Args:
        renderer: The model's renderer.
        prompt: The prompt.
        answer: The answer.

    Returns:
        The tokens.
    """
    templating = renderer.templating
    answered = Prompt((*prompt.messages, Message("assistant", (Part("output", answer),))))
    chat, images = chat_of(answered)
    if not images:  # the template of a text model expects plain strings
        chat = [m | {"content": "".join(p["text"] or "" for p in m["content"])} for m in chat]
    text: str = templating.apply_chat_template(chat, tokenize=False, add_generation_prompt=False)
    at = text.rfind(answer)
    ending = text[at:] if at >= 0 else answer + (renderer.tokenizer.eos_token or "")
    return tuple(renderer.tokenizer(ending, add_special_tokens=False)["input_ids"])


def tokenise(renderer: Renderer, pairs: Sequence[Pair]) -> list[Tokens]:
    """Tokenises pairs.

    Args:
        renderer: The model's renderer.
        pairs: The pairs.

    Returns:
        The pairs as tokens.

    Raises:
        ConfigError: The two answers of a row have the same tokens. The message names the row.
        ModelError: A prompt can't be rendered for this model.
    """
    found = []
    for n, pair in enumerate(pairs, start=1):
        sides = [answer_tokens(renderer, pair.prompt, text) for text in (pair.chosen, pair.rejected)]
        if sides[0] == sides[1]:
            raise ConfigError(
                f"row {n}: chosen and rejected have the same tokens, {pair.chosen[:40]!r}; remove the row"
            )
        found.append(Tokens(renderer.render(pair.prompt), sides[0], sides[1], pair.higher))
    return found


def batches(rows: Sequence[Forced], size: int) -> Iterator[list[int]]:
    """Groups rows that can run in one batch, with rows of similar length together.

    Args:
        rows: Prompts with answers.
        size: The largest number of rows in a batch.

    Yields:
        The places of a batch's rows in ``rows``.
    """
    groups: dict[Any, list[int]] = {}
    for n, (prompt, _) in enumerate(rows):
        extra = sorted((k, tuple(v.shape)) for k, v in _extra(prompt).items())
        by_token = any(tuple(v.shape) == (1, len(prompt.ids)) for v in _extra(prompt).values())
        groups.setdefault((tuple(extra), n if by_token else -1), []).append(n)
    for group in groups.values():
        group.sort(key=lambda n: len(rows[n][0].ids) + len(rows[n][1]))
        yield from (group[i : i + size] for i in range(0, len(group), size))


def padded(model: Any, rows: Sequence[Forced]) -> tuple[dict[str, Any], list[int]]:
    """Pads a batch. All prompts end at the same place, with padding on the left.

    The answers follow, with padding on the right and without their last token, which predicts nothing.

    Args:
        model: A transformers model, for its device.
        rows: Prompts with answers, from one group of :func:`batches`.

    Returns:
        The model's inputs, and the number of padding tokens before each prompt.
    """
    longest = max(len(prompt.ids) for prompt, _ in rows)
    width = longest + max(len(answer) for _, answer in rows) - 1
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    mask = torch.zeros_like(ids)
    shifts = []
    for n, (prompt, answer) in enumerate(rows):
        shifts.append(longest - len(prompt.ids))
        whole = [*prompt.ids, *answer[:-1]]
        ids[n, shifts[n] : shifts[n] + len(whole)] = torch.tensor(whole)
        mask[n, shifts[n] : shifts[n] + len(whole)] = 1
    inputs: dict[str, Any] = {k: torch.cat([_extra(p)[k] for p, _ in rows]) for k in _extra(rows[0][0])}
    if len(rows) == 1:
        for name, fill in (("token_type_ids", 0), ("mm_token_type_ids", 0)):
            if name in inputs:
                inputs[name] = torch.nn.functional.pad(inputs[name], (0, width - longest), value=fill)
    return on_device(model, {"input_ids": ids, "attention_mask": mask} | inputs), shifts


def answer_logprobs(model: TransformersModel, rows: Sequence[Forced], size: int = 8) -> list[torch.Tensor]:
    """Computes log-probabilities of answers by teacher forcing.

    Args:
        model: The model.
        rows: Prompts with answers.
        size: The largest number of rows in a batch.

    Returns:
        For each row, log π(y_t) (T,) in nats, float32.
    """
    found: dict[int, torch.Tensor] = {}
    for group in batches(rows, size):
        inputs, _ = padded(model.model, [rows[n] for n in group])
        keep = max(len(rows[n][1]) for n in group)
        with torch.inference_mode():
            out = model.model(**inputs, use_cache=False, logits_to_keep=keep)
            scores = out.logits.float().log_softmax(-1).cpu()
        for row, n in enumerate(group):
            answer = torch.tensor(rows[n][1])
            found[n] = scores[row, : len(answer)].gather(-1, answer[:, None])[:, 0].clone()
    return [found[n] for n in range(len(rows))]


def _extra(prompt: Rendered) -> dict[str, torch.Tensor]:
    """Returns the inputs other than tokens and mask, such as pixels."""
    return {k: v for k, v in prompt.inputs.items() if k not in ("input_ids", "attention_mask") and torch.is_tensor(v)}
