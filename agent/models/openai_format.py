"""Prompts and answers in the format of OpenAI's chat completions, which most servers speak.

A response is read with models of our own that check what is needed and ignore the rest: the official client does not
validate what a server sends.
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Mapping
from typing import Any, Literal

from PIL import Image
from pydantic import BaseModel, ConfigDict, ValidationError

from homeostat.errors import ModelError
from homeostat.foreign_text import clipped, visible
from homeostat.sensors.attempts import Attempt
from homeostat.sensors.chat.messages import Message, Part, Prompt

__all__ = ["attempts_of", "chat_messages", "chat_tools"]

_LEAST = -9999.0
"""Servers write this for a probability of 0, whose logarithm JSON can't hold."""


class _Received(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Function(_Received):
    name: str
    arguments: str | dict[str, Any] | None = None


class _ToolCall(_Received):
    function: _Function


class _Message(_Received):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Alternative(_Received):
    token: str = ""
    logprob: float | None = None


class _Token(_Alternative):
    top_logprobs: list[_Alternative] | None = None


class _Logprobs(_Received):
    content: list[_Token] | None = None


class _Choice(_Received):
    message: _Message
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _CachedTokens(_Received):
    cached_tokens: int | None = None


class _Usage(_Received):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _CachedTokens | None = None


class _Completion(_Received):
    choices: list[_Choice]
    usage: _Usage | None = None


def chat_messages(prompt: Prompt) -> list[dict[str, Any]]:
    """Writes a prompt's messages as a request holds them. Labels are not sent.

    Args:
        prompt: The prompt.

    Returns:
        The messages.

    Raises:
        ModelError: The prompt is a plain text, which a chat server can't continue.
    """
    if prompt.plain:
        raise ModelError("a plain text can't be continued by a chat server; pass a chat")
    return [_message(message) for message in prompt.messages]


def chat_tools(prompt: Prompt) -> list[dict[str, Any]]:
    """Returns the tools as a request holds them.

    Args:
        prompt: The prompt.

    Returns:
        The tools; empty for none.
    """
    return [dict(tool) for tool in prompt.tools]


def attempts_of(body: bytes, name: str, seconds: float) -> list[Attempt]:
    """Reads a response.

    Tool calls become text in the form of Hermes and Qwen, which :func:`~homeostat.agent.tool_calls.read_turn` reads
    back exactly. ``tokens`` are no ids of a vocabulary, which a server does not tell: they number an answer's different
    pieces.

    Args:
        body: The response.
        name: The model's name, for messages.
        seconds: How long the call took.

    Returns:
        One attempt for each answer.

    Raises:
        ModelError: The response is no chat completion.
    """
    try:
        found = _Completion.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the response"
        why = clipped(visible(f"{where}: {first['msg']}"), 160)
        raise ModelError(
            f"{name!r}: the server's response is no chat completion ({why}); check that the address is that of an "
            "OpenAI-compatible API"
        ) from None
    if not found.choices:
        raise ModelError(f"{name!r}: the server's response holds no answer; ask again, or look into the server's log")
    usage = found.usage or _Usage()
    cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details is not None else 0
    asked = max(usage.prompt_tokens or 0, 0)
    counts = _shared(max(usage.completion_tokens or 0, 0), len(found.choices))
    return [
        _attempt(choice, asked, min(max(cached or 0, 0), asked), count, seconds)
        for choice, count in zip(found.choices, counts, strict=True)
    ]


def _attempt(choice: _Choice, asked: int, cached: int, count: int, seconds: float) -> Attempt:
    tokens = (choice.logprobs.content or []) if choice.logprobs is not None else []
    numbers: dict[str, int] = {}
    finish: Literal["stop", "length"] = "length" if choice.finish_reason == "length" else "stop"
    margins = [_margin(token) for token in tokens]
    return Attempt(
        text=_text(choice.message),
        tokens=tuple(numbers.setdefault(token.token, len(numbers)) for token in tokens),
        logprobs=tuple(_bounded(token.logprob) for token in tokens),
        margin=tuple(m for m in margins if m is not None) if None not in margins else (),
        prompt_tokens=asked,
        cached_tokens=cached,
        generated_tokens=count,
        seconds=seconds,
        finish=finish,
        pieces=tuple(token.token for token in tokens),
    )


def _text(message: _Message) -> str:
    """What the assistant said and called."""
    said = message.content or message.refusal or ""
    calls = [_call(call.function) for call in message.tool_calls or ()]
    return "\n".join(([said] if said.strip() or not calls else []) + calls)


def _call(function: _Function) -> str:
    """A call as text. ``<`` is escaped, so that no argument can end the call or begin another one."""
    given: Any = function.arguments if function.arguments is not None else {}
    if isinstance(given, str):
        try:
            given = json.loads(given) if given.strip() else {}
        except ValueError:
            spoiled = given.replace("<tool_call>", "").replace("</tool_call>", "")
            return f"<tool_call>\n{function.name}({spoiled})\n</tool_call>"  # the reader says that this is no call
    spelled = json.dumps({"name": function.name, "arguments": given}, ensure_ascii=False)
    return f"<tool_call>\n{spelled.replace('<', chr(92) + 'u003c')}\n</tool_call>"


def _margin(token: _Token) -> float | None:
    """The probability of the most probable token minus that of the second; None where the server tells fewer."""
    found = sorted((_bounded(one.logprob) for one in token.top_logprobs or ()), reverse=True)
    return math.exp(found[0]) - math.exp(found[1]) if len(found) > 1 else None


def _bounded(logprob: float | None) -> float:
    return _LEAST if logprob is None or not math.isfinite(logprob) else max(min(logprob, 0.0), _LEAST)


def _shared(total: int, answers: int) -> list[int]:
    """The tokens of all answers together, divided among them."""
    each, rest = divmod(total, answers)
    return [each + (number < rest) for number in range(answers)]


def _message(message: Message) -> dict[str, Any]:
    extra: dict[str, Any] = dict(message.extra)
    if calls := extra.get("tool_calls"):
        extra["tool_calls"] = [_sent_call(call) for call in calls]
    content: Any = "".join(part.text for part in message.parts)
    if any(part.image is not None for part in message.parts):
        content = [_sent_part(part) for part in message.parts if part.text or part.image is not None]
    elif message.role == "assistant" and calls and not content:
        content = None
    return {"role": message.role, "content": content, **extra}


def _sent_call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = dict(call["function"])
    if not isinstance(function.get("arguments"), str):
        function["arguments"] = json.dumps(function.get("arguments") or {}, ensure_ascii=False)
    return {**call, "function": function}


def _sent_part(part: Part) -> dict[str, Any]:
    if part.image is None:
        return {"type": "text", "text": part.text}
    packed = io.BytesIO()
    Image.fromarray(part.image).convert("RGB").save(packed, "PNG")
    data = base64.b64encode(packed.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
