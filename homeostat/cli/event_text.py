"""The text of events, as a plain log and the live view print it.

A span's number is its attention intensity where a sensor measured it: the mass per token relative to an even
distribution, so that 1 means as much attention as any other text of the same length would get. Where no sensor did, it
is the span's share of the attention mass in percent.

Goals, screens and answers are foreign: every line is safe to print, whatever they hold (:mod:`homeostat.foreign_text`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from homeostat.agent.events import (
    Act,
    Asked,
    Decide,
    Event,
    Failed,
    Finish,
    Observe,
    Planned,
    RuleRead,
    Sampled,
    ScreenRead,
    Sense,
    Started,
)
from homeostat.cli.action_text import action_words
from homeostat.cli.tally import attempt_cost, seconds
from homeostat.controllers.decisions import (
    Confirm,
    Dispatch,
    HoldAttention,
    MakePlan,
    Proceed,
    Refuse,
    Reminder,
    SteerAttention,
)
from homeostat.controllers.model_rules import ModelRule
from homeostat.envs.mobile_use import Grid
from homeostat.foreign_text import clipped, shown
from homeostat.observation import Element
from homeostat.sensors.readings import Reading

__all__ = [
    "are_intensities",
    "lines",
    "number",
    "problem_lines",
    "reading_line",
    "spans_of",
    "turn_lines",
    "unread_lines",
]

_LONGEST_TURN = 400  # characters of a tool's result or a user's turn; the trace holds all


def lines(event: Event, grid: Grid, elements: Sequence[Element] = ()) -> Iterator[str]:
    """Describes an event.

    Args:
        event: The event.
        grid: The grid on which points are printed, usually the screenshot's pixels.
        elements: The elements of the screen, by which an action's targets are named.

    Returns:
        The event's lines; details are indented by two spaces. None for an event that says nothing new.
    """
    return (shown(line) for line in _event_lines(event, grid, elements))


def _event_lines(event: Event, grid: Grid, elements: Sequence[Element]) -> Iterator[str]:
    match event:
        case Started():
            yield f"{event.run}: {event.model}, {event.task.name}, seed {event.seed}"
            yield f"goal: {event.task.goal}"
            for rule in event.task.rules:
                yield f"rule: {rule}"
            yield from _unread_lines(event)
        case Observe():
            yield f"step {event.step + 1}" + (f": on {event.app}" if event.app else "")
            yield from _turn_lines(event)
            yield from _problem_lines(event)
        case Sense():
            if event.dropped:
                left_out = ", ".join(f"{number} of {what}" for what, number in event.dropped.items())
                yield f"  the prompt is longer than the model's context: the oldest are left out ({left_out})"
            if spans := spans_of(event):
                yield "  attention " + "  ".join(f"{label} {number(value)}" for label, value in spans.items())
            for reading in event.readings:
                yield f"  {reading_line(reading)}"
            if cost := attempt_cost(event):
                yield f"  {cost}"
            if event.unparsable is not None:
                yield f"  unparsable: {event.unparsable}"
        case Sampled():
            yield f"  {event.drawn} of {event.asked} answers were drawn, at most {event.batch} at once"
        case Decide():
            yield from _decision_lines(event)
        case Planned(plan=None):
            yield f"  no plan: {event.error}"
        case Planned(plan=plan) if plan is not None:
            yield "  plan: " + " | ".join(map(str, plan.subtasks))
        case ScreenRead(report=report):
            found = [f"{key} = {value}" for key, value in report.facts.items()]
            found += [] if report.check is None else [f"check {'holds' if report.check else 'fails'}"]
            yield "  read: " + (", ".join(found) or report.error or "nothing")
        case RuleRead(read=read):
            yield f"  {_rule_line(read)}"
        case Act(action=None):
            yield "  no action: the model's answer contained none"
        case Act(action=action) if action is not None:
            refused = f" refused: {event.error}" if event.outcome == "refused" else ""
            yield f"  {action_words(action, grid, elements)}{refused}"
        case Asked():
            yield f"  asked: {event.question} answered: {event.answer}"
        case Failed():
            yield f"  error: {event.error}"
        case Finish():
            steps, tokens = _count(event.steps, "step"), _count(event.tokens, "token")
            yield f"{event.ended}: {event.reason} ({steps}, {tokens}, {seconds(event.seconds)})"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def unread_lines(event: Started) -> Iterator[str]:
    """Names the rules that no controller understands as a whole, and the sensors that the model can't feed.

    Args:
        event: The episode's first event.

    Returns:
        One line for each of these.
    """
    return map(shown, _unread_lines(event))


def _unread_lines(event: Started) -> Iterator[str]:
    for rule in event.unread:
        yield f"not fully understood by the controllers, so that obeying it is left to the model: {rule}"
    for sensor, reason in event.left_out.items():
        yield f"sensor {sensor!r} is left out: it {reason}"


def turn_lines(event: Observe) -> Iterator[str]:
    """Shows what users and tools have said in a conversation since the last step.

    Args:
        event: The conversation before a step.

    Returns:
        One line for each of their turns; none for the assistant's, which its own steps show.
    """
    return map(shown, _turn_lines(event))


def _turn_lines(event: Observe) -> Iterator[str]:
    for turn in event.turns:
        if turn.role != "assistant":
            yield f"  {turn.span}: {clipped(turn.text, _LONGEST_TURN)}"


def problem_lines(event: Observe) -> Iterator[str]:
    """Says what the environment could not read.

    Args:
        event: The screen before a step.

    Returns:
        One line if something could not be read, else none.
    """
    return map(shown, _problem_lines(event))


def _problem_lines(event: Observe) -> Iterator[str]:
    if event.problem:
        yield f"  not everything could be read: {event.problem}"


def _rule_line(read: ModelRule) -> str:
    """What the model understood of a rule."""
    if read.error:
        return f"the model could not read the rule “{read.rule}”: {read.error}"
    found = []
    if read.acts:
        found.append(" and ".join(read.acts) + (f" ({', '.join(read.topics)})" if read.topics else ""))
    found += [f"the app {app}" for app in read.apps]
    excepted = f"; enforced without the exception: {', '.join(read.exceptions)}" if found and read.exceptions else ""
    return f"the model reads “{read.rule}” as forbidding: {', '.join(found) or 'nothing'}{excepted}"


def _decision_lines(event: Decide) -> Iterator[str]:
    match event.decision:
        case Proceed():
            return
        case Reminder(text=text, actuators=actuators):
            yield f"  {event.controller} reminds: {text}"
            if actuators:
                yield f"  {event.controller} steers: " + ", ".join(map(str, actuators))
        case MakePlan():
            yield f"  {event.controller} asks for a plan"
        case Dispatch(instruction=instruction, plan=plan):
            number = 0 if plan.active is None else plan.active + 1
            yield f"  {event.controller} dispatches subtask {number} of {len(plan.subtasks)}: {instruction}"
        case SteerAttention(actuators=actuators):
            yield f"  {event.controller} steers: " + (", ".join(map(str, actuators)) or "no more")
        case HoldAttention(actuators=actuators):
            yield f"  {event.controller} steers from now on: " + (", ".join(map(str, actuators)) or "no more")
        case Confirm(question=question):
            yield f"  {event.controller} asks: {question}"
        case Refuse(reason=reason):
            yield f"  {event.controller} refuses: {reason}"
        case decision:
            yield f"  {event.controller} wants to {decision.kind}: {decision.cause}"


def reading_line(reading: Reading) -> str:
    """Describes a reading.

    Args:
        reading: The reading.

    Returns:
        The sensor, the value, whether it alarms, the threshold, and the reason in parentheses.
    """
    if not reading.judged:
        return shown(f"{reading.sensor} not judged" + (f" ({reading.reason})" if reading.reason else ""))
    alarm = " ALARM" if reading.alarm else ""
    told = [*([reading.reason] if reading.reason else []), *_bound(reading)]
    why = f" ({'; '.join(told)})" if told else ""
    return shown(f"{reading.sensor} {number(reading.value, sign='+')}{alarm}{why}")


def _bound(reading: Reading) -> Iterator[str]:
    """On which side of its threshold the sensor alarms: the reading's own side if it alarms, else the other one."""
    if reading.threshold is None or reading.value == reading.threshold or "alarm " in reading.reason:
        return
    above = (reading.value > reading.threshold) == reading.alarm
    yield f"alarm {'above' if above else 'below'} {number(reading.threshold, sign='+')}"


def number(value: float, sign: str = "-") -> str:
    """Writes a number in a few characters.

    Args:
        value: The number.
        sign: ``"+"`` writes the sign of positive numbers, too.

    Returns:
        Two decimals; an exponent for numbers of many digits.
    """
    return format(value, f"{sign}.2f" if abs(value) < 1e6 else f"{sign}.2e")


def spans_of(event: Sense) -> dict[str, float]:
    """Returns one number for every labelled span of the prompt.

    Args:
        event: One attempt with its readings.

    Returns:
        By label, the span's attention intensity where a sensor measured it, else its share of the attention in percent.
        Spans without a finite number are left out.
    """
    found = _intensities(event) or {label: 100 * mass for label, mass in event.mass.items()}
    return {label: value for label, value in found.items() if math.isfinite(value)}


def are_intensities(event: Sense) -> bool:
    """Tells what the numbers of :func:`spans_of` are.

    Args:
        event: One attempt with its readings.

    Returns:
        True for intensities, False for shares in percent.
    """
    return bool(_intensities(event))


def _intensities(event: Sense) -> dict[str, float]:
    for reading in event.readings:
        found = {label: span.intensity for label, span in reading.by_span.items() if span.intensity is not None}
        if found:
            return found
    return {}
