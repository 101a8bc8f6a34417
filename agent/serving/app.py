"""The HTTP application: routes, access, and errors in OpenAI's form."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from homeostat.agent.serving.answering import Answered
from homeostat.agent.serving.errors import ApiError, api_error, invalid_request
from homeostat.agent.serving.responses import Reply, event
from homeostat.agent.serving.schema import ChatRequest
from homeostat.agent.serving.service import Prepared, Service, Work
from homeostat.errors import HomeostatError
from homeostat.version import __version__

__all__ = ["create_app"]

_LOG = logging.getLogger("homeostat.serve")
_BODY = 32 * 2**20
"""The most bytes of a request, images included."""
_PATIENCE = 2.0
"""Seconds after which a stream begins even if there is nothing to tell yet, not even an error."""
_BEAT = 10.0
"""Seconds between two signs of life in a stream, which keep proxies from closing it."""


def create_app(service: Service, *, api_key: str | None = None) -> FastAPI:
    """Builds the application.

    Args:
        service: What answers the requests.
        api_key: The key that clients have to give as a bearer token; None for none.

    Returns:
        An ASGI application.
    """
    app = FastAPI(title="homeostat serve", version=__version__)
    app.add_middleware(_Gate, api_key=api_key)
    app.add_exception_handler(RequestValidationError, _refused)
    app.add_exception_handler(HTTPException, _failed_route)
    app.add_exception_handler(Exception, _failed)
    begun = int(time.time())

    def described() -> dict[str, Any]:
        told = {"id": service.name, "object": "model", "created": begun, "owned_by": "homeostat"}
        return told if service.context is None else {**told, "max_model_len": service.context}

    @app.post("/v1/chat/completions")
    async def chat_completions(body: ChatRequest, request: Request) -> Response:
        """Answers a chat."""
        arrived, status = time.monotonic(), 500
        try:
            response = await _completion(service, body, request, arrived)
            status = response.status_code
        except Exception as error:
            if not isinstance(error, HomeostatError):
                _LOG.exception("a request failed")
            response = _error_response(api_error(error))
            status = response.status_code
        finally:
            service.metrics.requests.labels(str(status)).inc()
        return response

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        """Lists the served model."""
        return {"object": "list", "data": [described()]}

    @app.get("/v1/models/{name:path}")
    async def model(name: str) -> Response:
        """Describes the served model."""
        if name != service.name:
            missing = f"the model {name!r} is not served here; ask for {service.name!r}"
            return _error_response(ApiError(404, missing, param="model", code="model_not_found"))
        return JSONResponse(described())

    @app.get("/health")
    async def health() -> Response:
        """Tells whether requests are taken."""
        return JSONResponse({"status": "closing" if service.closing else "ok"}, 503 if service.closing else 200)

    @app.get("/metrics")
    async def metrics() -> Response:
        """Shows the figures for Prometheus."""
        return PlainTextResponse(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return app


async def _completion(service: Service, body: ChatRequest, request: Request, arrived: float) -> Response:
    prepared = await run_in_threadpool(service.prepare, body)
    reply = Reply(service.name, logprobs=body.logprobs, live=prepared.live)
    if body.stream:
        usage = body.stream_options is not None and body.stream_options.include_usage
        return await _streamed(service, prepared, reply, request, usage=usage, arrived=arrived)
    works = service.start(prepared)
    try:
        choices = await _unless_gone(works, request)
    except asyncio.CancelledError:
        _cancel(works)
        raise
    if choices is None:
        service.metrics.cancelled.inc()
        _cancel(works)
        return Response(status_code=499)
    service.metrics.seconds.observe(time.monotonic() - arrived)
    return JSONResponse(reply.whole(choices * prepared.copies))


async def _unless_gone(works: list[Work], request: Request) -> list[Answered] | None:
    """The answers; None where the client goes away first."""
    answers = asyncio.gather(*(asyncio.wrap_future(work.result) for work in works))
    gone = asyncio.ensure_future(_gone(request))
    try:
        both: set[asyncio.Future[Any]] = {answers, gone}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if answers.done():
            return list(answers.result())
        answers.cancel()
        return None
    except BaseException:
        _cancel(works)
        raise
    finally:
        gone.cancel()


async def _gone(request: Request) -> None:
    """Returns when the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _streamed(
    service: Service, prepared: Prepared, reply: Reply, request: Request, *, usage: bool, arrived: float
) -> Response:
    """A stream of events. An error before the first one is an ordinary error response."""
    loop, told = asyncio.get_running_loop(), asyncio.Queue[tuple[int, str | Answered | BaseException]]()

    def tell(index: int, what: str | Answered | BaseException) -> None:
        loop.call_soon_threadsafe(told.put_nowait, (index, what))

    works = service.start(prepared, tell)
    for index, work in enumerate(works):
        task = asyncio.ensure_future(asyncio.wrap_future(work.result))
        task.add_done_callback(lambda done, index=index: _pass_on(done, index, told))  # type: ignore[misc]
    try:
        first = await asyncio.wait_for(told.get(), _PATIENCE)
    except TimeoutError:
        first = None
    except asyncio.CancelledError:
        _cancel(works)
        raise
    if first is not None and isinstance(first[1], BaseException):
        _cancel(works)
        raise first[1]

    async def events() -> AsyncIterator[str]:
        finished: dict[int, Answered] = {}
        sent = [""] * len(works)
        item = first
        try:
            for index in range(len(works) * prepared.copies):
                yield reply.begin(index)
            while len(finished) < len(works):
                if item is None:
                    try:
                        item = await asyncio.wait_for(told.get(), _BEAT)
                    except TimeoutError:
                        yield ": the answer is being written\n\n"
                        continue
                (index, what), item = item, None
                if isinstance(what, BaseException):
                    if not isinstance(what, HomeostatError):
                        _LOG.error("a request failed", exc_info=what)
                    yield event(api_error(what).body())
                    return
                for number in range(index, len(works) * prepared.copies, len(works)):
                    yield reply.text(number, what) if isinstance(what, str) else reply.end(number, what, sent[index])
                if isinstance(what, Answered):
                    finished[index] = what
                else:
                    sent[index] += what
            if usage:
                yield reply.usage([finished[n] for n in sorted(finished)] * prepared.copies)
            yield event("[DONE]")
            service.metrics.seconds.observe(time.monotonic() - arrived)
        finally:
            if len(finished) < len(works):
                service.metrics.cancelled.inc()
                _cancel(works)

    return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-cache"})


def _pass_on(done: asyncio.Future[Answered], index: int, told: asyncio.Queue[Any]) -> None:
    """Puts the end of a choice behind its text."""
    if done.cancelled():
        told.put_nowait((index, ApiError(503, "the answer was cancelled", type="server_error", code="interrupted")))
    else:
        told.put_nowait((index, done.exception() or done.result()))


def _cancel(works: list[Work]) -> None:
    for work in works:
        work.cancel()


def _error_response(error: ApiError) -> Response:
    headers = {"Retry-After": "1"} if error.status == 503 else {}
    if error.status == 401:
        headers = {"WWW-Authenticate": "Bearer"}
    return JSONResponse(error.body(), error.status, headers)


async def _refused(request: Request, error: Any) -> Response:
    """A body that is no request."""
    return _error_response(invalid_request(error.errors()))


async def _failed_route(request: Request, error: Any) -> Response:
    """A path or a method that is not there, or a body that can't be read."""
    path = f"{request.method} {request.url.path}"
    if error.status_code in (404, 405):
        return _error_response(ApiError(error.status_code, f"{path} is not served; POST /v1/chat/completions is"))
    return _error_response(ApiError(error.status_code, f"{path}: {error.detail}"))


async def _failed(request: Request, error: Any) -> Response:
    return _error_response(api_error(error))


class _Gate:
    """Asks for the key, and refuses bodies that are too large, before anything is read."""

    def __init__(self, app: ASGIApp, api_key: str | None) -> None:
        self._app, self._key = app, api_key.encode() if api_key is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        refused = self._refusal(scope["path"], headers)
        if refused is not None:
            await _error_response(refused)(scope, receive, send)
            return
        read = 0

        async def bounded() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > _BODY:
                raise HTTPException(413, f"the body is longer than {_BODY} bytes")
            return message

        await self._app(scope, bounded, send)

    def _refusal(self, path: str, headers: dict[bytes, bytes]) -> ApiError | None:
        given = headers.get(b"authorization", b"")
        if self._key is not None and path != "/health":
            scheme, _, key = given.partition(b" ")
            if scheme.lower() != b"bearer" or not hmac.compare_digest(key.strip(), self._key):
                return ApiError(
                    401, "the API key is missing or wrong; pass the server's --api-key", code="invalid_api_key"
                )
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > _BODY:
            return ApiError(413, f"the body is longer than {_BODY} bytes")
        return None
