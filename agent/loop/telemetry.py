"""A run as OpenTelemetry spans: ``invoke_agent NAME``, and in it ``chat MODEL``, ``plan`` and ``execute_tool NAME``.

Readings are ``gen_ai.evaluation.result`` events of the ``chat`` span whose answer they judge, and decisions are
``homeostat.decision`` events of the agent's span. A span of a model call stays open until its readings are known, but
its end is that of the call. The agent's span is never the current span of the code that iterates the run. It is the
current one while the environment acts, so that spans of the environment and of its tools become its children.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homeostat import telemetry as otel
from homeostat.actions import Action, Answer, Question, Terminate, calls_of
from homeostat.agent.events import Decide, Ending, Event, Sense, Started
from homeostat.agent.models.protocol import Model
from homeostat.controllers.decisions import Proceed
from homeostat.private_files import write_private
from homeostat.sensors.attempts import Attempt
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.readings import Reading

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span

__all__ = ["RunTelemetry", "tracing"]

_FILE = "traceparent"
_PARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})\n?")


class RunTelemetry:
    """The spans of one process's part of a run."""

    def __init__(self, agent: Span) -> None:
        """Begins behind the start of the agent's span.

        Args:
            agent: The agent's span.
        """
        from opentelemetry.trace import set_span_in_context

        self._agent = agent
        self._context: Context = set_span_in_context(agent)
        self._parent = self._context  # of the next model call
        self._chat: Span | None = None
        self._chat_end = 0

    @contextmanager
    def chat(self, model: Model, prompt: Prompt, settings: Mapping[str, Any]) -> Iterator[list[Attempt]]:
        """The span of one model call, the current one within the block.

        Args:
            model: The model.
            prompt: The prompt.
            settings: The settings of the call.

        Yields:
            A list, to which the block adds the attempts.
        """
        from opentelemetry import trace

        self._close_chat()
        tracer = otel.tracer()
        attempts: list[Attempt] = []
        if tracer is None:
            yield attempts
            return
        served = model.name.startswith("openai:")
        provider, name = ("openai", model.name.removeprefix("openai:")) if served else ("homeostat", model.name)
        asked = {
            otel.OPERATION: "chat",
            otel.PROVIDER: provider,
            otel.REQUEST_MODEL: name,
            otel.TEMPERATURE: settings.get("temperature"),
            otel.MAX_TOKENS: settings.get("max_new_tokens"),
            otel.SEED: settings.get("seed"),
            otel.CHOICES: settings["n"] if settings.get("n", 1) != 1 else None,
        }
        known = {key: value for key, value in asked.items() if value is not None}
        one = tracer.start_span(f"chat {name}", self._parent, kind=trace.SpanKind.CLIENT, attributes=known)
        try:
            with trace.use_span(one, record_exception=False, set_status_on_exception=False):
                yield attempts
        except BaseException as error:
            otel.fail(one, error)
            one.end()
            raise
        self._chat, self._chat_end = one, time.time_ns()
        one.set_attributes(_answered(attempts, name))
        if otel.captures_content():
            one.set_attributes(_content(prompt, attempts))

    @contextmanager
    def plan(self) -> Iterator[None]:
        """The span of a planner's work."""
        from opentelemetry.trace import set_span_in_context

        with otel.span("plan", {otel.OPERATION: "plan"}, parent=self._context) as one:
            self._parent = self._context if one is None else set_span_in_context(one)
            try:
                yield
            finally:
                self._close_chat()
                self._parent = self._context

    @contextmanager
    def act(self, action: Action) -> Iterator[None]:
        """Makes the agent's span the current one while an action is carried out.

        An action on a screen gets a span of its own. Tools make their own spans.

        Args:
            action: The action.
        """
        from opentelemetry.trace import use_span

        self._close_chat()
        with use_span(self._agent, end_on_exit=False, record_exception=False, set_status_on_exception=False):
            if calls_of(action) or isinstance(action, Answer | Question | Terminate):
                yield
            else:
                with otel.tool_span(action.kind, action.model_dump(mode="json", exclude={"kind"})):
                    yield

    def event(self, event: Event) -> None:
        """Adds what an event of the run tells.

        Args:
            event: The event.
        """
        match event:
            case Started(sensors=sensors, controllers=controllers, task=task):
                self._agent.set_attribute("homeostat.task", task.name)
                self._agent.set_attribute("homeostat.sensors", sensors)
                self._agent.set_attribute("homeostat.controllers", controllers)
            case Sense() if self._chat is not None:
                self._sensed(event, self._chat)
            case Decide(decision=decision) if not isinstance(decision, Proceed):
                self._close_chat()
                told: dict[str, Any] = {
                    "homeostat.step": event.step,
                    "homeostat.attempt": event.attempt,
                    "homeostat.controller": event.controller,
                    "homeostat.decision": decision.kind,
                    "homeostat.cause": decision.cause if otel.captures_content() else decision.cause.partition(":")[0],
                }
                self._agent.add_event("homeostat.decision", told)
            case Sense():
                pass
            case _:
                self._close_chat()

    def finished(self, ended: Ending, success: bool | None, *, steps: int, prompt_tokens: int, tokens: int) -> None:
        """Adds the result to the agent's span.

        Args:
            ended: How the episode ended, or that it waits or is paused.
            success: Whether the task's check holds; None where nothing judges it.
            steps: The number of environment steps.
            prompt_tokens: The number of prompt tokens that were computed.
            tokens: The number of generated tokens.
        """
        self._agent.set_attribute("homeostat.ended", ended)
        self._agent.set_attribute("homeostat.steps", steps)
        self._agent.set_attribute(otel.INPUT_TOKENS, prompt_tokens)
        self._agent.set_attribute(otel.OUTPUT_TOKENS, tokens)
        if success is not None:
            self._agent.set_attribute("homeostat.success", success)

    def close(self) -> None:
        """Ends the span of the last model call."""
        self._close_chat()

    def _sensed(self, event: Sense, one: Span) -> None:
        one.set_attribute("homeostat.step", event.step)
        one.set_attribute("homeostat.attempt", event.attempt)
        if event.candidate is None:
            for label, mass in event.mass.items():
                one.set_attribute(f"homeostat.attention.{label}", mass)
        for reading in event.readings:
            one.add_event(otel.EVALUATION, _evaluation(reading, event), timestamp=self._chat_end)

    def _close_chat(self) -> None:
        if self._chat is not None:
            self._chat.end(self._chat_end)
            self._chat = None


@contextmanager
def tracing(
    name: str, model: str, run: str, folder: Path | None, *, resumed: bool = False
) -> Iterator[RunTelemetry | None]:
    """Within it, a run has the span ``invoke_agent NAME``.

    The span of a resumed run is linked to that of the process which started it.

    Args:
        name: The agent's name.
        model: The name of the model that acts.
        run: The run's id.
        folder: The run's folder, which keeps the identity of the span; None without one.
        resumed: Whether the run is resumed.

    Yields:
        The spans; None where no tracer provider is configured.
    """
    tracer = otel.tracer()
    if tracer is None:
        yield None
        return
    links = _first_part(folder) if resumed and folder is not None else []
    attributes: dict[str, Any] = {
        otel.OPERATION: "invoke_agent",
        otel.PROVIDER: "homeostat",
        otel.AGENT: name,
        otel.REQUEST_MODEL: model,
        otel.CONVERSATION: run,
        "homeostat.resumed": resumed,
    }
    one = tracer.start_span(f"invoke_agent {name}", attributes=attributes, links=links)
    if folder is not None and not resumed:
        mine = one.get_span_context()
        text = f"00-{mine.trace_id:032x}-{mine.span_id:016x}-{int(mine.trace_flags):02x}\n"
        write_private(folder / _FILE, text.encode())
    spans = RunTelemetry(one)
    try:
        yield spans
    except GeneratorExit:
        one.set_attribute("homeostat.ended", "closed")
        raise
    except BaseException as error:
        otel.fail(one, error)
        raise
    finally:
        spans.close()
        one.end()


def _answered(attempts: Sequence[Attempt], name: str) -> dict[str, Any]:
    first = attempts[0] if attempts else Attempt(text="")
    return {
        otel.RESPONSE_MODEL: name,
        otel.INPUT_TOKENS: first.prompt_tokens,
        otel.CACHED_TOKENS: first.cached_tokens,
        otel.OUTPUT_TOKENS: sum(attempt.cost for attempt in attempts),
        otel.FINISH: [attempt.finish for attempt in attempts],
    }


def _content(prompt: Prompt, attempts: Sequence[Attempt]) -> dict[str, str]:
    """Prompt and answers in the conventions' JSON form; of an image only that there is one."""
    asked = [
        {
            "role": message.role,
            "parts": [
                {"type": "text", "content": part.text} if part.image is None else {"type": "blob", "modality": "image"}
                for part in message.parts
            ],
        }
        for message in prompt.messages
    ]
    said = [
        {"role": "assistant", "parts": [{"type": "text", "content": a.text}], "finish_reason": a.finish}
        for a in attempts
    ]
    found = {otel.INPUT_MESSAGES: otel.content(asked), otel.OUTPUT_MESSAGES: otel.content(said)}
    return found | ({otel.TOOL_DEFINITIONS: otel.content(list(prompt.tools))} if prompt.tools else {})


def _evaluation(reading: Reading, event: Sense) -> dict[str, Any]:
    label = "alarm" if reading.alarm else "pass" if reading.judged else "not judged"
    told: dict[str, Any] = {
        otel.EVALUATION_NAME: reading.sensor,
        otel.EVALUATION_VALUE: reading.value,
        otel.EVALUATION_LABEL: label,
    }
    if event.candidate is not None:
        told["homeostat.candidate"] = event.candidate
    if otel.captures_content() and reading.reason:
        told[otel.EVALUATION_EXPLANATION] = otel.content(reading.reason)
    return told


def _first_part(folder: Path) -> list[Link]:
    """The link to the span under which the run was started."""
    from opentelemetry.trace import Link, SpanContext, TraceFlags

    try:
        found = _PARENT.fullmatch((folder / _FILE).read_text())
    except (OSError, UnicodeDecodeError):
        return []
    if found is None:
        return []
    trace, span, flags = (int(part, 16) for part in found.groups())
    return [Link(SpanContext(trace, span, is_remote=True, trace_flags=TraceFlags(flags)))]
