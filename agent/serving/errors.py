"""Errors in the form of OpenAI's API: a status, and ``{"error": {"message", "type", "param", "code"}}``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from homeostat.errors import (
    CallInterrupted,
    ComponentError,
    ConfigError,
    HomeostatError,
    ModelError,
    OutOfMemory,
    ProbeError,
    PromptTooLong,
)
from homeostat.foreign_text import clipped, visible

__all__ = ["ApiError", "api_error", "invalid_request"]

_LONGEST = 500


class ApiError(HomeostatError):
    """An answer that is an error.

    Attributes:
        status: The HTTP status.
        type: OpenAI's type of the error, such as ``"invalid_request_error"``.
        param: The field that is wrong; None where it is none.
        code: OpenAI's code, such as ``"context_length_exceeded"``; None where there is none.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        """Keeps what the client is told.

        Args:
            status: The HTTP status.
            message: One line that says what is wrong and what to do.
            type: OpenAI's type of the error.
            param: The field that is wrong.
            code: OpenAI's code.
        """
        super().__init__(clipped(visible(message), _LONGEST))
        self.status, self.type, self.param, self.code = status, type, param, code

    def body(self) -> dict[str, Any]:
        """Returns the error as OpenAI's JSON."""
        message = str(self).encode(errors="replace").decode()
        param = self.param.encode(errors="replace").decode() if self.param is not None else None
        return {"error": {"message": message, "type": self.type, "param": param, "code": self.code}}


def api_error(error: BaseException) -> ApiError:
    """Turns any error into one that a client can read.

    Args:
        error: What was raised while a request was answered.

    Returns:
        The client's error. The message of an error that is not ours stays on the server.
    """
    match error:
        case ApiError():
            return error
        case PromptTooLong():
            return ApiError(400, str(error), param="messages", code="context_length_exceeded")
        case CallInterrupted():
            return ApiError(503, str(error), type="server_error", code="interrupted")
        case OutOfMemory():
            return ApiError(503, str(error), type="server_error", code="out_of_memory")
        case ProbeError() | ComponentError():
            return ApiError(500, str(error), type="server_error")
        case ModelError():  # such as a chat that the model's template refuses
            return ApiError(400, str(error), param="messages")
        case ConfigError():
            return ApiError(400, str(error))
        case HomeostatError():
            return ApiError(500, str(error), type="server_error")
    return ApiError(500, "the server failed; its log says why", type="server_error")


def invalid_request(problems: Sequence[Any]) -> ApiError:
    """Builds the error of a request whose fields are wrong.

    Args:
        problems: What pydantic found; the first one is told.

    Returns:
        The error, which names the field.
    """
    first = problems[0]
    where = [str(part) for part in first["loc"] if part != "body"]
    if first["type"] == "json_invalid":
        return ApiError(400, f"the body is no JSON: {first.get('ctx', {}).get('error', first['msg'])}")
    field = ".".join(where) or None
    given = "" if first["type"] == "missing" else f" (given: {clipped(repr(first.get('input')), 80)})"
    return ApiError(400, f"{field or 'the body'}: {first['msg']}{given}", param=field)
