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
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from homeostat.agent.models.openai_format import attempts_of, chat_messages, chat_tools
from homeostat.agent.models.server_context import PromptSize, context_of
from homeostat.agent.models.server_errors import ServerErrors, refused_parameter
from homeostat.agent.models.server_names import api_address, served_model
from homeostat.agent.prompts import TEXT, PromptStyle
from homeostat.envs.tools.background import wait_for
from homeostat.errors import ConfigError, ModelError
from homeostat.foreign_text import clipped
from homeostat.sensors.attempts import Attempt, Readout
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.contracts import Capability
from homeostat.sensors.steering.actuators import Actuator

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["ChatModel"]

_LOG = logging.getLogger("homeostat")
_OPENAI = "https://api.openai.com/v1"
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
        context: The tokens of prompt and answer together; None as long as it is unknown.
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
        context: int | None = None,
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
            context: The tokens of prompt and answer together; None asks the server, which may not tell.
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
        address = base_url or os.environ.get("OPENAI_BASE_URL") or _OPENAI
        self.name, self.style = f"openai:{model}", style
        offered: list[Capability] = ["text"]
        offered += ["logprobs"] if logprobs else []
        offered += ["tools"] if tools else []
        offered += ["schema"] if schemas else []
        self.capabilities: frozenset[Capability] = frozenset(offered)
        self.left_out: frozenset[str] = frozenset()
        self._model, self._extra = model, dict(extra or {})
        key = api_key or os.environ.get("OPENAI_API_KEY") or ""
        self._where = ServerErrors(self.name, api_address(address), key, retries)
        self._client: AsyncOpenAI = AsyncOpenAI(
            api_key=key or "none",
            base_url=self._where.address,
            max_retries=retries,
            timeout=Timeout(seconds, connect=min(seconds, _CONNECT)),
        )
        self.context, self._asked_context, self._size = context, context is not None, PromptSize()
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
        return f"ChatModel({self._model!r}, base_url={self._where.address!r})"

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
        return [str(model.get("id")) for model in self._answered(lambda: self._described(self._client))]

    def excess(self, prompt: Prompt, max_new_tokens: int) -> int:
        """Estimates the tokens beyond the context (see :class:`~homeostat.agent.models.protocol.Measuring`).

        Args:
            prompt: The prompt.
            max_new_tokens: The most tokens of the answer.

        Returns:
            The number; 0 where both fit, and where the server does not tell the length of its context.
        """
        if not self._asked_context:
            self._asked_context = True
            quick = self._client.with_options(max_retries=0, timeout=_CONNECT)
            try:
                offered = self._answered(lambda: self._described(quick))
            except ModelError:
                offered = []
            self.context = next((context_of(model) for model in offered if model.get("id") == self._model), None)
        if self.context is None:
            return 0
        taken = self._size.tokens([*chat_messages(prompt), *chat_tools(prompt)])
        return max(taken + max_new_tokens - self.context, 0)

    def interrupt(self) -> None:
        """Ends the present call (see :class:`~homeostat.agent.models.protocol.Interruptible`)."""
        for task in tuple(self._running):
            task.get_loop().call_soon_threadsafe(task.cancel)

    def close(self) -> None:
        """Closes the connections to the server."""
        wait_for(self._client.close(), 5.0)

    @staticmethod
    async def _described(client: AsyncOpenAI) -> list[dict[str, Any]]:
        """What the server tells of its models."""
        return [model.model_dump() async for model in client.models.list()]

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
        attempts = attempts_of(body, self.name, seconds)
        self._size.learn([*request["messages"], *request.get("tools", ())], attempts[0].prompt_tokens)
        return attempts

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
                refused = refused_parameter(error, self._without_refused(request))
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
        from openai import APIError

        try:
            return wait_for(call())
        except (APIError, ValueError) as error:
            raise self._where.error(error) from None
