"""What a model server's errors mean: one line with the fix, and the parameters that a server does not take."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from homeostat.errors import ModelError, PromptTooLong
from homeostat.foreign_text import clipped, shown

__all__ = ["ServerErrors", "refused_parameter"]

_OPTIONAL = ("top_logprobs", "logprobs", "response_format", "temperature", "seed", "max_tokens", "n")
"""What a request can do without; ``max_tokens`` gets its newer name instead."""
_TOO_LONG = re.compile(
    r"context.{0,20}(length|window|size)|(length|window|size).{0,20}context|prompt.{0,20}too long", re.I
)
_LONGEST = 300


@dataclass(frozen=True)
class ServerErrors:
    """Turns the client's errors into ours.

    Attributes:
        name: The model's name.
        address: The server's address.
        key: The key, which must not stand in a message; "" without one.
        retries: How often a failed request is repeated.
    """

    name: str
    address: str
    key: str = field(repr=False)
    retries: int

    def error(self, error: Exception) -> ModelError:
        """Words an error.

        Args:
            error: An error of the client ``openai``, or one from reading the response.

        Returns:
            The error, one line with the fix.
        """
        from openai import APIConnectionError, APIStatusError, APITimeoutError

        if isinstance(error, APIStatusError):
            return self._status(error)
        if isinstance(error, APITimeoutError):
            what, fix = "did not answer in time", "check the server, or give it more seconds; then resume"
        elif isinstance(error, APIConnectionError):
            why = str(error.__cause__ or error)
            what, fix = f"can't be reached ({self._safe(why)})", "start it, or correct its address; then resume"
        else:
            what = f"sent what the client can't read ({self._safe(str(error))})"
            fix = "check that it is an OpenAI-compatible API"
        return ModelError(f"{self.name!r}: the server {self.address} {what}; {fix}")

    def _status(self, error: Any) -> ModelError:
        status, said = error.status_code, self._safe(_message(error))
        if status in (400, 413, 422) and _is_too_long(error):
            return PromptTooLong(f"{self.name!r}: the prompt does not fit the model's context ({said}); shorten it")
        fix = "correct the request or the model"
        if status in (401, 403):
            fix = "set $OPENAI_API_KEY to a key of this server"
        elif status == 404:
            fix = "check the model's name and the address"
        elif status == 429 or status >= 500:
            fix = f"it was asked {self.retries + 1} times; wait or look into its log, then resume"
        elif "tool" in said.lower():
            fix = "start the server with tool calls, or use ChatModel(…, tools=False)"
        return ModelError(f"{self.name!r}: the server {self.address} answered {status} ({said}); {fix}")

    def _safe(self, text: str) -> str:
        """A server's text for a message: one line, cut, and without the key."""
        plain = text.replace(self.key, "***") if self.key else text
        return clipped(shown(" ".join(plain.split())), _LONGEST)


def refused_parameter(error: Any, request: Mapping[str, Any]) -> str | None:
    """Finds the optional parameter that a server refuses.

    Args:
        error: The client's error about a status.
        request: The request.

    Returns:
        The parameter's name; None where the server refuses something else.
    """
    if error.status_code not in (400, 422) or _is_too_long(error):
        return None
    said = _message(error).replace("json_schema", "response_format")
    for name in _OPTIONAL:
        if name in request and (error.param == name or re.search(rf"['\"`]{name}['\"`]", said)):
            return name
    longer = (name for name in _OPTIONAL if len(name) > 1 and name in request)
    return next((name for name in longer if re.search(rf"\b{name}\b", said)), None)


def _message(error: Any) -> str:
    """What a server says in an error."""
    body = error.body
    said = body.get("message") if isinstance(body, Mapping) else None
    return str(said or error.message)


def _is_too_long(error: Any) -> bool:
    return error.code == "context_length_exceeded" or bool(_TOO_LONG.search(_message(error)))
