"""Prompts as labelled parts: what a chat contains, and which span each part of it belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from homeostat.errors import ConfigError

__all__ = ["Message", "Part", "Prompt"]

Role = Literal["system", "user", "assistant", "tool"]


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
        parts: The message's parts, in order.
        extra: Further keys for the chat template, such as ``tool_calls`` or a tool's ``name``.
    """

    role: Role
    parts: tuple[Part, ...]
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Prompt:
    """The whole chat, up to the assistant's next answer. :class:`~homeostat.sensors.Renderer` renders it.

    Attributes:
        messages: The messages, in order.
    """

    messages: tuple[Message, ...]

    @classmethod
    def from_chat(cls, chat: Sequence[Mapping[str, Any]], *, accept_trusted: bool = False) -> Prompt:
        """Converts a chat in the format of ``apply_chat_template``.

        A message is ``{"role", "content"}``. Its content is a text, or a list of ``{"type": "text", "text"}`` and
        ``{"type": "image", "image"}`` (a PIL image or a (height, width, 3) uint8 array). A message or a part may have a
        ``"label"``. By default the label of a text is its message's role, and the label of an image is "image". A list
        can therefore separate a user's question from the document that it is about. Other keys, such as ``tool_calls``,
        are passed to the template; the text that it makes of them belongs to no span.

        All text is foreign, a system message too: if it spells a control token of the model, the renderer breaks it up.

        Args:
            chat: The messages.
            accept_trusted: Whether a part may have ``"trusted"``, the ranges of :attr:`Part.trusted`. Pass True only
                for chats that this package has written from prompts of its own.

        Returns:
            The prompt.

        Raises:
            ConfigError: A role or a content is invalid.
        """
        return cls(tuple(_message(n, message, accept_trusted) for n, message in enumerate(chat)))


def _message(n: int, message: Mapping[str, Any], accept_trusted: bool) -> Message:
    content = message.get("content")
    role: Role | None = next((r for r in get_args(Role) if r == message.get("role")), None)
    if role is None:
        raise ConfigError(f"message {n} has the role {message.get('role')!r}; use one of {', '.join(get_args(Role))}")
    label = message.get("label")
    extra = {key: value for key, value in message.items() if key not in ("role", "content", "label")}
    if isinstance(content, str):
        return Message(role, (Part(label or role, content),), extra)
    if not isinstance(content, Sequence):
        raise ConfigError(f"message {n} has the content {content!r}; pass a text or a list of parts")
    return Message(role, tuple(_part(n, part, label, role, accept_trusted) for part in content), extra)


def _part(n: int, part: Any, label: str | None, role: str, accept_trusted: bool) -> Part:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "text" and isinstance(part.get("text"), str):
        ranges = (part.get("trusted") or ()) if accept_trusted else ()
        try:
            trusted = tuple((int(start), int(stop)) for start, stop in ranges)
        except (TypeError, ValueError):
            raise ConfigError(f"message {n} has trusted={str(ranges)[:40]}; write pairs of characters") from None
        return Part(part.get("label") or label or role, part["text"], trusted=trusted)
    if kind == "image" and part.get("image") is not None:
        import numpy as np
        from PIL import Image

        image = part["image"]
        pixels = np.asarray(image.convert("RGB") if isinstance(image, Image.Image) else image)
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
            raise ConfigError(
                f"message {n} has an image of shape {pixels.shape} and type {pixels.dtype}; pass (height, width, 3) "
                "uint8"
            )
        return Part(part.get("label") or label or "image", image=pixels)
    raise ConfigError(f"message {n} has the part {str(part)[:60]!r}; pass {{'type': 'text', 'text': …}} or an image")
