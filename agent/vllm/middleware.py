"""Readings from a plain ``vllm serve``: a middleware for clients that add the field ``homeostat`` to a chat request.

    vllm serve MODEL --worker-extension-cls homeostat.agent.vllm.worker.AttentionWorker \
        --middleware homeostat.agent.vllm.middleware.ReadingMiddleware

The middleware finds the tokens of every label in the prompt, sends the ranges along in ``vllm_xargs``, and adds what
the workers read to the response. vLLM calls it before its own check of the API key. The work begins when the endpoint
asks for the body, which is after that check.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from homeostat.agent.vllm.chat_requests import Wanted, plain_chat, reading, rendered_as, span_request
from homeostat.agent.vllm.wire import EXTRA, SpanRequest, joined_masses
from homeostat.errors import ConfigError, HomeostatError
from homeostat.sensors.chat.rendering import Renderer

__all__ = ["ReadingMiddleware"]

_PATH = "/v1/chat/completions"
_EXTENSION = "homeostat.agent.vllm.worker.AttentionWorker"
_REFUSED = {"use_beam_search": "beams share rows", "prompt_embeds": "a prompt without tokens has no labels"}


@dataclass
class _Read:
    """A request that is read.

    Attributes:
        request: What the workers are asked for.
        array: Whether the client wants every number.
        stream: Whether the answer comes as events.
        usage: Whether the client wants the number of tokens, at the end and with every event.
        token_ids: Whether the client wants the tokens.
        lengths: By choice, the number of its tokens.
        taken: Whether the workers were asked already.
    """

    request: SpanRequest
    array: bool
    stream: bool
    usage: tuple[bool, bool]
    token_ids: bool
    lengths: dict[int, int] = field(default_factory=dict)
    taken: bool = False


class ReadingMiddleware:
    """Adds readings to the responses of ``/v1/chat/completions`` for requests that ask for them.

    All other requests pass as they are.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wraps vLLM's application.

        Args:
            app: The application.
        """
        self._app = app
        self._lock = asyncio.Lock()
        self._setup: dict[str, Any] | None = None
        self._renderers: dict[str, Renderer] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request.

        Args:
            scope: What is known of it.
            receive: Returns its body.
            send: Takes the response.
        """
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        if scope["type"] != "http" or scope["method"] != "POST" or path != _PATH:
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(self, scope["app"].state, receive, send)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        finally:
            read = exchange.read
            if read is not None and not read.taken:  # the client has gone, or vLLM has refused the request
                forgotten = asyncio.ensure_future(self.take(scope["app"].state, read))
                exchange.later.add(forgotten)
                forgotten.add_done_callback(exchange.later.discard)

    async def prepare(self, state: Any, raw: bytes) -> tuple[bytes, _Read | None]:
        """Prepares a request whose body holds the field.

        Args:
            state: The state of vLLM's application.
            raw: The body.

        Returns:
            The body for vLLM, and what is read; None where nothing is.

        Raises:
            HomeostatError: The request or the server's mode can't be served.
        """
        try:
            body = json.loads(raw)
        except (ValueError, RecursionError):
            return raw, None  # vLLM says what is wrong with it
        if not isinstance(body, dict) or body.get(EXTRA) in (None, False):
            return raw, None
        wanted = Wanted.of(body.pop(EXTRA))
        for name, why in _REFUSED.items():
            if body.get(name):
                raise ConfigError(f"{name} can't be read ({why}); leave it out, or the field homeostat")
        more = body.get("vllm_xargs") or {}
        if not isinstance(more, dict) or EXTRA in more:
            raise ConfigError(f"vllm_xargs={str(more)[:40]}: it must be an object without the key {EXTRA!r}")
        setup = await self._ready(state)
        messages: Any = body.get("messages")
        body["messages"] = plain_chat(messages)
        seen = await _seen_by_vllm(state, body)
        if seen is None:
            return json.dumps(body).encode(), None  # vLLM refuses the request and says why
        asked, tools, ids = seen
        async with self._lock:  # a fast tokenizer serves one thread at a time
            rendered = await asyncio.to_thread(rendered_as, self._renderer(state), messages, tools, ids)
        samples, stream = asked.n or 1, bool(asked.stream)
        request, salt = span_request(wanted, rendered, samples, setup["layers"], setup["heads"])
        options = asked.stream_options
        usage = (False, False) if options is None else (options.include_usage, options.continuous_usage_stats)
        read = _Read(
            request, wanted.array, stream, (bool(usage[0]), bool(usage[1])), token_ids=bool(asked.return_token_ids)
        )
        body |= salt | {"vllm_xargs": {**more, **request.extra_args()}}
        if stream:
            body["stream_options"] = {
                **(body.get("stream_options") or {}),
                "include_usage": True,
                "continuous_usage_stats": True,
            }
        elif samples > 1:
            body["return_token_ids"] = True
        return json.dumps(body).encode(), read

    async def take(self, state: Any, read: _Read) -> list[dict[str, Any]]:
        """Fetches what the workers read.

        Args:
            state: The state of vLLM's application.
            read: The request.

        Returns:
            For each answer, the field ``homeostat`` of the response; ``error`` in it where it could not be read.
        """
        read.taken = True
        key = read.request.key
        try:
            ranks = await state.engine_client.collective_rpc("homeostat_take", args=([key],))
            masses = joined_masses(read.request, [rank[key] for rank in ranks], read.lengths)
        except Exception as error:  # the answer itself is there
            said = str(error) if isinstance(error, HomeostatError) else f"{type(error).__name__}: {error}"
            return [{"error": said.partition("\n")[0]}]
        return [reading(mass, array=read.array) for mass in masses]

    async def _ready(self, state: Any) -> dict[str, Any]:
        """Makes the workers watch their layers; once."""
        async with self._lock:
            if self._setup is None:
                parallel = state.engine_client.vllm_config.parallel_config
                if parallel.worker_extension_cls != _EXTENSION:
                    raise ConfigError(f"this server reads nothing; start it with --worker-extension-cls {_EXTENSION}")
                if parallel.data_parallel_size > 1:
                    raise ConfigError("data parallel engines can't be read; start with --data-parallel-size 1")
                ranks = await state.engine_client.collective_rpc("homeostat_setup")
                refused = next((rank["refused"] for rank in ranks if rank["refused"]), "")
                self._setup = {
                    "refused": refused,
                    "layers": ranks[0]["layers"],
                    "heads": sum(rank["heads"] for rank in ranks),
                }
        if self._setup["refused"]:
            raise ConfigError(f"this server's mode can't be read: {self._setup['refused']}")
        return self._setup

    def _renderer(self, state: Any) -> Renderer:
        """A renderer with the server's tokenizer and chat template."""
        template = state.openai_serving_chat.chat_template
        found = self._renderers.get(template or "")
        if found is None:
            tokenizer = copy.deepcopy(state.engine_client.get_tokenizer())  # vLLM uses its own in other threads
            if template is not None:
                tokenizer.chat_template = template
            found = self._renderers[template or ""] = Renderer(tokenizer)
        return found


class _Exchange:
    """The body and the response of one request.

    Attributes:
        read: What is read; None where the request passes as it is.
        later: Tasks that outlive the request.
    """

    def __init__(self, middleware: ReadingMiddleware, state: Any, receive: Receive, send: Send) -> None:
        self._middleware, self._state, self._receive, self._send = middleware, state, receive, send
        self.read: _Read | None = None
        self.later: set[asyncio.Future[Any]] = set()
        self._begun = False
        self._start: Message = {}
        self._held = b""
        self._last: dict[str, Any] = {}

    async def receive(self) -> Message:
        """Returns the body that vLLM is to see, in one piece."""
        message = await self._receive()
        if self._begun or message["type"] != "http.request":
            return message
        self._begun = True
        pieces = [message.get("body", b"")]
        while message.get("more_body"):
            message = await self._receive()
            if message["type"] != "http.request":
                return message
            pieces.append(message.get("body", b""))
        raw = b"".join(pieces)
        if b'"homeostat"' in raw:
            try:
                raw, self.read = await self._middleware.prepare(self._state, raw)
            except HomeostatError as error:
                raise HTTPException(400, str(error)) from None
        return {"type": "http.request", "body": raw, "more_body": False}

    async def send(self, message: Message) -> None:
        """Passes the response on, with what was read."""
        read = self.read
        if read is None:
            await self._send(message)
        elif message["type"] == "http.response.start":
            self._start = message
            if message["status"] != 200:
                self.read = None
                read.taken = True  # nothing was generated
                await self._send(message)
            elif read.stream:
                await self._send(message)
        elif read.stream:
            self._held += message.get("body", b"")
            body = b"".join([piece async for piece in self._events(read)])
            if not message.get("more_body"):
                body, self._held = body + self._held, b""
            await self._send({**message, "body": body})
        else:
            self._held += message.get("body", b"")
            if not message.get("more_body"):
                await self._whole(read)

    async def _whole(self, read: _Read) -> None:
        """Sends a response that is no stream."""
        body = json.loads(self._held)
        choices = body.get("choices") or []
        for choice in choices:
            ids = choice.get("token_ids")
            if ids is not None:
                read.lengths[choice["index"]] = len(ids)
            if not read.token_ids:
                choice["token_ids"] = None
        if not read.token_ids:
            body["prompt_token_ids"] = None
        if len(choices) == 1:
            read.lengths[0] = body["usage"]["completion_tokens"]
        told = await self._middleware.take(self._state, read)
        for choice, one in zip(choices[1:], told[1:], strict=False):
            choice["homeostat"] = one
        body["homeostat"] = told[0]
        whole = json.dumps(body, ensure_ascii=False).encode()
        headers = [(name, value) for name, value in self._start["headers"] if name.lower() != b"content-length"]
        headers.append((b"content-length", str(len(whole)).encode()))
        await self._send({**self._start, "headers": headers})
        await self._send({"type": "http.response.body", "body": whole, "more_body": False})

    async def _events(self, read: _Read) -> AsyncIterator[bytes]:
        """The whole events that have come, and before the last one an event with what was read."""
        while b"\n\n" in self._held:
            event, _, self._held = self._held.partition(b"\n\n")
            data = event.removeprefix(b"data: ")
            if data == b"[DONE]" and self._last:
                told = await self._middleware.take(self._state, read)
                head = {name: self._last[name] for name in ("id", "object", "created", "model")}
                more = [{"index": i, "delta": {}, "homeostat": one} for i, one in enumerate(told) if i]
                last = {**head, "choices": more, "homeostat": told[0]}
                yield b"data: " + json.dumps(last, ensure_ascii=False).encode() + b"\n\n"
            if data is event or data == b"[DONE]":  # a sign of life, or the end
                yield event + b"\n\n"
            elif (kept := self._event(read, data)) is not None:
                yield b"data: " + kept + b"\n\n"

    def _event(self, read: _Read, data: bytes) -> bytes | None:
        """One event without what only we have asked for; None where nothing is left."""
        body = json.loads(data)
        usage, choices = body.get("usage"), body.get("choices")
        if choices is None:  # an error
            return data
        self._last = body
        if choices and usage is not None:
            read.lengths[choices[0]["index"]] = usage["completion_tokens"]
        end, always = read.usage
        if usage is None or (end and (always or not choices)):
            return data
        if not choices:
            return None
        del body["usage"]
        return json.dumps(body, ensure_ascii=False).encode()


async def _seen_by_vllm(state: Any, body: dict[str, Any]) -> tuple[Any, list[dict[str, Any]], list[int]] | None:
    """A request as vLLM reads it, the tools of its prompt, and the prompt's tokens; None where vLLM refuses it."""
    from pydantic import ValidationError
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
    from vllm.entrypoints.serve.engine.protocol import ErrorResponse

    chat = state.openai_serving_chat
    try:
        asked = ChatCompletionRequest.model_validate(copy.deepcopy(body))
        tools = [tool.model_dump() for tool in asked.tools or ()]
        if asked.tool_choice == "none" and chat.online_renderer.exclude_tools_when_tool_choice_none:
            tools = []
        found = await chat.render_chat_request(asked)
    except (ValidationError, ValueError, TypeError):
        return None
    if isinstance(found, ErrorResponse):
        return None
    _, inputs = found
    if len(inputs) != 1 or inputs[0].get("prompt_token_ids") is None:
        raise ConfigError("this model's prompts are no plain list of tokens, so they have no labels here")
    return asked, tools, list(inputs[0]["prompt_token_ids"])
