"""The figures that ``/metrics`` shows, in the format of Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["Metrics"]

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 600)


class Metrics:
    """The counters of one server.

    Attributes:
        requests: Requests for chat completions, by HTTP status.
        seconds: How long they took, waiting included.
        prompt_tokens: The prompts' tokens.
        completion_tokens: The tokens of all answers, those that were replaced included.
        attempts: The model's answers, those that were replaced included.
        batch_rows: How many calls each batch answered together.
        readings: The sensors' readings, by sensor and whether it alarmed.
        decisions: The controllers' decisions other than to proceed, by controller and kind.
        cancelled: Requests whose client had gone before they were answered.
    """

    def __init__(self, waiting: Callable[[], float], active: Callable[[], float]) -> None:
        """Begins at zero.

        Args:
            waiting: Returns the number of model calls that wait for their turn.
            active: Returns the number of choices that are being answered.
        """
        registry = self._registry = CollectorRegistry()
        names = {"namespace": "homeostat", "registry": registry}
        self.requests = Counter("requests", "Requests for chat completions", ["status"], **names)  # type: ignore[arg-type]
        self.seconds = Histogram("request_seconds", "Seconds of a request", buckets=_SECONDS, **names)  # type: ignore[arg-type]
        self.prompt_tokens = Counter("prompt_tokens", "Tokens of prompts", **names)  # type: ignore[arg-type]
        self.completion_tokens = Counter("completion_tokens", "Tokens of answers", **names)  # type: ignore[arg-type]
        self.attempts = Counter("attempts", "Answers of the model", **names)  # type: ignore[arg-type]
        rows = (1, 2, 4, 8, 16, 32, 64)
        self.batch_rows = Histogram("batch_rows", "Calls of one batch", buckets=rows, **names)  # type: ignore[arg-type]
        self.readings = Counter("readings", "Readings of sensors", ["sensor", "alarm"], **names)  # type: ignore[arg-type]
        told = ["controller", "decision"]
        self.decisions = Counter("decisions", "Decisions of controllers", told, **names)  # type: ignore[arg-type]
        self.cancelled = Counter("cancelled", "Requests whose client had gone", **names)  # type: ignore[arg-type]
        Gauge("waiting_calls", "Model calls that wait", **names).set_function(waiting)  # type: ignore[arg-type]
        Gauge("active_choices", "Choices being answered", **names).set_function(active)  # type: ignore[arg-type]

    def text(self) -> bytes:
        """Returns all figures in the format of Prometheus."""
        found: bytes = generate_latest(self._registry)
        return found
