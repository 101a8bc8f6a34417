"""``SharedModel``: one model for many callers at once.

Calls from many threads meet in a queue. One thread owns the model: it takes what waits, answers calls that fit a batch
together, and runs every other call alone. Notable choices:

- Batches are static: a call that arrives while a batch runs waits for its end. Rows of a batch end one by one, at their
  own length, stop text or deadline, or because their caller has gone.
- The thread waits a little for callers that are known to be at work, because a batch costs little more than one
  row. It waits for at most a twentieth of the time that the last batch took, so waiting can't cost more than that.
- A prompt that can't be rendered fails by itself; the others of its batch are answered.
- Greedy calls that are alone reuse the key-value cache of the call before. Calls that sample never do: the batch's
  random streams make a seed give the same answer, whatever else is asked at the time.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from homeostat.agent.models.generation import GenerationCall
from homeostat.agent.models.protocol import Interruptible, Model
from homeostat.agent.models.shared_jobs import Job, Wishes, answer_alone, ready_jobs, reuses_cache, run_batch, settle
from homeostat.agent.models.side_by_side import Row, fits_a_batch
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.errors import CallInterrupted, ConfigError, ModelError
from homeostat.sensors.attempts import Attempt, Readout, SpanMass
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.contracts import WhiteBox
from homeostat.sensors.steering.actuators import Actuator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Caller", "SharedModel", "Wishes"]

_LEAST_PATIENCE, _MOST_PATIENCE = 0.005, 0.3  # seconds
_SHARE = 0.05  # of the time of the last batch


class SharedModel:
    """A model in front of another one, which many threads may call at once.

    Attributes:
        inner: The model that answers.
        name: Its name.
        style: How its prompts are worded.
        capabilities: What it offers.
        rows: The most calls of one batch.
        on_batch: Told the number of calls of every batch; None for nobody.
    """

    def __init__(self, model: Model, *, rows: int = 8, on_batch: Callable[[int], None] | None = None) -> None:
        """Starts the thread that owns the model.

        Args:
            model: The model. A :class:`~homeostat.agent.TransformersModel` answers in batches, any other one call by
                call.
            rows: The most calls of one batch.
            on_batch: Told the number of calls of every batch.

        Raises:
            ConfigError: A batch has no rows.
        """
        if rows < 1:
            raise ConfigError(f"rows={rows!r} leaves a batch without a call; give 1 or more")
        self.inner, self.rows, self.on_batch = model, rows, on_batch
        self.name, self.style = model.name, model.style
        self.capabilities = model.capabilities - (frozenset() if isinstance(model, WhiteBox) else {"model"})
        self._changed = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._alone_now: Job | None = None
        self._callers = 0
        self._closed = False
        self._last_rows, self._last_end, self._last_seconds = 0, 0.0, 0.0
        self._thread = threading.Thread(target=self._work, name="homeostat-model", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """The number of calls that wait for their turn."""
        return len(self._waiting)

    def generate(
        self,
        prompt: Prompt,
        *,
        n: int = 1,
        temperature: float = 0.0,
        max_new_tokens: int = 256,
        watch: bool | Readout = True,
        deadline: float | None = None,
        seed: int | None = None,
        steer: Sequence[Actuator] = (),
        schema: Mapping[str, Any] | None = None,
    ) -> list[Attempt]:
        """Answers a prompt (see :class:`~homeostat.agent.Model`), together with the calls of other threads."""
        call = GenerationCall(n, temperature, max_new_tokens, watch, deadline, seed, tuple(steer), schema)
        return self.answer(prompt, call, Wishes(), threading.Event())

    def caller(self, wishes: Wishes = Wishes()) -> Caller:  # noqa: B008 - frozen
        """Makes a model for one caller, whose calls can be cancelled.

        Args:
            wishes: What the caller wants of each call.

        Returns:
            The model. Use it in a ``with`` block: batches wait for callers that are at work.
        """
        return Caller(self, wishes)

    def answer(self, prompt: Prompt, call: GenerationCall, wishes: Wishes, gone: threading.Event) -> list[Attempt]:
        """Puts a call into the queue and waits for its answers.

        Args:
            prompt: The prompt.
            call: The settings.
            wishes: What the caller wants besides.
            gone: Set it, and call :meth:`wake`, when nobody wants the answers any more.

        Returns:
            The answers.

        Raises:
            ModelError: The prompt can't be rendered, or the model can't answer it.
            CallInterrupted: Nobody wants the answers, their deadline passed before their turn, or the model was closed.
        """
        if call.schema is None and wishes.schema is not None:
            if "schema" not in self.capabilities:
                raise ModelError(f"{self.name!r} can't hold an answer to a JSON schema; leave the schema out")
            call = replace(call, schema=wishes.schema)
        batched = isinstance(self.inner, TransformersModel) and fits_a_batch(call)
        row = Row(prompt, call, wishes.top_p, wishes.stop, wishes.on_text, gone.is_set) if batched else None
        job = Job(lambda: answer_alone(self.inner, prompt, call, wishes), row, gone, call.deadline, wishes.shortens)
        found: list[Attempt] = self._submitted(job)
        if self._closed:  # the answers were cut short
            raise self._closing()
        return found

    def score(self, prompt: Prompt, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Scores a given answer (see :class:`~homeostat.sensors.contracts.Scoring`)."""
        scored: NDArray[np.float32] = self._submitted(Job(lambda: self._white.score(prompt, tokens), None, _never()))
        return scored

    def read(self, prompt: Prompt, tokens: Sequence[int], readout: Readout = Readout()) -> SpanMass:  # noqa: B008
        """Reads a given answer's attention (see :class:`~homeostat.sensors.contracts.ForcedReading`)."""
        mass: SpanMass = self._submitted(Job(lambda: self._white.read(prompt, tokens, readout), None, _never()))
        return mass

    def hidden(self, prompt: Prompt) -> NDArray[np.float32]:
        """Computes a prompt's residual stream (see :class:`~homeostat.sensors.contracts.HiddenStates`)."""
        stream: NDArray[np.float32] = self._submitted(Job(lambda: self._white.hidden(prompt), None, _never()))
        return stream

    def interrupt(self) -> None:
        """Ends the present batch soon, for all its callers."""
        if isinstance(self.inner, Interruptible):
            self.inner.interrupt()

    def wake(self) -> None:
        """Lets the model's thread look again which calls are still wanted."""
        with self._changed:
            if self._alone_now is not None and self._alone_now.gone.is_set():
                self.interrupt()  # a row of a batch looks by itself
            self._changed.notify_all()

    def close(self, seconds: float = 5.0) -> None:
        """Ends the present batch and refuses every call that waits or comes.

        Args:
            seconds: The most seconds to wait for the model's thread.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        until = time.monotonic() + seconds
        while self._thread.is_alive() and time.monotonic() < until:
            self.interrupt()
            self._thread.join(0.1)

    def joined(self, callers: int) -> None:
        """Notes how many callers are at work.

        Args:
            callers: 1 for one that begins, -1 for one that ends.
        """
        with self._changed:
            self._callers += callers
            self._changed.notify_all()

    @property
    def _white(self) -> WhiteBox:
        if not isinstance(self.inner, WhiteBox):
            raise ModelError(f"{self.name!r} shows only its answers; use a TransformersModel")
        return self.inner

    def _submitted(self, job: Job) -> Any:
        if threading.current_thread() is self._thread:  # a callback asks the model, which is its turn already
            return job.alone()
        with self._changed:
            if self._closed:
                raise self._closing()
            self._waiting.append(job)
            self._changed.notify_all()
        return job.result.result()

    def _closing(self) -> CallInterrupted:
        return CallInterrupted(f"{self.name!r} is being closed; ask again later")

    def _work(self) -> None:
        """Takes jobs and runs them, until the model is closed."""
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                self._gather()
                if self._closed:
                    for job in self._waiting:
                        job.result.set_exception(self._closing())
                    self._waiting.clear()
                    return
                jobs = self._taken()
            begin = time.monotonic()
            if jobs:
                self._run(jobs)
                self._last_rows, self._last_end = len(jobs), time.monotonic()
                self._last_seconds = self._last_end - begin

    def _gather(self) -> None:
        """Waits a little until those who are at work have asked."""
        patience = min(max(self._last_seconds * _SHARE, _LEAST_PATIENCE), _MOST_PATIENCE)
        begin = time.monotonic()
        recent = self._last_rows if begin - self._last_end < patience else 0
        while not self._closed and len(self._waiting) < min(max(self._callers, recent), self.rows):
            left = begin + patience - time.monotonic()
            if left <= 0:
                return
            self._changed.wait(left)

    def _taken(self) -> list[Job]:
        """The jobs of the next batch, in the order in which they came. Those that nobody wants are told so."""
        now, wanted = time.monotonic(), deque[Job]()
        for job in self._waiting:
            if job.gone.is_set():
                job.result.set_exception(CallInterrupted(f"{self.name!r}: the call was cancelled"))
            elif job.deadline is not None and now >= job.deadline:
                late = f"{self.name!r}: the call's time was over before its turn; allow more, or ask again later"
                job.result.set_exception(CallInterrupted(late))
            else:
                wanted.append(job)
        first = list(wanted)[:1]
        if first and first[0].row is not None:
            first = [job for job in wanted if job.row is not None][: self.rows]
        self._waiting = deque(job for job in wanted if job not in first)
        return first

    def _run(self, jobs: list[Job]) -> None:
        """Runs jobs and hands every one its result or its error."""
        alone = jobs[0].row is None or (len(jobs) == 1 and reuses_cache(jobs[0].row))
        if isinstance(self.inner, TransformersModel) and not alone:
            ready = ready_jobs(self.inner, jobs)
            if ready:
                run_batch(self.inner, ready, self.on_batch)
            return
        for job in jobs:
            if self.on_batch is not None:
                self.on_batch(1)
            with self._changed:
                self._alone_now = job
            settle(job)
            with self._changed:
                self._alone_now = None


class Caller:
    """A model for one caller of a shared one. Within its ``with`` block, batches wait a little for its calls.

    Attributes:
        name: The model's name.
        style: How its prompts are worded.
        capabilities: What it offers.
        answers: Every answer so far, in the order in which they were given.
    """

    def __init__(self, shared: SharedModel, wishes: Wishes) -> None:
        """Begins without a call.

        Args:
            shared: The shared model.
            wishes: What the caller wants of each call.
        """
        self.name, self.style, self.capabilities = shared.name, shared.style, shared.capabilities
        self.answers: list[Attempt] = []
        self._shared, self._wishes, self._gone = shared, wishes, threading.Event()

    def __enter__(self) -> Caller:
        """Says that the caller is at work."""
        self._shared.joined(1)
        return self

    def __exit__(self, *raised: object) -> None:
        """Says that it is done."""
        self._shared.joined(-1)

    def generate(
        self,
        prompt: Prompt,
        *,
        n: int = 1,
        temperature: float = 0.0,
        max_new_tokens: int = 256,
        watch: bool | Readout = True,
        deadline: float | None = None,
        seed: int | None = None,
        steer: Sequence[Actuator] = (),
        schema: Mapping[str, Any] | None = None,
    ) -> list[Attempt]:
        """Answers a prompt (see :class:`~homeostat.agent.Model`)."""
        self._check()
        call = GenerationCall(n, temperature, max_new_tokens, watch, deadline, seed, tuple(steer), schema)
        found = self._shared.answer(prompt, call, self._wishes, self._gone)
        self._check()
        self.answers += found
        return found

    def score(self, prompt: Prompt, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Scores a given answer (see :class:`~homeostat.sensors.contracts.Scoring`)."""
        return self._shared.score(prompt, tokens)

    def read(self, prompt: Prompt, tokens: Sequence[int], readout: Readout = Readout()) -> SpanMass:  # noqa: B008
        """Reads a given answer's attention (see :class:`~homeostat.sensors.contracts.ForcedReading`)."""
        return self._shared.read(prompt, tokens, readout)

    def hidden(self, prompt: Prompt) -> NDArray[np.float32]:
        """Computes a prompt's residual stream (see :class:`~homeostat.sensors.contracts.HiddenStates`)."""
        return self._shared.hidden(prompt)

    def interrupt(self) -> None:
        """Cancels the present call and every further one."""
        self._gone.set()
        self._shared.wake()

    def _check(self) -> None:
        if self._gone.is_set():
            raise CallInterrupted(f"{self.name!r}: the call was cancelled")


def _never() -> threading.Event:
    return threading.Event()
