"""The calls that wait for a shared model, and how they are answered: in batches, or alone."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

from homeostat.agent.models.capacity import check_length, free_memory, is_out_of_memory, out_of_memory
from homeostat.agent.models.generation import GenerationCall, Wishes
from homeostat.agent.models.prefix_pool import PrefixPool
from homeostat.agent.models.protocol import Model
from homeostat.agent.models.rolling_batch import RollingBatch
from homeostat.agent.models.rows import Row
from homeostat.agent.models.side_by_side import answer_rows, rolls
from homeostat.agent.models.text_stream import cut_text
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.errors import CallInterrupted, ModelError
from homeostat.sensors.attempts import Attempt
from homeostat.sensors.chat.messages import Prompt

__all__ = ["Job", "answer_alone", "ready_jobs", "roll_jobs", "run_batch", "settle"]


@dataclass(eq=False)
class Job:
    """One call that waits or runs.

    Attributes:
        alone: Runs the call without others.
        row: The call as a row of a batch; None for a call that runs alone.
        gone: Set when nobody wants the answer any more.
        deadline: The instant of ``time.monotonic()`` at which the caller stops waiting; None for never.
        shortens: Whether the answer is made shorter where the context leaves too little.
        result: What came of it, for the thread that waits.
    """

    alone: Callable[[], Any]
    row: Row | None
    gone: threading.Event
    deadline: float | None = None
    shortens: bool = False
    result: Future[Any] = field(default_factory=Future)


def ready_jobs(model: TransformersModel, jobs: Sequence[Job]) -> list[Job]:
    """Renders the prompts of jobs. A job whose prompt can't be rendered, or does not fit, gets its error.

    Args:
        model: The model.
        jobs: The jobs; each has a row.

    Returns:
        The jobs that can be answered.
    """
    ready = []
    for job in jobs:
        row = job.row
        assert row is not None
        try:
            rendered = row.rendered or model.renderer.render(row.prompt)
            call = row.call
            if job.shortens and model.context is not None:
                left = max(model.context - len(rendered.ids), 1)
                call = replace(call, max_new_tokens=min(call.max_new_tokens, left))
            check_length(model.name, len(rendered.ids), call.max_new_tokens, model.context)
        except Exception as error:
            job.result.set_exception(error)
        else:
            job.row = replace(row, rendered=rendered, call=call)
            ready.append(job)
    return ready


def roll_jobs(
    model: TransformersModel,
    jobs: Sequence[Job],
    pool: PrefixPool,
    slots: int,
    join: Callable[[int], Sequence[Job]],
    on_batch: Callable[[int], None] | None,
    rendering: AbstractContextManager[Any],
) -> list[Job]:
    """Answers jobs in a batch that further ones join.

    Args:
        model: The model.
        jobs: The first jobs; each has a row.
        pool: The keys and values of earlier calls.
        slots: The most rows at a time.
        join: Gives further jobs with rows, at most so many.
        on_batch: Told how many jobs begin together; None for nobody.
        rendering: Held while prompts are rendered.

    Returns:
        The jobs that can't be answered so, with their prompts rendered.
    """
    waiting, left = deque[Job](), list[Job]()
    by_row: dict[int, Job] = {}

    def add(more: Sequence[Job]) -> None:
        if not more:
            return
        with rendering:
            ready = ready_jobs(model, more)
        for job in ready:
            assert job.row is not None
            assert job.row.rendered is not None
            (waiting if rolls(model, [job.row.rendered], pool) else left).append(job)

    def source(room: int, running: bool) -> list[Row]:
        if running and not waiting:
            add(join(room))
        new = [waiting.popleft() for _ in range(min(room, len(waiting)))]
        if new and on_batch is not None:
            on_batch(len(new))
        by_row.update({id(job.row): job for job in new})
        return [job.row for job in new if job.row is not None]

    def done(row: Row, answers: list[Attempt] | Exception) -> None:
        job = by_row.pop(id(row))
        if isinstance(answers, Exception):
            job.result.set_exception(answers)
        else:
            job.result.set_result(answers)

    add(jobs)
    if waiting:
        RollingBatch(model, pool, slots).run(source, done)
    for job in (*waiting, *by_row.values()):  # the model was interrupted
        job.result.set_exception(CallInterrupted(f"{model.name!r}: a batch was interrupted; call it again"))
    return left


def run_batch(model: TransformersModel, jobs: Sequence[Job], on_batch: Callable[[int], None] | None) -> None:
    """Answers jobs together, in a static batch; where that is impossible, in smaller ones.

    Args:
        model: The model.
        jobs: The jobs, rendered by :func:`ready_jobs`.
        on_batch: Told the number of calls of every batch; None for nobody.
    """
    rows = [job.row for job in jobs if job.row is not None]
    if on_batch is not None:
        on_batch(len(rows))
    try:
        answers = answer_rows(model, rows)
    except Exception as error:
        out = is_out_of_memory(error)
        apart = out or (isinstance(error, ModelError) and not isinstance(error, CallInterrupted))
        if not apart or len(jobs) == 1:
            failed = out_of_memory(model.name, max(len(job.row.rendered.ids) for job in jobs)) if out else error  # type: ignore[union-attr]
            for job in jobs:
                job.result.set_exception(failed)
            return
    else:
        for job, found in zip(jobs, answers, strict=True):
            job.result.set_result(found)
        return
    free_memory()  # behind the except block, so that the error holds no tensors any more
    half = len(jobs) // 2
    run_batch(model, jobs[:half], on_batch)
    run_batch(model, jobs[half:], on_batch)


def answer_alone(model: Model, prompt: Prompt, call: GenerationCall, wishes: Wishes) -> list[Attempt]:
    """Answers one call without others.

    Args:
        model: The model.
        prompt: The prompt.
        call: The settings.
        wishes: What the caller wants besides.

    Returns:
        The answers.
    """
    most = call.max_new_tokens
    if wishes.shortens and isinstance(model, TransformersModel):
        most = max(most - model.excess(prompt, most), 1)
    more: dict[str, Any] = {"steer": call.steer} if call.steer else {}
    more |= {"schema": call.schema} if call.schema is not None else {}
    more |= {"n": call.n} if call.n > 1 else {}
    found = model.generate(
        prompt,
        temperature=call.temperature,
        max_new_tokens=most,
        watch=call.watch,
        deadline=call.deadline,
        seed=call.seed,
        **more,
    )
    answers = []
    for attempt in found:
        text, cut = cut_text(attempt.text, wishes.stop)
        answers.append(replace(attempt, text=text, finish="stop") if cut else attempt)
    if wishes.on_text is not None and len(answers) == 1:
        wishes.on_text(answers[0].text)
    return answers


def settle(job: Job) -> None:
    """Runs a job without others and hands it its result or its error.

    Args:
        job: The job.
    """
    try:
        job.result.set_result(job.alone())
    except BaseException as error:  # handed to the caller, whatever it is
        job.result.set_exception(error)
