"""Shows an episode while it runs: drawn in a terminal, or as plain lines elsewhere.

Both views describe events with the same words (:mod:`homeostat.cli.event_text`). The drawn view adds the screenshot and
a bar for every labelled span of the prompt.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from rich_pixels import Pixels

from homeostat.agent.events import Event, Observe, Sense, Started
from homeostat.cli.event_text import lines, number, problem_lines, reading_line, spans_of, turn_lines, unread_lines
from homeostat.envs.mobile_use import Grid
from homeostat.foreign_text import shown
from homeostat.sensors.readings import Reading

__all__ = ["DrawnView", "PlainView", "View", "picture", "view_for"]

_LOG_LINES = 9


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
        A drawn view on a terminal, else a plain one.
    """
    return PlainView(console) if plain or not console.is_terminal else DrawnView(console)


def picture(pixels: NDArray[np.uint8], columns: int, rows: int) -> Panel:
    """Draws a screenshot with half-block characters: each cell shows two pixels, one above the other.

    Args:
        pixels: The screenshot, shape (height, width, 3).
        columns: How many cells it may be wide.
        rows: How many cells it may be high.

    Returns:
        The picture in a frame. It keeps its aspect ratio, and a small one is not enlarged.
    """
    image = Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")
    image.thumbnail((max(columns, 1), 2 * max(rows, 1)), Image.Resampling.BOX)
    # The frame gets its width from here, because ``Pixels`` tells rich no width of its own.
    return Panel(Pixels.from_image(image), padding=0, width=image.width + 2)


class _LastScreen:
    """Remembers the last screenshot and the grid on which its points are printed."""

    pixels: Any = None
    grid = Grid(100, 100)

    def see(self, event: Event) -> None:
        if isinstance(event, Observe) and event.screenshot is not None:
            self.pixels = event.screenshot
            self.grid = Grid(event.screenshot.shape[1], event.screenshot.shape[0])


class PlainView:
    """Prints one or more lines for each event."""

    def __init__(self, console: Console) -> None:
        """Prints on ``console``."""
        self._console, self._screen = console, _LastScreen()

    def __enter__(self) -> Self:
        """Does nothing."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Does nothing."""

    def show(self, event: Event) -> None:
        """Prints the event's lines."""
        self._screen.see(event)
        for line in lines(event, self._screen.grid):
            self._console.print(Text(line), soft_wrap=True)

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Does nothing: plain lines leave the terminal free."""
        yield


class DrawnView:
    """Draws the screenshot on the left; the goal, attention, readings and a log on the right.

    The last drawing stays on the terminal when the episode ends.
    """

    def __init__(self, console: Console) -> None:
        """Draws on ``console``."""
        self._console, self._screen = console, _LastScreen()
        self._live = Live(console=console, auto_refresh=False, transient=False, vertical_overflow="crop")
        self._goal, self._step, self._steps = "", 0, 0
        self._spans: dict[str, float] = {}
        self._readings: tuple[Reading, ...] = ()
        self._log: list[str] = []

    def __enter__(self) -> Self:
        """Takes the terminal over."""
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Gives the terminal back with the last drawing in place."""
        self._live.stop()

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Stops drawing while other code uses the terminal."""
        self._live.stop()
        try:
            yield
        finally:
            self._live.start()

    def show(self, event: Event) -> None:
        """Takes the event in and draws everything again."""
        self._screen.see(event)
        match event:
            case Started(task=task):
                self._goal, self._steps = task.goal, task.max_steps
                self._log += unread_lines(event)
            case Observe(step=step):
                self._step = step + 1
                self._log += [line.strip() for line in (*turn_lines(event), *problem_lines(event))]
            case Sense():
                self._goal, self._spans, self._readings = event.instruction, spans_of(event), event.readings
        if not isinstance(event, Started | Observe | Sense):
            self._log += [line.strip() for line in lines(event, self._screen.grid)]
        self._live.update(self._drawn(), refresh=True)

    def _drawn(self) -> RenderableType:
        columns, rows = self._console.size.width, self._console.size.height
        right = Group(
            Text(shown(self._goal), style="bold"),
            Text(f"step {self._step} of at most {self._steps}", style="dim"),
            Text(),
            self._bars(),
            Text(),
            *(Text(reading_line(r), style="bold red" if r.alarm else "dim") for r in self._readings),
            Text(),
            *(Text(line, overflow="ellipsis", no_wrap=True) for line in self._log[-_LOG_LINES:]),
        )
        if self._screen.pixels is None:
            return right
        board = Table.grid(padding=(0, 2))
        board.add_row(picture(self._screen.pixels, columns // 2 - 4, max(rows - 4, 8)), right)
        return board

    def _bars(self) -> Table:
        table = Table.grid(padding=(0, 1))
        most = max([*self._spans.values(), 1e-9])
        for label, value in self._spans.items():
            table.add_row(
                Text(shown(label)), ProgressBar(total=1, completed=value / most, width=24), Text(number(value))
            )
        return table
