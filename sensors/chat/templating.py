"""Follows a model's chat template: which text it makes of a prompt, and where every part and every tool is in it.

Templates differ in what they take. What a prompt holds is therefore offered in several forms, the usual one first, and
a form that the template rewrites, drops or prints as Python is refused:

- the arguments of tool calls as objects, or as JSON texts;
- the missing content of a message as None, or as an empty text;
- the message formats of :mod:`homeostat.sensors.chat.part_positions`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from homeostat.errors import ModelError
from homeostat.sensors.chat.boundaries import neutralised
from homeostat.sensors.chat.control_tokens import ControlTokens
from homeostat.sensors.chat.fields import Change, changed, field_characters
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.chat.part_positions import LocatedText, MessageFormat, locate
from homeostat.sensors.chat.tool_positions import tool_parts
from homeostat.sensors.chat.tools import arguments_as_objects, arguments_as_texts, call_arguments
from homeostat.time_limit import time_limit

__all__ = ["ChatTemplate", "Followed"]

_TEMPLATE_SECONDS = 5.0
_UNUSED = "\U000f0a51"  # a private-use character that no chat holds


@dataclass(frozen=True)
class Followed:
    """What a template made of a prompt.

    Attributes:
        prompt: The prompt in the form that the template took, with its control tokens broken up.
        located: The rendered text with the positions of all text parts, what is written about the tools among them.
        further: The characters that come from the messages' further fields.
    """

    prompt: Prompt
    located: LocatedText
    further: Sequence[int] = ()


class ChatTemplate:
    """The chat template of one tokenizer or processor."""

    def __init__(self, owner: Any, *, lists: bool) -> None:
        """Prepares the formats.

        Args:
            owner: The tokenizer or processor that owns the template; None if there is no template.
            lists: Whether a list of parts is the more likely content of a message.
        """
        self.owner = owner
        self._formats = [MessageFormat(given, merged) for given in (lists, not lists) for merged in (False, True)]

    def check(self) -> None:
        """Checks that there is a template.

        Raises:
            ModelError: There is none.
        """
        if self.owner is None:
            raise ModelError(
                "the model has no chat template; add chat_template.jinja to its folder, or pass a plain text"
            )

    def follow(self, prompt: Prompt, control: ControlTokens) -> Followed:
        """Renders a prompt.

        Args:
            prompt: The prompt.
            control: The control tokens that its foreign text must not hold.

        Returns:
            The rendered prompt.

        Raises:
            ModelError: There is no template, or it changes or drops what the prompt holds.
        """
        if prompt.plain:
            return _joined(neutralised(prompt, control))
        self.check()
        refused: list[ModelError] = []
        for form in _forms(prompt):
            mine = neutralised(form, control)
            try:
                located = self._locate(mine, self._wanted(mine))
                self._check_calls(mine, located)
            except ModelError as error:
                refused.append(error)
                continue
            accepted = replace(located.format, missing=False)
            if accepted != self._formats[0]:  # the format that was accepted once is tried first from now on
                self._formats.sort(key=lambda form: form != accepted)
            return Followed(mine, self._with_tools(mine, located), self._further(mine, located))
        raise refused[0]

    def _wanted(self, prompt: Prompt) -> list[MessageFormat]:
        """The formats to try for a prompt."""
        if all(message.parts for message in prompt.messages):
            return self._formats
        return [replace(form, missing=missing) for form in self._formats for missing in (True, False)]

    def _locate(self, prompt: Prompt, formats: Sequence[MessageFormat]) -> LocatedText:
        return locate(prompt, lambda chat: self._apply(chat, prompt.tools), formats)

    def _apply(self, chat: list[dict[str, Any]], tools: Sequence[Mapping[str, Any]]) -> str:
        endless = ModelError(f"the model's chat template runs for more than {_TEMPLATE_SECONDS:g} s; correct it")
        with time_limit(_TEMPLATE_SECONDS, endless):
            text: str = self.owner.apply_chat_template(
                chat, tools=list(tools) or None, tokenize=False, add_generation_prompt=True
            )
        return text

    def _check_calls(self, prompt: Prompt, located: LocatedText) -> None:
        """Refuses a form in which tool calls are printed as Python, or left out where they are all that is said."""
        if any(isinstance(a, Mapping) for m in prompt.messages for a in call_arguments(m.extra)):
            marked = {_UNUSED: _UNUSED}
            calls = [replace(m, extra=arguments_as_objects(m.extra, marked)) for m in prompt.messages]
            try:
                text = self._locate(replace(prompt, messages=tuple(calls)), [located.format]).text
            except ModelError:  # the template needs arguments of its own kind
                text = ""
            if str(marked) in text:
                raise ModelError("the chat template prints the arguments of a tool call as Python; pass JSON texts")
        if not all(message.parts for message in prompt.messages):

            def render(swap: Change) -> str:
                return self._swapped(prompt, located, swap, only_calls=True)

            if not field_characters(located.text, render, "tool_calls"):
                raise ModelError(
                    "the chat template leaves out the tool calls of a message without content; use another template"
                )

    def _further(self, prompt: Prompt, located: LocatedText) -> list[int]:
        """The characters that the template took from the messages' further fields."""
        if not any(message.extra for message in prompt.messages):
            return []
        fields = ", ".join(sorted({key for message in prompt.messages for key in message.extra}))
        return field_characters(located.text, lambda swap: self._swapped(prompt, located, swap), fields)

    def _swapped(self, prompt: Prompt, located: LocatedText, swap: Change, *, only_calls: bool = False) -> str:
        """The prompt with other further fields, or with other fields where a message only calls tools."""
        messages = [m if only_calls and m.parts else replace(m, extra=changed(m.extra, swap)) for m in prompt.messages]
        return self._locate(replace(prompt, messages=tuple(messages)), [located.format]).text

    def _with_tools(self, prompt: Prompt, located: LocatedText) -> LocatedText:
        """The located text with the parts that the template writes about the tools."""
        if not prompt.tools:
            return located

        def render(swap: Change) -> str:
            tools = changed({"tools": prompt.tools}, swap)["tools"]
            return self._locate(replace(prompt, tools=tools), [located.format]).text

        schemas = field_characters(located.text, render, "the tools")
        more = tool_parts(located, schemas, lambda: self._locate(replace(prompt, tools=()), [located.format]))
        return replace(located, parts=tuple(sorted((*located.parts, *more), key=lambda found: found[1:])))


def _forms(prompt: Prompt) -> list[Prompt]:
    """The prompt with the arguments of its tool calls as objects, and as JSON texts."""
    if not any(call_arguments(message.extra) for message in prompt.messages):
        return [prompt]
    return [
        replace(prompt, messages=tuple(replace(m, extra=convert(m.extra)) for m in prompt.messages))
        for convert in (arguments_as_objects, arguments_as_texts)
    ]


def _joined(prompt: Prompt) -> Followed:
    """A plain text: its parts, one after the other."""
    parts, text = [], ""
    for part in (part for message in prompt.messages for part in message.parts if part.text):
        parts.append((part, len(text), len(text) + len(part.text)))
        text += part.text
    return Followed(prompt, LocatedText(text, tuple(parts), MessageFormat(lists=False, merged=False)))
