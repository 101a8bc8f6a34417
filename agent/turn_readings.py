"""What the sensors read in each turn of a conversation, as a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from homeostat.actions import Answer, Question, calls_of
from homeostat.agent.events import Act, Event, Sense
from homeostat.foreign_text import clipped, shown
from homeostat.sensors.readings import Reading

__all__ = ["TurnReadings", "readings_by_turn", "turn_table"]

_WIDTH = 32


@dataclass(frozen=True)
class TurnReadings:
    """One turn of the assistant.

    Attributes:
        turn: Its number, from 1.
        said: What the assistant said; the calls, where it called tools.
        readings: The last attempt's readings, by sensor.
        reminder: The reminder in the last attempt's prompt; "" without one.
        attempts: How many model calls the turn took.
        mass: The attention mass of every span in the last attempt; empty where no attention was read.
    """

    turn: int
    said: str
    readings: dict[str, Reading]
    reminder: str = ""
    attempts: int = 1
    mass: dict[str, float] = field(default_factory=dict)


def readings_by_turn(events: Iterable[Event]) -> list[TurnReadings]:
    """Collects the readings of each turn.

    Args:
        events: The events of a run, or of its trace.

    Returns:
        The turns that are complete, in order.
    """
    rows: list[TurnReadings] = []
    attempts: list[Sense] = []
    for event in events:
        if isinstance(event, Sense) and event.candidate is None:
            attempts.append(event)
        elif isinstance(event, Act):
            action, last = event.action, attempts[-1] if attempts else None
            said = action.text if isinstance(action, Answer | Question) else "; ".join(map(str, calls_of(action)))
            rows.append(
                TurnReadings(
                    turn=event.step + 1,
                    said=said or event.error or event.said,
                    readings={r.sensor: r for r in last.readings} if last is not None else {},
                    reminder=last.reminder if last is not None else "",
                    attempts=len(attempts),
                    mass=last.mass if last is not None else {},
                )
            )
            attempts = []
    return rows


def turn_table(rows: Iterable[TurnReadings]) -> str:
    """Writes the readings of each turn as a table of text.

    Args:
        rows: The turns.

    Returns:
        One line for each turn below a heading: the value of every sensor, with ``!`` where it alarms and ``-`` where it
        did not judge, whether a reminder stood in the prompt, and the beginning of what was said.
    """
    found = list(rows)
    sensors = list(dict.fromkeys(name for row in found for name in row.readings))
    lines = [["turn", *sensors, "reminded", "said"]]
    for row in found:
        cells = [_cell(row.readings.get(name)) for name in sensors]
        said = clipped(shown(" ".join(row.said.split())), _WIDTH)
        lines.append([str(row.turn), *cells, "yes" if row.reminder else "", said])
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]) - 1)]
    return "\n".join(
        "  ".join([*(cell.rjust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]).rstrip()
        for line in lines
    )


def _cell(reading: Reading | None) -> str:
    if reading is None or not reading.judged:
        return "-"
    return f"{reading.value:.3g}{'!' if reading.alarm else ''}"
