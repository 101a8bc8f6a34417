"""A chat in the terminal: prints what the assistant says with its readings below, and reads the user's turns.

With a terminal the user types behind a prompt, with the line editing of ``readline``. Elsewhere every line of the input
is a turn, and the output is plain lines. Whatever the assistant or a tool says is foreign text, which is escaped.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

from rich.console import Console
from rich.text import Text

from homeostat.actions import Answer, Question
from homeostat.agent.events import Act, Event, Finish, Observe, Sense, Started
from homeostat.agent.turn_readings import readings_by_turn, turn_table
from homeostat.cli.event_text import lines, number, unread_lines
from homeostat.cli.span_bars import level_style
from homeostat.cli.span_levels import SpanHistory, SpanLevel
from homeostat.cli.tally import attempt_cost
from homeostat.conversation import Turn
from homeostat.envs.mobile_use import Grid
from homeostat.envs.tools import QUIT, User
from homeostat.foreign_text import clipped, shown

__all__ = ["ChatTerminal", "readings_text"]

_GRID = Grid(100, 100)
_LONGEST = 400  # characters of a tool's result on the terminal
_HELP = f"{QUIT} ends the chat, /readings shows the sensors' readings of every turn; anything else is your next turn"


class ChatTerminal:
    """Shows the events of a chat, and is its user (:data:`~homeostat.envs.tools.User`).

    Attributes:
        user: Who gives the turns in place of the person at the terminal; None for that person.
    """

    def __init__(self, console: Console, source: Any = None) -> None:
        """Prepares the chat.

        Args:
            console: Where to print.
            source: Where to read turns from; None takes the standard input.
        """
        self._console, self._source = console, source
        self.user: User | None = None
        self._types = source is None and sys.stdin.isatty()
        self._events: list[Event] = []
        self._sensed: Sense | None = None
        self._history = SpanHistory()
        self._levels: tuple[SpanLevel, ...] = ()

    def __call__(self, turns: Sequence[Turn]) -> str | None:
        """Prints what the assistant has said, and reads the user's next turn.

        Args:
            turns: The conversation so far.

        Returns:
            The turn; None at the end of the input, and after ``/quit``.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed at the prompt.
        """
        if turns and turns[-1].role == "assistant":
            self._tell(turns[-1].text)
        if self.user is not None:
            played = self.user(turns)
            if played is not None:
                self._print(f"user: {shown(played, lines=True)}")
            return played
        while True:
            said = self._read()
            if said is None or said.strip() == QUIT:
                return None
            if said.strip() == "/help":
                self._print(_HELP)
            elif said.strip() == "/readings":
                self._print(turn_table(readings_by_turn(self._all(turns))))
            elif said.strip():
                if not self._types:
                    self._print(f"you: {shown(said, lines=True)}")
                return said

    def __enter__(self) -> Self:
        """Changes nothing: the terminal stays as it is."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Changes nothing."""

    def show(self, event: Event) -> None:
        """Shows one event, as far as the conversation itself does not.

        Args:
            event: The event.
        """
        if isinstance(event, Started | Sense | Act):
            self._events.append(event)
        match event:
            case Started():
                self._print(f"{event.run}: {event.model}; {_HELP}" if self._types else f"{event.run}: {event.model}")
                for rule in event.task.rules:
                    self._print(f"rule: {shown(rule)}")
                for line in unread_lines(event):
                    self._print(line)
            case Observe():
                for turn in event.turns:
                    if turn.role == "tool":
                        self._print(f"  {shown(turn.tool)} returned: {clipped(shown(turn.text), _LONGEST)}")
            case Sense():
                self._sensed, self._levels = event, self._history.see(event)
                if event.dropped or event.unparsable is not None:
                    without = {"readings": (), "mass": {}, "tokens": (), "generated_tokens": 0, "prompt_tokens": 0}
                    silent = event.model_copy(update=without)
                    self._all_lines(silent)
            case Act(action=Answer() | Question()):
                if event.outcome != "done":
                    self._all_lines(event)
            case Finish():
                pass
            case _:
                self._all_lines(event)

    def pause(self) -> Any:
        """Returns a context in which other code may use the terminal."""
        return _at_the_prompt()

    def ask(self, question: str) -> str:
        """Asks the user what a controller wants to know.

        Args:
            question: The question.

        Returns:
            The answer; "" at the end of the input.
        """
        self._print(shown(question))
        return self._read() or ""

    def _all(self, turns: Sequence[Turn]) -> list[Event]:
        """The events with the answer that is on the screen, whose step is not over."""
        if self._sensed is None or (self._events and self._events[-1] is not self._sensed):
            return self._events
        told = Act(step=self._sensed.step, action=self._sensed.action, said=self._sensed.text)
        return [*self._events, told]

    def _tell(self, text: str) -> None:
        who = Text("assistant: ", style="bold")
        self._console.print(who.append(Text(shown(text, lines=True), style="none")), soft_wrap=True)
        if self._sensed is not None and (line := readings_text(self._sensed, self._levels)):
            self._console.print(Text("  ").append_text(line), soft_wrap=True)

    def _read(self) -> str | None:
        """The next line of the input, without its end; None at the end."""
        while True:
            try:
                with _at_the_prompt():
                    if self._types:
                        import readline  # noqa: F401  # gives input() its line editing and history

                        line = input("you: ")
                    else:
                        line = (self._source or sys.stdin).readline()
                        if not line:
                            return None
                        line = line.rstrip("\r\n")
                line.encode()
                return str(line)
            except EOFError:
                return None
            except UnicodeError:
                self._print("that line is not UTF-8 text, so it was left out")

    def _all_lines(self, event: Event) -> None:
        for line in lines(event, _GRID):
            self._print(line)

    def _print(self, line: str) -> None:
        self._console.print(Text(line, style="dim" if self._types else ""), soft_wrap=True)


def readings_text(event: Sense, levels: Sequence[SpanLevel]) -> Text:
    """Writes the attention on every span, the readings and the cost of an answer in one line.

    Args:
        event: The attempt with its readings.
        levels: The attention on every span, compared with the turns before (:class:`SpanHistory`).

    Returns:
        The line; empty where nothing was read. A span that departs from its own median has the ratio behind it. Only an
        alarm is red, and only a departure yellow.
    """
    parts: list[Text] = []
    if levels:
        spans = Text("attention", style="dim")
        for n, level in enumerate(levels):
            told = f"{shown(level.label)} {number(level.value)}"
            told += f" (×{number(level.ratio)})" if level.departs and level.ratio is not None else ""
            spans.append("  " if n else " ").append(told, level_style(level) or "dim")
        parts.append(spans)
    for reading in event.readings:
        value = number(reading.value, sign="+") if reading.judged else "-"
        told = shown(f"{reading.sensor} {value}{' ALARM' if reading.alarm else ''}")
        parts.append(Text(told, style="bold red" if reading.alarm else "dim"))
    if event.reminder:
        parts.append(Text("reminded", style="dim"))
    if parts and (cost := attempt_cost(event)):
        parts.append(Text(cost, style="dim"))
    return Text(" | ", style="dim").join(parts)


@contextmanager
def _at_the_prompt() -> Iterator[None]:
    """Within it, Ctrl-C and SIGTERM interrupt at once: while a user is waited for, there is nothing to finish."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = {s: signal.signal(s, interrupt) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
