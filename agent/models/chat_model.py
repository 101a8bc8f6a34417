"""``ChatModel``: a model on any server that speaks OpenAI's chat completions, through the official client.

    model = ChatModel("qwen2.5-7b-instruct", base_url="http://127.0.0.1:8000")

Notable choices:

- Calls run in the background event loop. A deadline or an interrupt cancels the request, and a server then ends its
  work. An answer comes as a whole, so a call that is cut short returns no text.
- The client repeats a request after 408, 409, 429, 5xx, a time-out or a broken connection, with growing pauses or as
  the server says (``Retry-After``). Then the call fails with a ModelError, and the run can be resumed.
- A parameter that a server refuses by name is left out from then on, with a warning: not every server knows seeds or
  log-probabilities, and reasoning models take no temperature.
- The key is sent to the server and kept nowhere else.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from homeostat.agent.models.openai_format import attempts_of, chat_messages, chat_tools
from homeostat.agent.models.server_names import api_address, served_model
from homeostat.agent.prompts import TEXT, PromptStyle
from homeostat.envs.tools.background import wait_for
from homeostat.errors import ConfigError, ModelError, PromptTooLong
from homeostat.foreign_text import clipped, shown
from homeostat.sensors.attempts import Attempt, Readout
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.contracts import Capability
from homeostat.sensors.steering.actuators import Actuator

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["ChatModel"]

_LOG = logging.getLogger("homeostat")
_MODELS = "https://api.openai.com/v1"
_OPTIONAL = ("top_logprobs", "logprobs", "response_format", "temperature", "seed", "max_tokens", "n")
"""What a request can do without; ``max_tokens`` gets its newer name instead."""
_TOO_LONG = re.compile(
    r"context.{0,20}(length|window|size)|(length|window|size).{0,20}context|prompt.{0,20}too long", re.I
)
_LONGEST = 300
_CONNECT = 10.0


class ChatModel:
    """A model behind an OpenAI-compatible API. It needs the extra ``openai``.

    It offers text, log-probabilities, tools and answers under a JSON schema; nobody can read or steer its attention.
    An agent leaves out sensors that need more (:attr:`~homeostat.Agent.degraded`).

    Attributes:
        name: ``openai:`` and the model's name on the server.
        style: How its prompts are worded.
        capabilities: What it offers.
        left_out: The parameters that the server has refused; they are not sent any more.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        style: PromptStyle = TEXT,
        logprobs: bool = True,
        tools: bool = True,
        schemas: bool = True,
        retries: int = 4,
        seconds: float = 300.0,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """Prepares the client. No request is made yet.

        Args:
            model: The model's name on the server.
            base_url: The address of the API; None takes ``$OPENAI_BASE_URL``, else OpenAI.
            api_key: The key; None takes ``$OPENAI_API_KEY``. A server without keys needs none.
            style: How prompts are worded. A model that reads images can take :data:`~homeostat.agent.VERBOSE`.
            logprobs: Whether to ask for log-probabilities.
            tools: Whether the server words tools and reads their calls. Otherwise the prompt says how to call them.
            schemas: Whether the server can hold an answer to a JSON schema.
            retries: How often a failed request is repeated.
            seconds: The most seconds of one request, repetitions not counted.
            extra: Further fields of every request, such as ``{"top_k": 20}``.

        Raises:
            ConfigError: The client is not installed, or a setting is invalid.
        """
        try:
            from openai import AsyncOpenAI, Timeout
        except ImportError:
            raise ConfigError("a model on a server needs the client openai; pip install 'homeostat[openai]'") from None
        if retries < 0 or not seconds > 0:
            raise ConfigError(f"retries={retries!r}, seconds={seconds!r}: give 0 or more retries and a positive time")
        address = base_url or os.environ.get("OPENAI_BASE_URL") or _MODELS
        self.name, self.style = f"openai:{model}", style
        offered: list[Capability] = ["text"]
        offered += ["logprobs"] if logprobs else []
        offered += ["tools"] if tools else []
        offered += ["schema"] if schemas else []
        self.capabilities: frozenset[Capability] = frozenset(offered)
        self.left_out: frozenset[str] = frozenset()
        self._model, self._extra, self._retries = model, dict(extra or {}), retries
        self._key = api_key or os.environ.get("OPENAI_API_KEY") or ""
        self._address = api_address(address)
        self._client: AsyncOpenAI = AsyncOpenAI(
            api_key=self._key or "none",
            base_url=self._address,
            max_retries=retries,
            timeout=Timeout(seconds, connect=min(seconds, _CONNECT)),
        )
        self._running: set[asyncio.Task[Any]] = set()

    @classmethod
    def load(cls, name: str, base_url: str | None = None, **settings: Any) -> ChatModel:
        """Finds a model by its name or by its server's address.

        Args:
            name: ``openai:NAME``, ``http://HOST:PORT`` for a server's only model, or ``http://HOST:PORT#NAME``.
            base_url: The address that goes with ``openai:NAME``.
            settings: Further arguments of the constructor.

        Returns:
            The model.

        Raises:
            ConfigError: The name or the address is invalid.
            ModelError: The server has several models, or can't be asked.
        """
        found = served_model(name, base_url)
        if found.model:
            return cls(found.model, base_url=found.base_url, **settings)
        asked = cls("unknown", base_url=found.base_url, **settings)
        try:
            offered = asked.served()
        finally:
            asked.close()
        if len(offered) != 1:
            listed = clipped(", ".join(offered) or "none", _LONGEST)
            raise ModelError(f"server {name!r} has not one model but these: {listed}; write {name}#NAME")
        return cls(offered[0], base_url=found.base_url, **settings)

    def __repr__(self) -> str:
        """The name and the address, without the key."""
        return f"ChatModel({self._model!r}, base_url={self._address!r})"

    def generate(
        self,
        prompt: Prompt,
        *,
        n: int = 1,
        temperature: float = 0.0,
        max_new_tokens: int = 256,
        watch: bool | Readout = True,
        deadline: float | None = None,
        seed: int | None = None,
        steer: Sequence[Actuator] = (),
        schema: Mapping[str, Any] | None = None,
    ) -> list[Attempt]:
        """Asks the server (see :class:`~homeostat.agent.Model`). Attention can't be watched, so none is.

        A server that gives one answer only is asked again with other seeds.
        """
        if steer:
            raise ModelError(f"{self.name!r}: attention on a server can't be steered; load the weights instead")
        request: dict[str, Any] = {
            "model": self._model,
            "messages": chat_messages(prompt),
            "temperature": temperature,
            "max_tokens": max_new_tokens,
            **({"seed": seed} if seed is not None else {}),
            **({"logprobs": True, "top_logprobs": 2} if "logprobs" in self.capabilities else {}),
            **({"tools": tools} if (tools := chat_tools(prompt)) else {}),
        }
        if schema is not None:
            wanted = {"name": "answer", "schema": dict(schema)}
            request["response_format"] = {"type": "json_schema", "json_schema": wanted}
        if temperature == 0.0:
            return self._ask(request, deadline)[:1] * n
        attempts: list[Attempt] = []
        while len(attempts) < n:
            wanted_now = n - len(attempts)
            more = {"n": wanted_now} if wanted_now > 1 else {}
            more |= {"seed": (seed + len(attempts)) & 0x7FFFFFFF} if seed is not None else {}
            found = self._ask(request | more, deadline)[:wanted_now]
            attempts += found
            if deadline is not None and time.monotonic() >= deadline:
                break
        return attempts

    def served(self) -> list[str]:
        """Asks the server for the names of its models.

        Returns:
            The names.

        Raises:
            ModelError: The server can't be asked.
        """

        async def listed() -> list[str]:
            return [str(model.id) async for model in self._client.models.list()]

        return self._answered(listed)

    def interrupt(self) -> None:
        """Ends the present call (see :class:`~homeostat.agent.models.protocol.Interruptible`)."""
        for task in tuple(self._running):
            task.get_loop().call_soon_threadsafe(task.cancel)

    def close(self) -> None:
        """Closes the connections to the server."""
        wait_for(self._client.close(), 5.0)

    def _ask(self, request: dict[str, Any], deadline: float | None) -> list[Attempt]:
        begun = time.monotonic()

        async def bounded() -> bytes | None:
            task = asyncio.current_task()
            assert task is not None
            self._running.add(task)
            left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
            try:
                async with asyncio.timeout(left):
                    return await self._sent(request)
            except TimeoutError:
                return None
            finally:
                self._running.discard(task)

        try:
            body = self._answered(bounded)
        except CancelledError:  # interrupt
            body = None
        seconds = time.monotonic() - begun
        if body is None:
            return [Attempt(text="", finish="length", seconds=seconds)]
        return attempts_of(body, self.name, seconds)

    async def _sent(self, request: dict[str, Any]) -> bytes:
        """The response's body. What the server refuses by name is left out, and the request is sent again."""
        from openai import APIStatusError

        while True:
            try:
                raw: Any = await self._client.chat.completions.with_raw_response.create(
                    **self._without_refused(request), extra_body=self._extra or None
                )
                body: bytes = raw.http_response.content
                return body
            except APIStatusError as error:
                refused = _refused(error, self._without_refused(request)) if error.status_code in (400, 422) else None
                if refused is None:
                    raise
                self.left_out |= {refused}
                _LOG.warning("%s: the server takes no %s, so it is left out", self.name, refused)

    def _without_refused(self, request: dict[str, Any]) -> dict[str, Any]:
        kept = {name: value for name, value in request.items() if name not in self.left_out}
        if "max_tokens" in self.left_out:
            kept["max_completion_tokens"] = request["max_tokens"]
        if "logprobs" not in kept:
            kept.pop("top_logprobs", None)
        return kept

    def _answered(self, call: Any) -> Any:
        """The result of a coroutine function, with one-line errors."""
        from openai import APIConnectionError, APIError, APIStatusError, APITimeoutError

        try:
            return wait_for(call())
        except APIStatusError as error:
            raise self._status_error(error) from None
        except APITimeoutError:
            what, fix = "did not answer in time", "check the server, or give it more seconds; then resume"
        except APIConnectionError as error:
            why = str(error.__cause__ or error)
            what, fix = f"can't be reached ({self._safe(why)})", "start it, or correct its address; then resume"
        except (APIError, ValueError) as error:
            what = f"sent what the client can't read ({self._safe(str(error))})"
            fix = "check that it is an OpenAI-compatible API"
        raise ModelError(f"{self.name!r}: the server {self._address} {what}; {fix}") from None

    def _status_error(self, error: Any) -> ModelError:
        status, said = error.status_code, self._safe(_message(error))
        if status in (400, 413, 422) and _is_too_long(error):
            return PromptTooLong(f"{self.name!r}: the prompt does not fit the model's context ({said}); shorten it")
        fix = "correct the request or the model"
        if status in (401, 403):
            fix = "set $OPENAI_API_KEY to a key of this server"
        elif status == 404:
            fix = "check the model's name and the address"
        elif status == 429 or status >= 500:
            fix = f"it was asked {self._retries + 1} times; wait or look into its log, then resume"
        elif "tool" in said.lower():
            fix = "start the server with tool calls, or use ChatModel(…, tools=False)"
        return ModelError(f"{self.name!r}: the server {self._address} answered {status} ({said}); {fix}")

    def _safe(self, text: str) -> str:
        """A server's text for a message: one line, cut, and without the key."""
        plain = text.replace(self._key, "***") if self._key else text
        return clipped(shown(" ".join(plain.split())), _LONGEST)


def _message(error: Any) -> str:
    """What a server says in an error."""
    body = error.body
    said = body.get("message") if isinstance(body, Mapping) else None
    return str(said or error.message)


def _is_too_long(error: Any) -> bool:
    return error.code == "context_length_exceeded" or bool(_TOO_LONG.search(_message(error)))


def _refused(error: Any, request: Mapping[str, Any]) -> str | None:
    """The optional parameter that a server refuses; None if it refuses something else."""
    if _is_too_long(error):
        return None
    said = _message(error).replace("json_schema", "response_format")
    for name in _OPTIONAL:
        if name in request and (error.param == name or re.search(rf"['\"`]{name}['\"`]", said)):
            return name
    longer = (name for name in _OPTIONAL if len(name) > 1 and name in request)
    return next((name for name in longer if re.search(rf"\b{name}\b", said)), None)
