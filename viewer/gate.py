"""What stands before the server: who may ask for what, and what every answer says to the browser.

- The ``Host`` header has to name this machine by an IP address, by ``localhost`` or by the name that was given. So a
  web page that lets its own name resolve to 127.0.0.1 (DNS rebinding) gets nothing.
- Nothing but GET and HEAD is allowed, except for the one address that starts a fork. It needs a token that only our own
  pages hold, and a cookie that the browser sends from our own pages only (SameSite=Strict).
- Every answer forbids guessing its type, framing it, caching it on disk, and telling its address to other sites.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import secrets
import socket
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from homeostat.envs.adb.access import is_loopback

__all__ = ["Gate", "Keys", "allowed_host"]

_COOKIE = "homeostat_view"
_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")


class Keys:
    """The secrets of one server: a token for our pages' scripts, and a cookie for the browser.

    Attributes:
        token: The token.
        cookie: The value of the ``Set-Cookie`` header.
    """

    def __init__(self) -> None:
        """Draws both."""
        self.token = secrets.token_urlsafe(24)
        self._value = secrets.token_urlsafe(24)
        self.cookie = f"{_COOKIE}={self._value}; Path=/; HttpOnly; SameSite=Strict"

    def allow(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a request comes from one of our own pages.

        Args:
            headers: The request's headers.

        Returns:
            True if it carries the token and the cookie, and no other site sent it.
        """
        cookies = (part.strip().partition(b"=") for part in headers.get(b"cookie", b"").split(b";"))
        values = [value for name, _, value in cookies if name == _COOKIE.encode()]
        given = headers.get(b"x-homeostat-token", b"")
        return (
            hmac.compare_digest(given, self.token.encode())
            and any(hmac.compare_digest(value, self._value.encode()) for value in values)
            and headers.get(b"sec-fetch-site", b"same-origin") == b"same-origin"
        )


def allowed_host(header: str, host: str) -> bool:
    """Whether a ``Host`` header names this machine in a way that no other site can.

    Args:
        header: The header's value.
        host: The name or address that the server listens on.

    Returns:
        True if it is ``localhost``, an IP address, or the name that was given. A server that only this machine can
        reach takes loopback addresses only.
    """
    name = header.rpartition(":")[0] if header.rpartition(":")[2].isdigit() else header
    name = name.strip("[]").lower()
    if is_loopback(host):
        return is_loopback(name)
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name in ("localhost", host.lower(), socket.gethostname().lower())
    return True


class Gate:
    """Refuses what is not allowed, and adds the headers."""

    def __init__(self, app: ASGIApp, *, host: str, keys: Keys) -> None:
        """Stands before an application.

        Args:
            app: The application.
            host: The name or address that the server listens on.
            keys: The server's secrets.
        """
        self._app, self._host, self._keys = app, host, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or refuses it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1008})  # before it is accepted: the answer is 403
            return
        headers = dict(scope["headers"])
        refused = self._refusal(scope, headers)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message["headers"])
                names = {name for name, _ in given}
                given += [pair for pair in (*_HEADERS, _POLICY) if pair[0] not in names]
                if b"cache-control" not in names:
                    given.append((b"cache-control", b"no-store"))
                message = {**message, "headers": given}
            await send(message)

        if refused is None:
            await self._app(scope, receive, answer)
            return
        status, error = refused
        body = json.dumps({"error": error}).encode()
        start = {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]}
        await answer(start)
        await answer({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _refusal(self, scope: Scope, headers: Mapping[bytes, bytes]) -> tuple[int, str] | None:
        if not allowed_host(headers.get(b"host", b"").decode("latin-1"), self._host):
            return 421, "this server answers to its own address only; open the address that it printed"
        if scope["method"] in ("GET", "HEAD"):
            return None
        if scope["method"] != "POST" or not scope["path"].endswith("/fork"):
            return 405, "only GET is allowed here"
        if not self._keys.allow(headers):
            return 403, "the token is missing or wrong; reload the page"
        return None
