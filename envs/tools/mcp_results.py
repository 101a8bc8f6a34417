"""The result of an MCP server's tool as text for a model."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["text_of"]


def text_of(result: Any) -> str:
    """Writes a result as text.

    Args:
        result: The SDK's ``CallToolResult``.

    Returns:
        Its texts, one below the other. Of a picture, a sound or another file, the kind and the size are told instead;
        of a link, the address. Without any content, the structured content as JSON.
    """
    said = [_said(block) for block in result.content]
    if not said and result.structured_content is not None:
        return json.dumps(result.structured_content, ensure_ascii=False)
    return "\n".join(said)


def _said(block: Any) -> str:
    match block.type:
        case "text":
            return str(block.text)
        case "image" | "audio":
            return f"({block.type} of the type {block.mime_type}, {_size(block.data)}, which can't be shown)"
        case "resource_link":
            return f"{block.name}: {block.uri}"
        case "resource":
            from mcp.types import TextResourceContents

            held = block.resource
            if isinstance(held, TextResourceContents):
                return held.text
            return f"(file {held.uri}, {_size(held.blob)}, which can't be shown)"
    return f"(content of the unknown kind {block.type!r})"


def _size(base64: str) -> str:
    return f"{len(base64) * 3 // 4} bytes"
