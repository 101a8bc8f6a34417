"""Reads an answer by the tokenizer's ``response_template``, with transformers' ``parse_response``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from homeostat.conversation import ToolSpec
from homeostat.sensors.attempts import Attempt

__all__ = ["parsed_answer"]


def parsed_answer(tokenizer: Any, attempt: Attempt, tools: Sequence[ToolSpec]) -> dict[str, Any] | None:
    """Parses an answer.

    Args:
        tokenizer: The model's tokenizer.
        attempt: The answer with its tokens.
        tools: The tools that the prompt offered; their schemas say how arguments are cast.

    Returns:
        The message in OpenAI's format; None where the tokenizer has no ``response_template``, or the answer does not
        fit it.
    """
    if getattr(tokenizer, "response_template", None) is None or not attempt.tokens:
        return None
    try:
        message = tokenizer.parse_response(
            list(attempt.tokens),
            prefix=list(attempt.prompt_ids),
            tools=[tool.as_openai() for tool in tools] or None,
        )
    except Exception:  # a template is data of a stranger, and an answer is a model's: anything may go wrong
        return None
    return message if isinstance(message, dict) and (message.get("tool_calls") or message.get("content")) else None
