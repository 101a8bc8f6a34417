"""The drawn view of a run: the screenshot, the goal, the attention on every span, the readings and a log.

Everything fits into the terminal: what is left of its height goes to the log, whose last lines are shown. A wide
terminal has the screenshot on the left; a narrow one has it on top, or does without.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from homeostat.agent.events import Act, Event, Failed, Observe, Sense, Started
from homeostat.cli.action_text import LastScreen
from homeostat.cli.event_text import are_intensities, lines, problem_lines, reading_line, turn_lines, unread_lines
from homeostat.cli.pictures import Picture, picture_for
from homeostat.cli.span_bars import span_bars
from homeostat.cli.span_levels import SpanHistory, SpanLevel
from homeostat.cli.tally import Tally, seconds
from homeostat.foreign_text import shown
from homeostat.sensors.readings import Reading

__all__ = ["DrawnView"]

_WIDE = 72  # columns from which the screenshot stands on the left
_TALL = 24  # rows from which it stands on top of a narrow terminal
_GAP = 2
_LOG_KEPT = 200  # entries
_LOG_LEAST = 3  # lines that the log always has
_ENTRY_LINES = 3  # lines of one entry


class DrawnView:
    """Draws a run on a terminal. The last drawing stays there when the episode ends."""

    def __init__(self, console: Console, *, pictures: Picture | None = None, tally: Tally | None = None) -> None:
        """Draws on a terminal.

        Args:
            console: The terminal.
            pictures: How screenshots are drawn; None asks the terminal what it can show.
            tally: What counts tokens and seconds; None starts a clock.
        """
        self._console, self._screen = console, LastScreen()
        self._pictures = pictures if pictures is not None else picture_for(console)
        self._live = Live(console=console, auto_refresh=False, transient=False, vertical_overflow="crop")
        self._tally = tally or Tally()
        self._history = SpanHistory()
        self._goal, self._step, self._steps = "", 0, 0
        self._levels: tuple[SpanLevel, ...] = ()
        self._percent = False
        self._readings: tuple[Reading, ...] = ()
        self._log: list[Text] = []

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
        """Takes the event in and draws everything again.

        Args:
            event: The event.
        """
        self._screen.see(event)
        self._tally.see(event)
        match event:
            case Started(task=task):
                self._goal, self._steps = task.goal, task.max_steps
                self._note(unread_lines(event))
            case Observe(step=step):
                self._step = step + 1
                self._note((*turn_lines(event), *problem_lines(event)))
            case Sense():
                self._goal, self._readings = event.instruction, event.readings
                self._levels, self._percent = self._history.see(event), not are_intensities(event)
                without = {"readings": (), "mass": {}, "tokens": (), "generated_tokens": 0, "prompt_tokens": 0}
                self._note(lines(event.model_copy(update=without), self._screen.grid))
            case Act():
                self._note(
                    lines(event, self._screen.grid, self._screen.elements), "bold" if event.outcome == "done" else "red"
                )
                spent = f"{self._tally.step_tokens:,} tokens, {seconds(self._tally.step_seconds)}"
                self._log[-1] = Text.assemble((f"{self._step} ", "dim"), self._log[-1], (f"  {spent}", "dim"))
            case _:
                said = lines(event, self._screen.grid, self._screen.elements)
                self._note(said, "red" if isinstance(event, Failed) else "")
        self._live.update(self._drawn(), refresh=True)

    def _note(self, said: Iterable[str], style: str = "") -> None:
        self._log += [Text(line.strip(), style=style) for line in said]
        del self._log[:-_LOG_KEPT]

    def _drawn(self) -> RenderableType:
        columns, rows = self._console.size.width, self._console.size.height - 1
        pixels, pictures = self._screen.pixels, self._pictures
        if pixels is None or pictures is None or min(columns, rows) < 4:
            return self._words(columns, rows)
        if columns >= _WIDE:
            picture, width, _ = pictures.draw(pixels, columns // 2 - _GAP, rows - 1)
            board = Table.grid(padding=(0, _GAP, 0, 0))
            board.add_column(width=width)
            board.add_column(width=columns - width - _GAP)
            board.add_row(picture, self._words(columns - width - _GAP, rows))
            return board
        if rows < _TALL:
            return self._words(columns, rows)
        picture, _, height = pictures.draw(pixels, columns, rows // 2 - 2)
        return Group(picture, self._words(columns, rows - height))

    def _words(self, width: int, rows: int) -> RenderableType:
        """Everything but the screenshot, in at most so many lines."""
        head = [
            *self._wrapped(Text(shown(self._goal), style="bold"), width, _ENTRY_LINES),
            *self._wrapped(Text(self._costs(width), style="dim"), width, 2),
        ]
        bars = span_bars(self._levels, width)
        if bars:
            bars.insert(0, self._heading(width))
        read = [
            line
            for r in self._readings
            for line in self._wrapped(Text(reading_line(r), style="bold red" if r.alarm else "dim"), width, 2)
        ]
        left = rows - _LOG_LEAST - len(head)
        bars, read = bars[: max(left, 0)], read[: max(left - len(bars), 0)]
        blank = [Text()] if len(bars) + len(read) + 3 <= left else []
        above = [*head, *blank, *bars, *blank, *read, *blank]
        log = [line for entry in self._log[-rows:] for line in self._wrapped(entry, width, _ENTRY_LINES)]
        return Group(*above, *log[-max(rows - len(above), 1) :])

    def _costs(self, width: int) -> str:
        """The step, the tokens and the seconds."""
        tally = self._tally
        step = f"step {self._step} of at most {self._steps}" if width >= 40 else f"step {self._step}/{self._steps}"
        now = f"{tally.step_tokens:,} tokens, {seconds(tally.step_seconds)}"
        return f"{step}: {now}; so far {tally.tokens:,} tokens, {seconds(tally.seconds)}"

    def _heading(self, width: int) -> Text:
        what = "attention in %" if self._percent else "attention intensity"
        told = f"{what}, and × its median in this run" if width >= 48 else f"{what}, × its median"
        return Text(told, style="dim", no_wrap=True, overflow="ellipsis")

    def _wrapped(self, text: Text, width: int, most: int) -> list[Text]:
        """A text in at most so many lines."""
        found = list(text.wrap(self._console, max(width, 1)))
        if len(found) > most:
            found = found[:most]
            found[-1].truncate(max(width - 1, 0))
            found[-1].append("…")
        return found
