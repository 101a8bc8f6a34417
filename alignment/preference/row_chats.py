"""Reads the parts of a preference row: its prompt, its images, and the text of an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from homeostat.errors import ConfigError
from homeostat.foreign_text import quoted
from homeostat.sensors.chat.messages import Prompt

__all__ = ["image_from", "prompt_from", "text_from"]


def prompt_from(chat: Any, images: list[Any]) -> Prompt:
    """Reads a prompt.

    Args:
        chat: A text, or a list of messages.
        images: The row's images, which the messages refer to in order.

    Returns:
        The prompt.

    Raises:
        ConfigError: It is no prompt, or does not refer to each image once.
    """
    if isinstance(chat, str):
        chat = [{"role": "user", "content": chat}]
    if not isinstance(chat, Sequence) or not chat:
        raise ConfigError(f"{quoted(chat, 60)} is not a prompt; give a list of messages")
    rest = iter(images)
    filled = []
    for message in chat:
        if not isinstance(message, Mapping):
            raise ConfigError(f"{quoted(message, 60)} is not a message; give {{'role', 'content'}}")
        content = message.get("content")
        if isinstance(content, Sequence) and not isinstance(content, str):
            parts = []
            for part in content:
                part = {k: v for k, v in part.items() if v is not None} if isinstance(part, Mapping) else part
                if isinstance(part, dict) and part.get("type") == "image" and "image" not in part:
                    picture = next(rest, None)
                    if picture is None:
                        raise ConfigError(f"it refers to more images than the {len(images)} of the row")
                    part = part | {"image": picture}
                parts.append(part)
            message = {**message, "content": parts}
        filled.append(message)
    if next(rest, None) is not None:
        raise ConfigError(f"the row has {len(images)} images, more than its messages refer to")
    return Prompt.from_chat(filled, accept_trusted=True)


def image_from(image: Any, path: Path) -> Any:
    """Reads an image.

    Args:
        image: An image, or the name of a file.
        path: The file of the row; names are relative to its folder.

    Returns:
        The image.

    Raises:
        ConfigError: The file is missing.
    """
    from PIL import Image

    if not isinstance(image, str):
        return image
    file = path.parent / image
    if not file.is_file():
        raise ConfigError(f"image {quoted(image)} is missing in the folder of {path.name}")
    return Image.open(file)


def text_from(messages: Any) -> str:
    """Reads the text of an answer.

    Args:
        messages: A list with one message of the assistant.

    Returns:
        Its text; empty for anything else.
    """
    if not isinstance(messages, Sequence) or len(messages) != 1 or not isinstance(messages[0], Mapping):
        return ""
    if (messages[0].get("role") or "assistant") != "assistant":
        return ""
    content = messages[0].get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        return ""
    texts = [p.get("text") or "" for p in content if isinstance(p, Mapping) and p.get("type") == "text"]
    return "".join(texts) if all(isinstance(text, str) for text in texts) else ""
