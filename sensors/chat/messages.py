"""Prompts as labelled parts: what a chat holds, and which span each piece of it belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from homeostat.errors import ConfigError

__all__ = ["Message", "Part", "Prompt"]

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True)
class Part:
    """A labelled piece of a message: ``text``, or an ``image`` (height, width, 3) uint8."""

    label: str
    text: str = ""
    image: Any = None


@dataclass(frozen=True)
class Message:
    """One chat message. ``extra``: what a template may want besides, such as ``tool_calls`` or a tool's ``name``."""

    role: Role
    parts: tuple[Part, ...]
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Prompt:
    """The whole chat, up to where the assistant answers. :class:`~homeostat.sensors.Renderer` renders it."""

    messages: tuple[Message, ...]

    @classmethod
    def from_chat(cls, chat: Sequence[Mapping[str, Any]]) -> Prompt:
        """A chat as ``apply_chat_template`` takes it, labelled.

        A message is ``{"role", "content"}``, its content a text or a list of ``{"type": "text", "text"}`` and
        ``{"type": "image", "image"}`` (a PIL image or an (height, width, 3) uint8 array). A message or a part may say
        its own ``"label"``; else a text bears its message's role, and an image ``image``. So a list content may tell a
        user's question from the document it is about. Other keys, such as ``tool_calls``, are handed to the template,
        and what it makes of them belongs to no span.

        Raises ``ConfigError`` for a role or a content that can't be.
        """
        return cls(tuple(_message(n, message) for n, message in enumerate(chat)))


def _message(n: int, message: Mapping[str, Any]) -> Message:
    content = message.get("content")
    role: Role | None = next((r for r in get_args(Role) if r == message.get("role")), None)
    if role is None:
        raise ConfigError(f"message {n} has the role {message.get('role')!r}; use one of {', '.join(get_args(Role))}")
    label = message.get("label")
    extra = {key: value for key, value in message.items() if key not in ("role", "content", "label")}
    if isinstance(content, str):
        return Message(role, (Part(label or role, content),), extra)
    if not isinstance(content, Sequence):
        raise ConfigError(f"message {n} has the content {content!r}; give a text, or a list of parts")
    return Message(role, tuple(_part(n, part, label, role) for part in content), extra)


def _part(n: int, part: Any, label: str | None, role: str) -> Part:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return Part(part.get("label") or label or role, part["text"])
    if kind == "image" and part.get("image") is not None:
        import numpy as np

        image = part["image"]
        pixels = np.asarray(image.convert("RGB") if hasattr(image, "convert") else image)
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
            raise ConfigError(
                f"message {n} has an image of shape {pixels.shape} and type {pixels.dtype}; give (height, width, 3) "
                "uint8"
            )
        return Part(part.get("label") or label or "image", image=pixels)
    raise ConfigError(f"message {n} has the part {str(part)[:60]!r}; give {{'type': 'text', 'text': …}} or an image")
