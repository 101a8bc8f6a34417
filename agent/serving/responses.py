"""The bodies of responses, as OpenAI defines them, with the extra field ``homeostat``."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from typing import Any

from homeostat.actions import Call
from homeostat.agent.serving.answering import Answered

__all__ = ["Reply", "event"]


def event(body: Any) -> str:
    """Writes one server-sent event.

    Args:
        body: JSON-able data, or a text that stands as it is.

    Returns:
        The event.
    """
    return f"data: {body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)}\n\n"


class Reply:
    """Writes the response to one request.

    Attributes:
        id: The response's id.
        model: The served model's name.
        created: When it was asked, in seconds since 1970.
        logprobs: Whether the tokens' log-probabilities are told.
        live: Whether tokens are streamed as they come.
    """

    def __init__(self, model: str, *, logprobs: bool, live: bool) -> None:
        """Begins a response.

        Args:
            model: The served model's name.
            logprobs: Whether the tokens' log-probabilities are told.
            live: Whether tokens are streamed as they come.
        """
        self.id, self.created = f"chatcmpl-{secrets.token_hex(12)}", int(time.time())
        self.model, self.logprobs, self.live = model, logprobs, live

    def whole(self, choices: Sequence[Answered]) -> dict[str, Any]:
        """Returns the response that is no stream.

        Args:
            choices: The answers.

        Returns:
            The body. Its field ``homeostat`` is the first choice's; each further choice has its own.
        """
        found = []
        for index, one in enumerate(choices):
            message: dict[str, Any] = {"role": "assistant", "content": one.content, "refusal": one.refusal}
            if one.calls:
                message["tool_calls"] = [_call(call) for call in one.calls]
            choice: dict[str, Any] = {
                "index": index,
                "message": message,
                "finish_reason": one.finish,
                "logprobs": self._logprobs(one),
            }
            found.append({**choice, "homeostat": self.report(one)} if index else choice)
        return {
            **self._head("chat.completion"),
            "choices": found,
            "usage": _usage(choices),
            "homeostat": self.report(choices[0]),
        }

    def report(self, one: Answered) -> dict[str, Any]:
        """Returns the field ``homeostat`` of one choice.

        Args:
            one: The choice.

        Returns:
            The readings, decisions and masses.
        """
        return {**one.report, "streamed": "as generated" if self.live else "after the decision"}

    def begin(self, index: int) -> str:
        """Returns the first event of a choice.

        Args:
            index: The choice's number.

        Returns:
            The event, which names the role.
        """
        return self._chunk(index, {"role": "assistant", "content": ""})

    def text(self, index: int, text: str) -> str:
        """Returns the event of a piece of an answer.

        Args:
            index: The choice's number.
            text: The piece.

        Returns:
            The event.
        """
        return self._chunk(index, {"content": text})

    def end(self, index: int, one: Answered, sent: str = "") -> str:
        """Returns the last events of a choice: what was not streamed yet, and why it ended.

        Args:
            index: The choice's number.
            one: The answer.
            sent: What was streamed of its text.

        Returns:
            The events. The last one holds ``finish_reason`` and ``homeostat``.
        """
        events = ""
        content = one.content or ""
        if rest := content[len(sent) :] if content.startswith(sent) else "":
            events += self._chunk(index, {"content": rest})
        if self.logprobs:
            events += self._chunk(index, {}, logprobs=self._logprobs(one))
        if one.refusal is not None:
            events += self._chunk(index, {"refusal": one.refusal})
        for number, call in enumerate(one.calls):
            events += self._chunk(index, {"tool_calls": [{"index": number, **_call(call)}]})
        return events + self._chunk(index, {}, finish=one.finish, homeostat=self.report(one))

    def usage(self, choices: Sequence[Answered]) -> str:
        """Returns the event that tells the number of tokens.

        Args:
            choices: The answers.

        Returns:
            The event, which holds the first choice's ``homeostat`` too.
        """
        body = {**self._head("chat.completion.chunk"), "choices": [], "usage": _usage(choices)}
        return event({**body, "homeostat": self.report(choices[0])})

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def _chunk(
        self, index: int, delta: dict[str, Any], *, finish: str | None = None, logprobs: Any = None, **more: Any
    ) -> str:
        choice = {"index": index, "delta": delta, "finish_reason": finish, "logprobs": logprobs}
        return event({**self._head("chat.completion.chunk"), "choices": [choice], **more})

    def _logprobs(self, one: Answered) -> dict[str, Any] | None:
        if not self.logprobs:
            return None
        content = [
            {"token": text, "logprob": value, "bytes": list(text.encode()), "top_logprobs": []}
            for text, value in one.logprobs
        ]
        return {"content": content, "refusal": None}


def _call(call: Call) -> dict[str, Any]:
    arguments = json.dumps(call.arguments, ensure_ascii=False)
    return {
        "id": call.id or f"call_{secrets.token_hex(12)}",
        "type": "function",
        "function": {"name": call.tool, "arguments": arguments},
    }


def _usage(choices: Sequence[Answered]) -> dict[str, int]:
    prompt = max((one.prompt_tokens for one in choices), default=0)
    completion = sum(one.completion_tokens for one in choices)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
