"""Runs the viewer on a socket until Ctrl-C or SIGTERM."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn

from homeostat.envs.adb.access import is_loopback
from homeostat.errors import ConfigError
from homeostat.viewer.server import create_app

__all__ = ["serve_view"]


def serve_view(
    root: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    on_ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Serves the pages of a folder until Ctrl-C or SIGTERM.

    Args:
        root: The folder.
        host: The address to listen on. Runs can be forked only where no other machine can reach it.
        port: The port; 0 takes any free one.
        on_ready: Told the address once browsers can connect.

    Raises:
        ConfigError: The address can't be listened on.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigError(
            f"can't listen on {host!r}, port {port}: {error.strerror or error}; choose another --port or --host"
        ) from None
    app = create_app(root, host=host, forks=is_loopback(host))
    shown = f"[{host}]" if ":" in host else host
    on_ready(f"http://{shown}:{listener.getsockname()[1]}/")
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2)
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        app.state.forks.close()
