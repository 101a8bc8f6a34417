"""OpenTelemetry spans by the semantic conventions for generative AI, and nothing at all where nobody asks for them.

Spans are made as soon as the process has configured a tracer provider. Without one, nothing of OpenTelemetry is
imported. The names of attributes are spelled out here, because the constants of the Python package are deprecated.

What a span holds by default are names, numbers and decisions, never prompts, answers, arguments or results. The
conventions' own switch adds these: ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true``. Secrets of known forms
are replaced even then (:mod:`homeostat.redaction`).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from homeostat.redaction import redact
from homeostat.version import __version__

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

__all__ = ["captures_content", "content", "fail", "span", "tool_span", "tracer"]

AGENT = "gen_ai.agent.name"
CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"
CHOICES = "gen_ai.request.choice.count"
CONVERSATION = "gen_ai.conversation.id"
ERROR = "error.type"
EVALUATION = "gen_ai.evaluation.result"
EVALUATION_EXPLANATION = "gen_ai.evaluation.explanation"
EVALUATION_LABEL = "gen_ai.evaluation.score.label"
EVALUATION_NAME = "gen_ai.evaluation.name"
EVALUATION_VALUE = "gen_ai.evaluation.score.value"
FINISH = "gen_ai.response.finish_reasons"
INPUT_MESSAGES = "gen_ai.input.messages"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
MAX_TOKENS = "gen_ai.request.max_tokens"
OPERATION = "gen_ai.operation.name"
OUTPUT_MESSAGES = "gen_ai.output.messages"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
SEED = "gen_ai.request.seed"
TEMPERATURE = "gen_ai.request.temperature"
TOOL = "gen_ai.tool.name"
TOOL_ARGUMENTS = "gen_ai.tool.call.arguments"
TOOL_DEFINITIONS = "gen_ai.tool.definitions"
TOOL_DESCRIPTION = "gen_ai.tool.description"
TOOL_RESULT = "gen_ai.tool.call.result"
TOOL_TYPE = "gen_ai.tool.type"

_CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_ON = frozenset({"1", "true", "span_only", "span_and_event"})


def tracer() -> Tracer | None:
    """Returns the tracer, or None where no tracer provider is configured in this process.

    Returns:
        The tracer.
    """
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
        return None
    found: Tracer = trace.get_tracer("homeostat", __version__)
    return found


def captures_content() -> bool:
    """Whether spans hold prompts, answers, and the arguments and results of tools."""
    return os.environ.get(_CAPTURE, "").strip().lower() in _ON


def content(value: Any) -> str:
    """Writes content for an attribute.

    Args:
        value: JSON-able data, or a text.

    Returns:
        The text, or the data as JSON, without secrets of known forms.
    """
    return redact(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))


@contextmanager
def span(
    name: str,
    attributes: Mapping[str, Any],
    *,
    kind: Literal["internal", "client"] = "internal",
    parent: Context | None = None,
) -> Iterator[Span | None]:
    """Makes a span the current one; it ends with the block, as an error where the block raises one.

    Args:
        name: The span's name.
        attributes: Its attributes.
        kind: ``"client"`` for what calls a model, ``"internal"`` for anything else.
        parent: The context that holds the parent; None takes the present one.

    Yields:
        The span; None where no tracer provider is configured.
    """
    found = tracer()
    if found is None:
        yield None
        return
    from opentelemetry.trace import SpanKind, use_span

    kinds = {"internal": SpanKind.INTERNAL, "client": SpanKind.CLIENT}
    one = found.start_span(name, parent, kind=kinds[kind], attributes=dict(attributes))
    with use_span(one, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield one
        except BaseException as error:
            fail(one, error)
            raise


@contextmanager
def tool_span(name: str, arguments: Mapping[str, Any], *, description: str = "") -> Iterator[Span | None]:
    """Makes the span ``execute_tool NAME`` the current one.

    Args:
        name: The tool's name.
        arguments: The arguments, which only stand in the span where content is captured.
        description: What the tool does; "" where nothing is known.

    Yields:
        The span; None where no tracer provider is configured.
    """
    attributes: dict[str, Any] = {OPERATION: "execute_tool", TOOL: name, TOOL_TYPE: "function"}
    if description and captures_content():
        attributes[TOOL_DESCRIPTION] = content(description)
    with span(f"execute_tool {name}", attributes) as one:
        if one is not None and captures_content():
            one.set_attribute(TOOL_ARGUMENTS, content(dict(arguments)))
        yield one


def fail(one: Span, error: BaseException) -> None:
    """Marks a span as failed.

    Args:
        one: The span.
        error: The error. Its message only stands in the span where content is captured, because it may quote a prompt.
    """
    from opentelemetry.trace import Status, StatusCode

    one.set_attribute(ERROR, type(error).__name__)
    one.set_status(Status(StatusCode.ERROR, content(str(error)) if captures_content() else None))
