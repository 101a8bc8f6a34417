"""Shows an episode while it runs: drawn in a terminal, or as plain lines elsewhere.

Both views describe events with the same words (:mod:`homeostat.cli.event_text`). The drawn view
(:mod:`homeostat.cli.board`) adds the screenshot and a bar for every labelled span of the prompt.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.text import Text

from homeostat.agent.events import Event
from homeostat.cli.action_text import LastScreen
from homeostat.cli.board import DrawnView
from homeostat.cli.event_text import lines

__all__ = ["PlainView", "View", "view_for"]


class View(Protocol):
    """Shows events. A context manager, because a drawn view takes over the terminal."""

    def __enter__(self) -> Self:
        """Takes the terminal over."""
        ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Gives the terminal back."""

    def show(self, event: Event) -> None:
        """Shows one event."""
        ...

    def pause(self) -> AbstractContextManager[None]:
        """Returns a context in which other code may use the terminal, to ask the user for example."""
        ...


def view_for(console: Console, *, plain: bool = False) -> View:
    """Chooses a view.

    Args:
        console: Where the view prints.
        plain: Whether to print plain lines on a terminal too.

    Returns:
        A drawn view on a terminal that can move its cursor; a plain one elsewhere, also where ``TERM`` is ``dumb``.
    """
    drawn = console.is_terminal and not console.is_dumb_terminal and not plain
    return DrawnView(console) if drawn else PlainView(console)


class PlainView:
    """Prints one or more lines for each event."""

    def __init__(self, console: Console) -> None:
        """Prints on ``console``."""
        self._console, self._screen = console, LastScreen()

    def __enter__(self) -> Self:
        """Does nothing."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Does nothing."""

    def show(self, event: Event) -> None:
        """Prints the event's lines."""
        self._screen.see(event)
        for line in lines(event, self._screen.grid, self._screen.elements):
            self._console.print(Text(line), soft_wrap=True)

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Does nothing: plain lines leave the terminal free."""
        yield
