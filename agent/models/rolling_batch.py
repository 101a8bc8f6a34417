"""Generates for rows that enter and leave while the others go on (continuous batching; Orca, OSDI 2022, section 3).

One step of the loop lets waiting rows in, runs one token of every row, and lets rows out that have ended: at a stop
token, a stop text, their length or deadline, or because nobody wants them any more. New rows run the last tokens of
their prompts together, on top of what is known of them (:mod:`~homeostat.agent.models.batch_start`), and are then put
into the slots of the others' key-value cache.

Each row has a probe run, steering rules, a schema, a random stream and statistics of its own, so its answer and its
readings are those that it would have alone, up to rounding. The prompt of a steered row runs by itself, from its first
token, and its keys are of use to no other prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch

from homeostat import sensors
from homeostat.agent.models.active_row import ActiveRow
from homeostat.agent.models.batch_start import BatchStart, start_batch
from homeostat.agent.models.capacity import free_memory, is_out_of_memory, out_of_memory
from homeostat.agent.models.decoding import matching_images
from homeostat.agent.models.generation import PROBED_ROWS
from homeostat.agent.models.inputs import on_device
from homeostat.agent.models.prefix_pool import Prefix, PrefixPool
from homeostat.agent.models.rows import Row
from homeostat.agent.models.sampling import Drawn, TokenSampler, draw
from homeostat.agent.models.slot_cache import SlotCache
from homeostat.agent.models.stopping import CallStop, Stopped
from homeostat.agent.models.text_stream import TextStream
from homeostat.errors import CallInterrupted
from homeostat.sensors.attempts import Attempt, Readout
from homeostat.sensors.chat.batches import batch
from homeostat.sensors.chat.rendered import Rendered

if TYPE_CHECKING:
    from homeostat.agent.models.transformers_model import TransformersModel
    from homeostat.sensors.probe.row_recorders import RowRecorders, RowRun

__all__ = ["Done", "RollingBatch", "Source"]

Source = Callable[[int, bool], "Sequence[Row]"]
"""Gives rows, at most so many, whose prompts are rendered and fit the model. The second argument says whether others
are running; if none are and none come, the batch ends."""
Done = Callable[["Row", "list[Attempt] | Exception"], None]
"""Is told a row's answers, or why it has none."""


class RollingBatch:
    """One model's batch."""

    def __init__(self, model: TransformersModel, pool: PrefixPool, slots: int) -> None:
        """Starts without rows.

        Args:
            model: The model.
            pool: The keys and values of earlier prompts, from which rows start, and where theirs are kept.
            slots: The most rows at a time.
        """
        self._model, self._pool, self._most = model, pool, slots
        self._cache = SlotCache()
        self._active: list[ActiveRow | None] = []  # by slot; None where the row has left
        self._entering: list[Row] = []
        self._again: list[list[Row]] = []  # rows that failed together, in smaller groups
        self._recorders: RowRecorders | None = None

    def run(self, source: Source, done: Done) -> None:
        """Answers rows until none are left and none come, or the model is interrupted.

        Args:
            source: Gives the rows.
            done: Is told each row's answers, in this thread.
        """
        with self._model.calling() as stop, torch.inference_mode(), ExitStack() as stack:
            while not stop.interrupted:
                failed: Exception | None = None
                try:
                    came = self._let_in(source, done, stop, stack)
                    self._tidy()
                    if self._running:
                        self._step(done, stop)
                    elif not came:  # rows that came may all have ended at their first token, and others wait
                        return
                except Exception as error:
                    failed = error.with_traceback(None)  # so that it holds no tensors
                if failed is not None:
                    self._recover(failed, done, stop)
            for slot, one in enumerate(self._active):  # the interruption came between two steps
                if one is not None:
                    self._let_out(slot, one, done)
            for row in [row for group in self._again for row in group]:
                done(row, CallInterrupted(f"{self._model.name!r}: a batch was interrupted; call it again"))

    @property
    def _running(self) -> list[ActiveRow]:
        return [one for one in self._active if one is not None]

    def _let_in(self, source: Source, done: Done, stop: CallStop, stack: ExitStack) -> bool:
        """Runs the prompts of new rows, if there is place and there are any. Returns whether there were."""
        room = self._most - len(self._running)
        if room <= 0:
            return False
        group = self._again.pop(0) if self._again else list(source(room, bool(self._running)))
        if not group:
            return False
        together = _run_together(group[:room])
        self._entering, rest = group[:together], group[together:]
        self._again[:0] = [rest] if rest else []
        self._set_deadline(stop)
        rows = self._entering
        with matching_images(self._model.name):
            new, cache, padding, drawn = self._prefilled(rows, stack)
        free = [slot for slot, one in enumerate(self._active) if one is None]
        places = self._cache.admit(cache, padding, free)
        self._active += [None] * (max(places) + 1 - len(self._active))
        for slot, one in zip(places, new, strict=True):
            self._active[slot] = one
        self._entering = []
        self._took(list(zip(places, new, strict=True)), drawn, done, stop)
        return True

    def _prefilled(self, rows: Sequence[Row], stack: ExitStack) -> tuple[list[ActiveRow], Any, list[int], Drawn]:
        """New rows, the cache of their prompts, each row's padding in it, and their first tokens."""
        prompts = [row.rendered or self._model.renderer.render(row.prompt) for row in rows]
        runs = self._runs(rows, prompts, stack)
        if self._recorders is not None:
            self._recorders.rows = ()
        owners, fresh = [row.owner for row in rows], max(row.call.fresh_rows for row in rows)
        if rows[0].call.steer:  # what others have computed was not steered
            start = BatchStart(batch(prompts, self._model.pad), self._pool.empty_cache(), (0,))
        else:
            start = start_batch(self._model, prompts, owners, fresh, self._pool, self._known())
        inputs = on_device(self._model.model, start.prompts.inputs)
        mask, first = inputs["attention_mask"], start.cache.get_seq_length()
        padding = [mask.shape[1] - len(prompt.ids) for prompt in prompts]
        positions = (mask.cumsum(-1) - 1).masked_fill(mask == 0, 0)
        self._read(runs, padding)
        inputs |= {"input_ids": inputs["input_ids"][:, first:], "position_ids": positions[:, first:]}
        out = self._model.model(**inputs, past_key_values=start.cache, use_cache=True, logits_to_keep=1)
        samplers = [self._sampler(row) for row in rows]
        drawn = draw(out.logits[:, -1], samplers)
        company = len(self._running) + len(rows)
        parts = zip(rows, prompts, samplers, runs, start.cached, strict=True)
        new = [
            ActiveRow(row, prompt, sampler, self._stream(row), run, cached, company)
            for row, prompt, sampler, run, cached in parts
        ]
        return new, start.cache, padding, drawn

    def _sampler(self, row: Row) -> TokenSampler:
        call = row.call
        constraint = None if call.schema is None else self._model.constraint(call.schema)
        return TokenSampler(call.temperature, row.top_p, call.seed, constraint)

    def _known(self) -> list[Prefix]:
        """What the rows that are being generated have computed so far, but for those that are steered."""
        return [
            Prefix([*one.rendered.ids, *one.tokens[:-1]], one.rendered.images, self._cache.view(slot))
            for slot, one in enumerate(self._active)
            if one is not None and not one.row.call.steer
        ]

    def _runs(self, rows: Sequence[Row], prompts: Sequence[Rendered], stack: ExitStack) -> list[RowRun | None]:
        """The probe's run of each row; None for one that nobody reads or steers. The probe is attached when needed."""
        needed = [row.call.watch is not False or bool(row.call.steer) for row in rows]
        if self._recorders is None and any(needed):
            watching = sensors.watch(self._model.model, layers=self._model.layers, rows=PROBED_ROWS)
            self._recorders = stack.enter_context(watching).start_rows()
        found: list[RowRun | None] = []
        for row, prompt, need in zip(rows, prompts, needed, strict=True):
            if not need or self._recorders is None:
                found.append(None)
            else:
                readout = row.call.watch if isinstance(row.call.watch, Readout) else Readout()
                found.append(self._recorders.run(prompt.as_spans(), readout, row.call.steer))
        return found

    def _read(self, runs: Sequence[RowRun | None], padding: Sequence[int]) -> None:
        """Lets the runs read the next forward."""
        if self._recorders is not None:
            self._recorders.rows = runs
            for run, width in zip(runs, padding, strict=True):
                if run is not None:
                    run.padding = width

    def _stream(self, row: Row) -> TextStream | None:
        if not row.stop and row.on_text is None:
            return None
        return TextStream(self._model.renderer.tokenizer, row.stop, row.on_text)

    def _step(self, done: Done, stop: CallStop) -> None:
        """Runs one token of every row."""
        self._set_deadline(stop)
        device, mask = self._model.model.device, self._cache.mask()
        self._read([one.run if one is not None else None for one in self._active], self._cache.padding)
        last = [one.tokens[-1] if one is not None else self._model.pad for one in self._active]
        out = self._model.model(
            input_ids=torch.tensor(last, device=device)[:, None],
            attention_mask=mask.to(device) if mask is not None else None,
            position_ids=self._cache.positions().to(device),
            past_key_values=self._cache.cache,
            use_cache=True,
        )
        here = [(slot, one) for slot, one in enumerate(self._active) if one is not None]
        scores = out.logits[:, -1]
        if len(here) < len(self._active):
            scores = scores[torch.tensor([slot for slot, _ in here], device=scores.device)]
        self._took(here, draw(scores, [one.sampler for _, one in here]), done, stop)

    def _took(self, rows: Sequence[tuple[int, ActiveRow]], drawn: Drawn, done: Done, stop: CallStop) -> None:
        """Gives rows their newest tokens, and lets those out that have ended."""
        for place, (slot, one) in enumerate(rows):
            one.take(drawn, place)
            try:
                over = one.over(self._model.stops, stop)
            except Exception as error:  # whoever listens to the text failed, which is no matter of the others
                self._active[slot] = None
                done(one.row, error)
                continue
            if over:
                self._let_out(slot, one, done)

    def _let_out(self, slot: int, one: ActiveRow, done: Done) -> None:
        """Hands a row its answers, or why they can't be read, and keeps its keys for the next prompt."""
        if not one.row.call.steer:
            known = [*one.rendered.ids, *one.tokens[:-1]]
            self._pool.keep(one.row.owner, Prefix(known, one.rendered.images, self._cache.copy(slot)))
        self._active[slot] = None
        try:
            read = one.run if one.row.call.watch is not False else None
            found: list[Attempt] | Exception = one.answers(
                self._model, read.result(len(one.tokens)) if read is not None else None
            )
        except Exception as error:  # such as attention that is not a number
            found = error
        done(one.row, found)

    def _tidy(self) -> None:
        """Drops empty slots, where they are at least half of all, and columns that nobody needs."""
        kept = [slot for slot, one in enumerate(self._active) if one is not None]
        if len(kept) * 2 > len(self._active):
            kept = list(range(len(self._active)))
        self._cache.keep(kept)
        self._active = [self._active[slot] for slot in kept]

    def _set_deadline(self, stop: CallStop) -> None:
        """Lets a forward pass be stopped when the deadlines of all rows are over."""
        calls = [*(one.row.call for one in self._running), *(row.call for row in self._entering)]
        last = max(float("inf") if call.deadline is None else call.deadline for call in calls)
        if not stop.interrupted:
            stop.at = last

    def _recover(self, error: Exception, done: Done, stop: CallStop) -> None:
        """Answers, tries again or fails the rows that an error has hit."""
        running, entering, self._entering = self._running, self._entering, []
        if isinstance(error, Stopped):
            self._drop()
            self._stopped([*running, *(self._unread(row) for row in entering)], done, stop)
        elif is_out_of_memory(error):
            told = [one for one in running if one.stream is not None and one.tokens]
            again = [*(one.row for one in running if one not in told), *entering]
            alone = len(running) + len(entering) == 1 and not len(self._pool)
            self._drop()
            self._pool.forget()
            free_memory()
            for row in (one.row for one in told) if not alone else [*(one.row for one in told), *again]:
                length = len(row.rendered.ids) if row.rendered is not None else 0
                done(row, out_of_memory(self._model.name, length))
            if not alone:
                self._most = max(1, (len(running) + len(entering)) // 2)
                self._again = [again[k : k + self._most] for k in range(0, len(again), self._most)] + self._again
        elif len(entering) > 1:
            self._again = [[row] for row in entering] + self._again
        elif entering:
            done(entering[0], error)
        else:
            self._drop()
            for one in running:
                done(one.row, error)

    def _stopped(self, rows: Sequence[ActiveRow], done: Done, stop: CallStop) -> None:
        """Ends rows whose forward pass was stopped: at their deadline with the tokens so far, else with an error."""
        for one in rows:
            if stop.interrupted:
                done(one.row, CallInterrupted(f"{self._model.name!r}: a batch was interrupted; call it again"))
            else:
                done(one.row, one.answers(self._model, None))

    def _unread(self, row: Row) -> ActiveRow:
        """A row without a token."""
        prompt = row.rendered or self._model.renderer.render(row.prompt)
        return ActiveRow(row, prompt, TokenSampler(0.0, 1.0, None), self._stream(row), None, 0, 1)

    def _drop(self) -> None:
        """Drops all rows and their keys."""
        self._active = []
        self._cache.keep([])


def _run_together(rows: Sequence[Row]) -> int:
    """How many of the first rows run their prompts together; a prompt that is steered runs by itself."""
    steered = [place for place, row in enumerate(rows) if row.call.steer]
    return max(steered[0], 1) if steered else len(rows)
