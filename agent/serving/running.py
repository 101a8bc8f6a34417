"""Runs the application on a socket until Ctrl-C or SIGTERM."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable

import uvicorn

from homeostat.agent.serving.app import create_app
from homeostat.agent.serving.service import Service
from homeostat.errors import ConfigError

__all__ = ["Server", "serve"]

_MARGIN = 3.0
"""Seconds for the errors to be sent, once everything was ended."""


class Server(uvicorn.Server):
    """A server that ends within its grace: requests that are not answered by then get an error."""

    def __init__(self, config: uvicorn.Config, service: Service, grace: float) -> None:
        """Keeps what has to be ended.

        Args:
            config: The server's settings.
            service: What answers the requests.
            grace: Seconds that requests may go on after the signal.
        """
        super().__init__(config)
        self._service, self._grace = service, grace

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuses new requests, and ends those that are not answered within the grace.

        Args:
            sockets: The sockets that the server listens on.
        """
        self._service.drain()
        close = threading.Thread(target=self._service.close, name="homeostat-close", daemon=True)
        timer = asyncio.get_running_loop().call_later(self._grace, close.start)
        try:
            await super().shutdown(sockets)
        finally:
            timer.cancel()
            if not close.ident:
                close.start()
            await asyncio.to_thread(close.join)


def serve(
    service: Service,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    api_key: str | None = None,
    grace: float = 5.0,
    on_ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Serves requests until Ctrl-C or SIGTERM.

    Args:
        service: What answers them.
        host: The address to listen on.
        port: The port; 0 takes any free one.
        api_key: The key that clients have to give; None for none.
        grace: Seconds that requests may go on after the signal.
        on_ready: Told the address once clients can connect.

    Raises:
        ConfigError: The address can't be listened on.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"can't listen on {host!r}, port {port}: {reason}; choose another --port") from None
    config = uvicorn.Config(
        create_app(service, api_key=api_key),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=int(grace + _MARGIN) + 1,
    )
    number = listener.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    on_ready(f"http://{shown}:{number}")  # the socket listens already, so a client that connects now only waits
    try:
        Server(config, service, grace).run(sockets=[listener])
    finally:
        service.close()
