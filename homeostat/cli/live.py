"""An episode as it happens: drawn in a terminal, or as plain lines where there is none.

Both views word events the same way (:func:`lines`). The drawn one adds the screen and a bar for every span: its
attention intensity (mass per token, 1 = as much as any token would get), or its share of the attention where no sensor
took intensities.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from homeostat.agent.events import Act, Asked, Decide, Event, Finish, Observe, Planned, ScreenRead, Sense, Started
from homeostat.agent.prompts import describe
from homeostat.cli.picture import Picture
from homeostat.controllers.core import Dispatch, HoldAttention, MakePlan, Proceed, Refuse, Reminder, SteerAttention
from homeostat.envs.mobile_use import Grid
from homeostat.sensors.core import Reading

__all__ = ["DrawnView", "PlainView", "View", "lines", "spans_of", "view_for"]

_LOG = 9
_INTENSITY = "intensity."


class View(Protocol):
    """Shows events; a context manager, because a drawn view takes over the terminal."""

    def __enter__(self) -> Self:
        """Take the terminal over."""
        ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Give it back."""

    def show(self, event: Event) -> None:
        """Show one event."""
        ...

    def pause(self) -> Any:
        """A context in which something else may use the terminal."""
        ...


def view_for(console: Console, *, plain: bool = False) -> View:
    """Drawn on a terminal, plain elsewhere or on request."""
    return PlainView(console) if plain or not console.is_terminal else DrawnView(console)


def spans_of(event: Sense) -> dict[str, float]:
    """Every span's intensity where a sensor took it, else its share of the attention (in percent)."""
    for reading in event.readings:
        found = {k.removeprefix(_INTENSITY): v for k, v in reading.detail.items() if k.startswith(_INTENSITY)}
        if found:
            return found
    return {label: 100 * mass for label, mass in event.mass.items()}


def _reading(reading: Reading) -> str:
    alarm = " ALARM" if reading.alarm else ""
    return f"{reading.sensor} {reading.value:+.2f}{alarm}" + (f" ({reading.reason})" if reading.reason else "")


def lines(event: Event, grid: Grid) -> Iterator[str]:
    """What a plain log says of an event; points are spelled on ``grid``."""
    match event:
        case Started():
            yield f"{event.run}: {event.model}, {event.task.name}, seed {event.seed}"
            yield f"goal: {event.task.goal}"
            for rule in event.task.rules:
                yield f"rule: {rule}"
        case Observe():
            yield f"step {event.step + 1}: on {event.app}"
        case Sense():
            if spans := spans_of(event):
                yield "  attention " + "  ".join(f"{label} {value:.2f}" for label, value in spans.items())
            for reading in event.readings:
                yield f"  {_reading(reading)}"
            if event.unparsable is not None:
                yield f"  unparsable: {event.unparsable}"
        case Decide(decision=Reminder(text=text)):
            yield f"  {event.controller} reminds: {text}"
        case Decide(decision=MakePlan()):
            yield f"  {event.controller} asks for a plan"
        case Decide(decision=Dispatch(instruction=instruction, plan=plan)):
            number = 0 if plan.active is None else plan.active + 1
            yield f"  {event.controller} dispatches part {number} of {len(plan.parts)}: {instruction}"
        case Decide(decision=SteerAttention(actuators=actuators) | HoldAttention(actuators=actuators)):
            kept = " from now on" if event.decision.kind == "hold" else ""
            yield f"  {event.controller} steers{kept}: " + (", ".join(map(str, actuators)) or "no more")
        case Decide(decision=Refuse(reason=reason)):
            yield f"  {event.controller} refuses: {reason}"
        case Decide() if not isinstance(event.decision, Proceed):
            yield f"  {event.controller} wants to {event.decision.kind}: {event.decision.cause}"
        case Planned(plan=None):
            yield f"  no plan: {event.error}"
        case Planned(plan=plan) if plan is not None:
            yield "  plan: " + " | ".join(map(str, plan.parts))
        case ScreenRead(report=report):
            found = [f"{key} = {value}" for key, value in report.facts.items()]
            found += [] if report.check is None else [f"check {'holds' if report.check else 'fails'}"]
            yield "  read: " + (", ".join(found) or report.error or "nothing")
        case Act(action=None):
            yield "  nothing done: the answer held no action"
        case Act(action=action) if action is not None:
            refused = f" refused: {event.error}" if event.outcome == "refused" else ""
            yield f"  {describe(action, grid)}{refused}"
        case Asked():
            yield f"  asked: {event.question} answered: {event.answer}"
        case Finish():
            yield f"{event.ended}: {event.reason}"


class _Screen:
    """The last screen seen, and the grid that its points are spelled on."""

    pixels: Any = None
    grid = Grid(100, 100)

    def see(self, event: Event) -> None:
        if isinstance(event, Observe) and event.screenshot is not None:
            self.pixels = event.screenshot
            self.grid = Grid(event.screenshot.shape[1], event.screenshot.shape[0])


class PlainView:
    """One or more lines an event."""

    def __init__(self, console: Console) -> None:
        """Print on ``console``."""
        self._console, self._screen = console, _Screen()

    def __enter__(self) -> Self:
        """Nothing to set up."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing to tidy up."""

    def show(self, event: Event) -> None:
        """Print the event's lines."""
        self._screen.see(event)
        for line in lines(event, self._screen.grid):
            self._console.print(Text(line), soft_wrap=True)

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Nothing is in the way."""
        yield


class DrawnView:
    """The screen on the left; goal, attention, readings and the log on the right. The last picture stays."""

    def __init__(self, console: Console) -> None:
        """Draw on ``console``."""
        self._console, self._screen = console, _Screen()
        self._live = Live(console=console, auto_refresh=False, transient=False, vertical_overflow="crop")
        self._goal, self._step, self._steps = "", 0, 0
        self._spans: dict[str, float] = {}
        self._readings: tuple[Reading, ...] = ()
        self._log: list[str] = []

    def __enter__(self) -> Self:
        """Take the terminal over."""
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Give it back, the last picture in place."""
        self._live.stop()

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Stop drawing for a question to the user."""
        self._live.stop()
        try:
            yield
        finally:
            self._live.start()

    def show(self, event: Event) -> None:
        """Take the event in and draw."""
        self._screen.see(event)
        match event:
            case Started(task=task):
                self._goal, self._steps = task.goal, task.max_steps
            case Observe(step=step):
                self._step = step + 1
            case Sense():
                self._goal, self._spans, self._readings = event.instruction, spans_of(event), event.readings
        if not isinstance(event, Started | Observe | Sense):
            self._log += [line.strip() for line in lines(event, self._screen.grid)]
        self._live.update(self._drawn(), refresh=True)

    def _drawn(self) -> RenderableType:
        columns, rows = self._console.size.width, self._console.size.height
        board = Table.grid(padding=(0, 2))
        right = Group(
            Text(self._goal, style="bold"),
            Text(f"step {self._step} of at most {self._steps}", style="dim"),
            Text(),
            self._bars(),
            Text(),
            *(Text(_reading(r), style="bold red" if r.alarm else "dim") for r in self._readings),
            Text(),
            *(Text(line, overflow="ellipsis", no_wrap=True) for line in self._log[-_LOG:]),
        )
        if self._screen.pixels is None:
            return right
        picture = Picture(self._screen.pixels, columns // 2 - 4, max(rows - 4, 8))
        board.add_row(Panel.fit(picture, padding=0), right)
        return board

    def _bars(self) -> Table:
        table = Table.grid(padding=(0, 1))
        most = max([*self._spans.values(), 1e-9])
        for label, value in self._spans.items():
            table.add_row(Text(label), ProgressBar(total=most, completed=value, width=24), Text(f"{value:.2f}"))
        return table
