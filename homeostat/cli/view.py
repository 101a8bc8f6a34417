"""``homeostat view``: all runs and evaluations under a folder in the browser, live while they run."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from homeostat.errors import ConfigError

__all__ = ["view"]


def view(
    folder: Annotated[Path, typer.Argument(help="The folder whose runs and evaluations are shown.")] = Path("runs"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0 takes any free one.")] = 8765,
    host: Annotated[str, typer.Option(help="The address to listen on. Other machines can't reach 127.0.0.1.")] = (
        "127.0.0.1"
    ),
    open_it: Annotated[
        bool | None,
        typer.Option("--open/--no-open", help="Open the browser. Default: on a terminal.", show_default=False),
    ] = None,
) -> None:
    """Show all runs and evaluations under a folder in the browser, live while they run.

    \b
    Examples:
      homeostat view
      homeostat view runs --port 0 --no-open
    """
    from homeostat.envs.adb.access import is_loopback

    for module in ("fastapi", "uvicorn"):
        if find_spec(module) is None:
            raise ConfigError(f"this command needs {module}; pip install 'homeostat[serve]'")
    if folder.is_file():
        raise ConfigError(f"{str(folder)!r} is a file; give its folder, or show the file with homeostat report")
    if not folder.is_dir():
        raise ConfigError(f"folder {str(folder)!r} does not exist; give the folder that holds your runs")
    if not is_loopback(host):
        typer.echo(
            f"warning: other machines can reach {host} and read every run under {str(folder)!r}; nothing is encrypted",
            err=True,
        )
    from homeostat.viewer.serving import serve_view

    wanted = sys.stdout.isatty() if open_it is None else open_it

    def ready(address: str) -> None:
        typer.echo(f"showing {folder} at {address} ; Ctrl-C ends it")
        if wanted:
            typer.launch(address)

    serve_view(folder, host=host, port=port, on_ready=ready)
