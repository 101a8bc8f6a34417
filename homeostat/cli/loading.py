"""Says what is being loaded, before anything slow is imported.

Importing torch takes seconds, and so does reading the weights. A command that does either says so first, on stderr, so
that stdout stays its result. This module imports nothing slow.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from homeostat.foreign_text import shown

__all__ = ["loading_shown", "say_loading"]


@contextmanager
def loading_shown(model: str) -> Iterator[None]:
    """Says on stderr what is being loaded, with a spinner where stderr is a terminal.

    Args:
        model: The model's name.
    """
    from rich.console import Console
    from rich.markup import escape

    console, begun = Console(stderr=True, highlight=False), time.monotonic()
    if not console.is_terminal or console.is_dumb_terminal:
        say_loading(model)
        yield
        return
    name = escape(shown(model))
    with console.status(f"loading {name} (the first import of torch takes some seconds)"):
        yield
    console.print(f"homeostat: loaded {name} in {time.monotonic() - begun:.1f} s", soft_wrap=True)


def say_loading(model: str) -> None:
    """Says in one line on stderr what is being loaded, for a command that shows its own progress afterwards.

    Args:
        model: The model's name.
    """
    typer.echo(f"homeostat: loading {shown(model)}", err=True)
