"""Prompts as labelled parts: what a chat contains, and which span each part of it belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from homeostat.errors import ConfigError
from homeostat.sensors.chat.pictures import IMAGE_KINDS, pixels
from homeostat.sensors.chat.tools import Tool, tool_schemas

if TYPE_CHECKING:
    from typing_extensions import TypeIs

__all__ = ["Chat", "Message", "Part", "Prompt", "is_batch"]

Role = Literal["system", "user", "assistant", "tool"]
_ROLES: Mapping[str, Role] = {role: role for role in get_args(Role)} | {"developer": "system", "function": "tool"}
"""The roles by their names; OpenAI renamed ``system`` to ``developer``, and ``function`` to ``tool``."""
_TEXT_KINDS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
"""The types of a message's part that is a text, in OpenAI's APIs too, and the key that holds it."""
_CALLS = ("tool_calls", "function_call")


@dataclass(frozen=True)
class Part:
    """A labelled part of a message: a text or an image.

    Attributes:
        label: The label of the span that the part belongs to.
        text: The text; "" for an image.
        image: (height, width, 3) uint8; None for a text.
        trusted: Character ranges [start, stop) of ``text``, sorted and apart, that the agent's own prompt style wrote.
            Only these may contain the model's control tokens. All other text is foreign, whatever its label or role.

    Raises:
        ConfigError: A trusted range lies outside the text, or the ranges are not sorted.
    """

    label: str
    text: str = ""
    image: Any = None
    trusted: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        """Checks the trusted ranges."""
        ends = [0, *(end for pair in self.trusted for end in pair), len(self.text)]
        if self.trusted and ends != sorted(ends):
            raise ConfigError(f"trusted={self.trusted} are no ranges of a text of {len(self.text)} characters")


@dataclass(frozen=True)
class Message:
    """One chat message.

    Attributes:
        role: Who speaks.
        parts: The message's parts, in order; none if an assistant only calls tools.
        extra: Further keys for the chat template, such as ``tool_calls`` or a tool's ``name``.
    """

    role: Role
    parts: tuple[Part, ...]
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Prompt:
    """What a model continues: a chat up to the assistant's next answer, or a plain text.

    :class:`~homeostat.sensors.Renderer` renders it.

    Attributes:
        messages: The messages, in order.
        tools: JSON schemas of the tools that the chat template describes to the model.
        plain: Whether the texts of all parts are joined without a chat template, as base models take them.

    Raises:
        ConfigError: A plain text has tools or images, which only a chat template can place.
    """

    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    plain: bool = False

    def __post_init__(self) -> None:
        """Checks that a plain text is only a text."""
        if self.plain and (self.tools or any(p.image is not None for m in self.messages for p in m.parts)):
            raise ConfigError("a plain text has no place for tools or images; pass a chat")

    @classmethod
    def of(cls, given: Chat, tools: Sequence[Tool] | None = None) -> Prompt:
        """Converts what the renderer and the probe take.

        Args:
            given: A prompt, a text, a list of labelled text parts, or a chat.
            tools: The chat's tools (see :meth:`from_chat`); None leaves those of a prompt.

        Returns:
            The prompt.

        Raises:
            ConfigError: The chat or a tool is invalid, or a plain text has tools.
        """
        if isinstance(given, Prompt):
            return given if tools is None else replace(given, tools=tool_schemas(tools))
        if not given:
            raise ConfigError(f"the prompt {given!r} is empty; pass a text or messages")
        if isinstance(given, str) or (not any("role" in one for one in given) and "type" in given[0]):
            return replace(cls.from_text(given), tools=tool_schemas(tools or ()))
        return cls.from_chat(given, tools=tools or ())

    @classmethod
    def from_text(cls, text: str | Sequence[Mapping[str, Any]], *, trusted: bool = False) -> Prompt:
        """Makes a prompt of a plain text, to which no chat template is applied.

        Args:
            text: The text, or ``{"type": "text", "text"}`` parts, which are joined. A part may have a ``"label"``; the
                default is "text".
            trusted: Whether the text may hold the model's control tokens, as a chat that is already rendered does.
                Otherwise all text is foreign, as in :meth:`from_chat`.

        Returns:
            The prompt.

        Raises:
            ConfigError: A part is invalid.
        """
        given = [{"type": "text", "text": text}] if isinstance(text, str) else text
        parts = [_part("a plain text", part, None, "text", False) for part in given]
        if trusted:
            parts = [replace(part, trusted=((0, len(part.text)),)) for part in parts if part.text]
        return cls((Message("user", tuple(parts)),), plain=True)

    @classmethod
    def from_chat(
        cls, chat: Sequence[Mapping[str, Any]], *, tools: Sequence[Tool] = (), accept_trusted: bool = False
    ) -> Prompt:
        """Converts a chat in the format of ``apply_chat_template`` or of OpenAI's chat API.

        A message is ``{"role", "content"}``. Its content is a text, or a list of ``{"type": "text", "text"}`` and
        ``{"type": "image", "image"}`` (a Pillow image, a (height, width, 3) uint8 array, or a data URL; ``image_url``
        too). An assistant that only calls tools may have no content. A message or a part may have a ``"label"``. By
        default the label of a text is its message's role, and the label of an image is "image". A list can therefore
        separate a user's question from the document that it is about. Other keys, such as ``tool_calls``, are passed to
        the template; the text that it makes of them belongs to no span. The role ``developer`` is ``system``.

        All text is foreign, a system message too: if it spells a control token of the model, the renderer breaks it up.

        Args:
            chat: The messages.
            tools: The tools that the template describes to the model: JSON schemas, or functions with type hints and a
                docstring. What the template writes about them is the span "tools".
            accept_trusted: Whether a part may have ``"trusted"``, the ranges of :attr:`Part.trusted`. Pass True only
                for chats that this package has written from prompts of its own.

        Returns:
            The prompt.

        Raises:
            ConfigError: A role, a content or a tool is invalid.
        """
        messages = tuple(_message(n, message, accept_trusted) for n, message in enumerate(chat))
        return cls(messages, tool_schemas(tools))


Chat: TypeAlias = Prompt | str | Sequence[Mapping[str, Any]]
"""What can be rendered: a prompt, a plain text, labelled parts of one, or a chat."""


def is_batch(given: Chat | Sequence[Chat]) -> TypeIs[Sequence[Chat]]:
    """Tells a batch of prompts from one prompt.

    Args:
        given: A prompt, a text, a list of messages or parts, or a list of these.

    Returns:
        Whether it is a list of prompts.
    """
    return not isinstance(given, str | Prompt) and bool(given) and not isinstance(given[0], Mapping)


def _message(n: int, message: Mapping[str, Any], accept_trusted: bool) -> Message:
    where = f"message {n}"
    if not isinstance(message, Mapping):
        raise ConfigError(f"{where} is {str(message)[:60]!r}; pass {{'role': …, 'content': …}}")
    content = message.get("content")
    role = _ROLES.get(str(message.get("role")))
    if role is None:
        raise ConfigError(f"{where} has the role {message.get('role')!r}; use one of {', '.join(_ROLES)}")
    label = message.get("label")
    extra = {k: v for k, v in message.items() if k not in ("role", "content", "label") and v is not None}
    if content is None and role == "assistant" and any(extra.get(calls) for calls in _CALLS):
        return Message(role, (), extra)
    if content is None:
        raise ConfigError(f"{where} has no content; pass a text, or leave the message out")
    if isinstance(content, str):
        return Message(role, (Part(label or role, content),), extra)
    if not isinstance(content, Sequence):
        raise ConfigError(f"{where} has the content {content!r}; pass a text or a list of parts")
    return Message(role, tuple(_part(where, part, label, role, accept_trusted) for part in content), extra)


def _part(where: str, part: Any, label: str | None, role: str, accept_trusted: bool) -> Part:
    kind = part.get("type") if isinstance(part, Mapping) else None
    text = part.get(_TEXT_KINDS[kind]) if kind in _TEXT_KINDS else None
    if isinstance(text, str):
        ranges = (part.get("trusted") or ()) if accept_trusted else ()
        try:
            trusted = tuple((int(start), int(stop)) for start, stop in ranges)
        except (TypeError, ValueError):
            raise ConfigError(f"{where} has trusted={str(ranges)[:40]}; write pairs of characters") from None
        return Part(part.get("label") or label or role, text, trusted=trusted)
    if kind in IMAGE_KINDS:
        return Part(part.get("label") or label or "image", image=pixels(part, where))
    raise ConfigError(f"{where} has the part {str(part)[:60]!r}; pass {{'type': 'text', 'text': …}} or an image")
