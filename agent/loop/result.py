"""The result of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from homeostat.agent.events import Ending
from homeostat.agent.run_views import episode_html, trace_chart, trace_table
from homeostat.agent.trace import Trace, read_trace
from homeostat.controllers.context import Record
from homeostat.envs.core import TaskInfo
from homeostat.errors import ConfigError
from homeostat.plots.figures import Chart

__all__ = ["Episode"]


class Episode(BaseModel):
    """The result of a run.

    Attributes:
        run: The run's id.
        task: The task.
        seed: The seed of the task and of sampling.
        success: Whether the task's check holds; None where nothing judges it, as with a goal in free words.
        ended: How the episode ended (see :data:`~homeostat.agent.events.Ending`).
        reason: Why it ended; the question where it waits for an answer.
        steps: The number of environment steps.
        calls: The number of model calls.
        tokens: The number of generated tokens.
        prompt_tokens: The number of prompt tokens that were computed; those from the key-value cache don't count.
        seconds: The wall-clock time, in seconds.
        decisions: Every decision of the controllers other than to proceed, oldest first.
        question: The question that waits for an answer, where ``ended`` is ``"asked"``.
        folder: The run's folder; None without one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    task: TaskInfo
    seed: int
    success: bool | None
    ended: Ending
    reason: str = ""
    steps: int
    calls: int
    tokens: int
    prompt_tokens: int
    seconds: float
    decisions: tuple[Record, ...] = ()
    question: str | None = None
    folder: Path | None = None

    def plot(self) -> Chart:
        """Draws where the run's attention went, step by step, and what its sensors said of it.

        Returns:
            The chart, which notebooks show, and whose method ``save`` writes PNG or SVG.

        Raises:
            ConfigError: The run left no trace, or matplotlib (extra ``plot``) is not installed.
            TraceError: The trace can't be read.
        """
        return trace_chart(self._trace())

    def to_pandas(self) -> Any:
        """Makes a table of the run's model calls: answers, costs, readings, and the attention on every span.

        Returns:
            A ``pandas.DataFrame``; :func:`~homeostat.agent.run_views.trace_table` lists its columns.

        Raises:
            ConfigError: The run left no trace, or pandas (extra ``plot``) is not installed.
            TraceError: The trace can't be read.
        """
        return trace_table(self._trace())

    def _trace(self) -> Trace:
        if self.folder is None:
            raise ConfigError(f"run {self.run!r} left no trace; give the run a folder: agent.run(…, run_folder=…)")
        return read_trace(self.folder)

    def _repr_html_(self) -> str:
        """The result that notebooks show."""
        return episode_html(self)
