"""Demonstrations as tokens, with labels on the answer's tokens only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.alignment.cloning.demonstrations import Demonstration
from homeostat.alignment.sail.tokens import answer_tokens
from homeostat.errors import ConfigError
from homeostat.sensors.chat.rendered import Rendered
from homeostat.sensors.chat.rendering import Renderer

__all__ = ["Row", "tokenise"]


@dataclass(frozen=True)
class Row:
    """A demonstration as tokens.

    Attributes:
        prompt: The rendered prompt.
        answer: The tokens of the answer, the one that ends the turn included.
        screen: The number of the step in its episode.
    """

    prompt: Rendered
    answer: tuple[int, ...]
    screen: int

    @cached_property
    def ids(self) -> list[int]:
        """The tokens of prompt and answer."""
        return [*self.prompt.ids, *self.answer]


def tokenise(model: TransformersModel, demonstrations: Sequence[Demonstration]) -> list[Row]:
    """Renders prompts as the model takes them at run time, and the answers behind them.

    Args:
        model: The model.
        demonstrations: The demonstrations.

    Returns:
        The rows, in order.

    Raises:
        ConfigError: Prompt and answer don't fit the model's context.
        ModelError: A prompt can't be rendered for this model.
    """
    rows = []
    for one in demonstrations:
        prompt = model.renderer.render(one.prompt)
        answer = _until_the_end(_answer(model.renderer, one), model.stops)
        if model.context is not None and (length := len(prompt.ids) + len(answer)) > model.context:
            raise ConfigError(
                f"a demonstration has {length} tokens, but {model.name!r} reads {model.context}; give --brief, or a "
                "style with a shorter history"
            )
        rows.append(Row(prompt, answer, one.screen))
    return rows


def _answer(renderer: Renderer, one: Demonstration) -> Sequence[int]:
    """The answer's tokens and those that end the turn, calls in the form of the model's own chat template."""
    if one.calls and one.prompt.tools:
        return _called(renderer, one)
    return answer_tokens(renderer, one.prompt, one.answer)


def _called(renderer: Renderer, one: Demonstration) -> Sequence[int]:
    from homeostat.alignment.preference.pairs import chat_of

    chat, _ = chat_of(one.prompt)
    chat = [m | {"content": "".join(p["text"] or "" for p in m["content"])} for m in chat]
    made = [
        {"type": "function", "id": f"call{n:05d}", "function": {"name": call.tool, "arguments": call.arguments}}
        for n, call in enumerate(one.calls, start=1)
    ]
    options = {"tools": list(one.prompt.tools), "tokenize": False}
    before: str = renderer.templating.apply_chat_template(chat, add_generation_prompt=True, **options)
    said = {"role": "assistant", "content": "", "tool_calls": made}
    after: str = renderer.templating.apply_chat_template([*chat, said], add_generation_prompt=False, **options)
    ending = after.removeprefix(before) if after.startswith(before) else one.answer + renderer.tokenizer.eos_token
    return list(renderer.tokenizer(ending, add_special_tokens=False)["input_ids"])


def _until_the_end(tokens: Sequence[int], stops: frozenset[int]) -> tuple[int, ...]:
    """The tokens up to the first that ends the turn: what a template writes behind it is never generated."""
    end = next((n for n, token in enumerate(tokens, start=1) if token in stops), len(tokens))
    return tuple(tokens[:end])
