"""Answers several prompts side by side, each with its own settings, statistics and attention readings.

Rows may differ in temperature, nucleus, seed, length, stop texts and deadline, and each can be cancelled.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from homeostat.agent.models.capacity import check_length
from homeostat.agent.models.prefix_pool import PrefixPool
from homeostat.agent.models.rolling_batch import RollingBatch
from homeostat.agent.models.rows import Row
from homeostat.agent.models.static_batch import answer_together
from homeostat.errors import CallInterrupted
from homeostat.sensors.attempts import Attempt
from homeostat.sensors.chat.rendered import Rendered

if TYPE_CHECKING:
    from homeostat.agent.models.transformers_model import TransformersModel

__all__ = ["answer_rows", "rolls"]


def answer_rows(
    model: TransformersModel,
    rows: Sequence[Row],
    pool: PrefixPool | None = None,
    *,
    slots: int | None = None,
    on_end: Callable[[int], None] = lambda number: None,
) -> list[list[Attempt]]:
    """Answers prompts in one batch, padded on the left.

    Args:
        model: The model.
        rows: The prompts with their settings; each satisfies :func:`~homeostat.agent.models.rows.fits_a_batch`.
        pool: The keys and values of earlier prompts, from which these start, and where theirs are kept. None runs every
            prompt from its first token, and all rows together to the end of the last one.
        slots: The most rows at a time, with a pool; None for all.
        on_end: Told the number of each row when it has ended.

    Returns:
        For each row what :meth:`~homeostat.agent.Model.generate` returns.

    Raises:
        ModelError: A prompt can't be rendered, or the prompts can't be put into one batch.
        PromptTooLong: A prompt does not fit the model's context.
        CallInterrupted: The model was interrupted while the prompts were read.
    """
    if pool is not None and rolls(model, [row.rendered or model.renderer.render(row.prompt) for row in rows], pool):
        return _rolled(model, rows, pool, slots or len(rows), on_end)
    answers = answer_together(model, rows)
    for number in range(len(rows)):
        on_end(number)
    return answers


def rolls(model: TransformersModel, prompts: Sequence[Rendered], pool: PrefixPool) -> bool:
    """Tells whether prompts can be answered in a batch whose rows come and go.

    Args:
        model: The model.
        prompts: The prompts.
        pool: The keys and values of earlier prompts.

    Returns:
        False where a prefix's keys depend on what stands behind it, where the cache can't be cut, or where the model
        takes no positions; such prompts are answered by ``generate``.
    """
    takes = "position_ids" in inspect.signature(model.model.forward).parameters
    return takes and bool(model.model._supports_default_dynamic_cache()) and pool.fits(prompts)


def _rolled(
    model: TransformersModel, rows: Sequence[Row], pool: PrefixPool, slots: int, on_end: Callable[[int], None]
) -> list[list[Attempt]]:
    """Answers rows in a batch from which each leaves when it ends."""
    waiting = [replace(row, rendered=row.rendered or model.renderer.render(row.prompt)) for row in rows]
    for row in waiting:
        assert row.rendered is not None
        check_length(model.name, len(row.rendered.ids), row.call.max_new_tokens, model.context)
    numbers = {id(row): number for number, row in enumerate(waiting)}
    found: dict[int, list[Attempt] | Exception] = {}

    def source(room: int, running: bool) -> list[Row]:
        new, waiting[:room] = waiting[:room], []
        return new

    def done(row: Row, answers: list[Attempt] | Exception) -> None:
        found[numbers[id(row)]] = answers
        on_end(numbers[id(row)])

    RollingBatch(model, pool, slots).run(source, done)
    ended = [found.get(number, _interrupted(model)) for number in range(len(rows))]
    for answers in ended:
        if isinstance(answers, Exception):
            raise answers
    return ended  # type: ignore[return-value]


def _interrupted(model: TransformersModel) -> CallInterrupted:
    return CallInterrupted(f"{model.name!r}: a batch was interrupted; call it again")
