"""``SharedModel``: one model for many callers at once.

Calls from many threads meet in a queue. One thread owns the model: it takes what waits, answers calls that fit a batch
together, and runs every other call alone. Notable choices:

- Calls enter a batch and leave it while the others go on (:mod:`~homeostat.agent.models.rolling_batch`). A call that
  can't share a batch ends it: no call enters any more until it had its turn.
- Models whose cache can't be cut have static batches, answered by ``generate``: a call that arrives meanwhile waits.
  For these the thread waits a little for callers that are known to be at work, at most a share (``patience``) of the
  time that the last batch took.
- A prompt that can't be rendered fails by itself; the others of its batch are answered.
- A model with a memory, which thins its cache, answers call by call.
- A model whose engine batches by itself gets every call at once, in the caller's thread.
- Each caller's next prompt starts from the keys and values of its last one, and a new caller's from what it shares with
  the others' (:mod:`~homeostat.agent.models.prefix_pool`).
- Calls that sample draw from random streams of their own, so a seed gives the same answer, whatever else is asked at
  the time. It is not the answer that the model gives to the same seed alone; ``batch_samples=False`` runs calls that
  sample alone, so that it is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from homeostat.agent.models.callers import Caller, LocalCaller
from homeostat.agent.models.generation import GenerationCall, Wishes
from homeostat.agent.models.job_queue import JobQueue
from homeostat.agent.models.prefix_pool import PrefixPool
from homeostat.agent.models.protocol import BatchingItself, Interruptible, Model
from homeostat.agent.models.rows import Row, fits_a_batch
from homeostat.agent.models.shared_jobs import (
    Job,
    answer_alone,
    ready_jobs,
    roll_jobs,
    run_batch,
    settle,
)
from homeostat.agent.models.side_by_side import rolls
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.agent.models.turns import Turns
from homeostat.errors import CallInterrupted, ConfigError, ModelError
from homeostat.sensors.attempts import Attempt, Readout, SpanMass
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.chat.rendered import Rendered
from homeostat.sensors.contracts import WhiteBox
from homeostat.sensors.steering.actuators import Actuator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["SharedModel", "Wishes"]


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

    def __init__(
        self,
        model: Model,
        *,
        rows: int = 8,
        on_batch: Callable[[int], None] | None = None,
        batch_samples: bool = True,
        patience: float = 0.05,
        turns: Turns | None = None,
    ) -> None:
        """Starts the thread that owns the model.

        Args:
            model: The model. A :class:`~homeostat.agent.TransformersModel` answers in batches, a model that batches by
                itself gets every call at once, and any other one call by call.
            rows: The most calls of one batch.
            on_batch: Told the number of calls of every batch.
            batch_samples: Whether calls that sample share batches too.
            patience: How long a batch waits for callers that are at work, as a share of the time of the last batch.
            turns: The turns that several shared models take on one machine; None for a model of its own.

        Raises:
            ConfigError: A batch has no rows.
        """
        if rows < 1:
            raise ConfigError(f"rows={rows!r} leaves a batch without a call; give 1 or more")
        self.inner, self.rows, self.on_batch = model, rows, on_batch
        self._batch_samples = batch_samples
        self._turns = turns if turns is not None else Turns()
        self._pool = _pool_for(model, rows)
        self._rolls = isinstance(model, TransformersModel) and self._pool is not None and rolls(model, (), self._pool)
        self._rendering = threading.Lock()
        self.name, self.style = model.name, model.style
        self.capabilities = model.capabilities - (frozenset() if isinstance(model, WhiteBox) else {"model"})
        self._queue = JobQueue(model.name, rows, None if self._rolls else patience)
        self._alone_now: Job | None = None
        self._passed, self._passing = 0, threading.Lock()
        self._thread = threading.Thread(target=self._work, name="homeostat-model", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """The number of calls that wait for their turn."""
        return len(self._queue)

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

    def local_caller(self) -> LocalCaller:
        """Makes a model for one caller that offers all that the local model does, such as measuring its prompts.

        Returns:
            The model. Use it in a ``with`` block: batches wait for callers that are at work.
        """
        return LocalCaller(self, Wishes())

    def rendered(self, prompt: Prompt) -> Rendered:
        """Renders a prompt in the caller's own thread, while the model may be at work.

        Args:
            prompt: The prompt.

        Returns:
            The rendered prompt.

        Raises:
            ModelError: The prompt can't be rendered, or the model is no local one.
        """
        with self._rendering:
            return self.local.renderer.render(prompt)

    @property
    def local(self) -> TransformersModel:
        """The local model behind this one; ModelError where it is no TransformersModel."""
        if not isinstance(self.inner, TransformersModel):
            raise ModelError(f"{self.name!r} is no local model; use a TransformersModel")
        return self.inner

    def answer(
        self,
        prompt: Prompt,
        call: GenerationCall,
        wishes: Wishes,
        gone: threading.Event,
        *,
        owner: Hashable = None,
        rendered: Rendered | None = None,
    ) -> list[Attempt]:
        """Puts a call into the queue and waits for its answers.

        Args:
            prompt: The prompt.
            call: The settings.
            wishes: What the caller wants besides.
            gone: Set it, and call :meth:`wake`, when nobody wants the answers any more.
            owner: Who asks. The next prompt of the same owner starts from what this one has computed.
            rendered: The rendered prompt, where it is known already.

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
        if isinstance(self.inner, BatchingItself):
            return self._passed_on(self.inner, prompt, call, wishes, gone)
        batched = (
            isinstance(self.inner, TransformersModel)
            and self.inner.memory is None
            and fits_a_batch(call, changing=self._rolls)
            and (self._batch_samples or call.temperature == 0)
        )
        if batched and rendered is None:
            rendered = self.rendered(prompt)  # in the caller's thread, while the model is at work
        settings = (wishes.top_p, wishes.stop, wishes.on_text, gone.is_set, rendered, owner)
        row = Row(prompt, call, *settings) if batched else None
        job = Job(lambda: answer_alone(self.inner, prompt, call, wishes), row, gone, call.deadline, wishes.shortens)
        found: list[Attempt] = self._submitted(job)
        if self._queue.closed:  # the answers were cut short
            raise self._queue.closing()
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
        present = self._alone_now
        if present is not None and present.gone.is_set():
            self.interrupt()  # a row of a batch looks by itself
        self._queue.wake()

    def close(self, seconds: float = 5.0) -> None:
        """Ends the present batch and refuses every call that waits or comes.

        Args:
            seconds: The most seconds to wait for the model's thread.
        """
        self._queue.close()
        until = time.monotonic() + seconds
        while (self._passed or self._thread.is_alive()) and time.monotonic() < until:
            self.interrupt()
            if self._thread.is_alive():
                self._thread.join(0.1)
            else:
                time.sleep(0.05)

    def joined(self, callers: int) -> None:
        """Notes how many callers are at work.

        Args:
            callers: 1 for one that begins, -1 for one that ends.
        """
        self._queue.joined(callers)

    def _passed_on(
        self, model: BatchingItself, prompt: Prompt, call: GenerationCall, wishes: Wishes, gone: threading.Event
    ) -> list[Attempt]:
        """Passes a call on to a model that batches by itself."""
        if self._queue.closed:
            raise self._queue.closing()
        with self._passing:
            self._passed += 1
            together = self._passed
        try:
            if self.on_batch is not None:
                self.on_batch(together)
            found = model.answer(prompt, call, wishes, gone)
        finally:
            with self._passing:
                self._passed -= 1
        if self._queue.closed:  # the answers were cut short
            raise self._queue.closing()
        return found

    @property
    def _white(self) -> WhiteBox:
        if not isinstance(self.inner, WhiteBox):
            raise ModelError(f"{self.name!r} shows only its answers; use a TransformersModel")
        return self.inner

    def _submitted(self, job: Job) -> Any:
        if threading.current_thread() is self._thread:  # a callback asks the model, which is its turn already
            return job.alone()
        self._queue.put(job)
        return job.result.result()

    def _work(self) -> None:
        """Takes jobs and runs them, until the model is closed."""
        while (jobs := self._queue.take()) is not None:
            begin = time.monotonic()
            if jobs:
                with self._turns:
                    self._run_safely(jobs)
                self._queue.answered(len(jobs), time.monotonic() - begin)

    def _join(self, room: int) -> list[Job]:
        """The jobs that may join the present batch, unless another model waits for its turn."""
        return [] if self._turns.wanted else self._queue.join(room)

    def _run_safely(self, jobs: list[Job]) -> None:
        """Runs jobs. An error that nobody was told of goes to all that are left, and the thread lives on."""
        try:
            self._run(jobs)
        except Exception as error:
            for job in jobs:
                if not job.result.done():
                    job.result.set_exception(error)

    def _run(self, jobs: list[Job]) -> None:
        """Runs jobs and hands every one its result or its error."""
        if isinstance(self.inner, TransformersModel) and jobs[0].row is not None:
            left = jobs
            if self._pool is not None:
                left = roll_jobs(self.inner, jobs, self._pool, self.rows, self._join, self.on_batch, self._rendering)
            else:
                with self._rendering:
                    left = ready_jobs(self.inner, jobs)
            together = [job for job in left if job.row is not None and fits_a_batch(job.row.call, changing=False)]
            if together:
                run_batch(self.inner, together, self.on_batch)
            jobs = [job for job in left if job not in together]
        for job in jobs:
            if self.on_batch is not None:
                self.on_batch(1)
            self._alone_now = job
            if job.gone.is_set():  # it was cancelled on the way here
                job.result.set_exception(CallInterrupted(f"{self.name!r}: the call was cancelled"))
            else:
                settle(job)
            self._alone_now = None


def _pool_for(model: Model, entries: int) -> PrefixPool | None:
    """Where the keys and values of earlier calls are kept; None where nothing is kept."""
    if not isinstance(model, TransformersModel) or not model.reuse:
        return None
    return PrefixPool(model.model.config.get_text_config(decoder=True), entries)


def _never() -> threading.Event:
    return threading.Event()
