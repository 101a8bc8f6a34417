"""The attention probe, which :func:`~homeostat.sensors.watch` attaches to a model: starts runs, returns results.

``docs/design/probe.md`` gives the reasons and lists what is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from homeostat.errors import ConfigError, ProbeError
from homeostat.plots.token_view import TokenView
from homeostat.sensors.attempts import Readout, SpanMass
from homeostat.sensors.chat.messages import Chat, is_batch
from homeostat.sensors.chat.rendering import Renderer
from homeostat.sensors.chat.tools import Tool
from homeostat.sensors.probe.recorder import Recorder
from homeostat.sensors.probe.results import first_tokens, follow_beams, span_masses
from homeostat.sensors.probe.row_recorders import RowRecorders
from homeostat.sensors.probe.showing import Shown, ShownPrompt, token_view
from homeostat.sensors.probe.thinned_keys import KeyReader, ThinnedKeys
from homeostat.sensors.spans import Spans
from homeostat.sensors.steering.actuators import Actuator
from homeostat.sensors.steering.binding import Steering
from homeostat.sensors.steering.row_steering import RowSteering

__all__ = ["Probe"]


class Probe:
    """Reads a watched model's attention, run by run. :func:`~homeostat.sensors.watch` creates it.

    A run lasts from :meth:`start` to :meth:`result`; outside a run nothing is read. A probe serves one run at a time,
    in one thread.

    Attributes:
        layers: The layers that it reads.
        readout: What it records besides span masses.
        recorder: What the present run has collected; None outside a run.
    """

    def __init__(
        self,
        layers: Sequence[int],
        rows: int | None,
        sink_threshold: float | None,
        readout: Readout,
        every: int,
        renderer: Renderer | None = None,
        depth: int | None = None,
    ) -> None:
        """Creates a probe that reads nothing yet.

        Args:
            layers: The layers to read.
            rows: How many of the prompt's last rows are read; None for all.
            sink_threshold: The mean weight above which a key is a sink; None measures no sinks.
            readout: What is recorded besides span masses.
            every: Record one generated token in so many.
            renderer: Renders chats for :meth:`prepare`; None if there is no processor.
            depth: The number of layers of the model; None if it is unknown.
        """
        self._renderer = renderer
        self._depth = depth
        self.layers = tuple(layers)
        self.readout = readout
        self._every = every
        self._rows = rows
        self._sink_threshold = sink_threshold
        self.recorder: Recorder | RowRecorders | None = None
        self._steering: Steering | None = None
        self._prompts: tuple[ShownPrompt, ...] = ()
        self._last: tuple[SpanMass, ...] = ()

    @property
    def steering(self) -> Steering | RowSteering | None:
        """How the present run is steered; None where it is not."""
        return self.recorder.steering if isinstance(self.recorder, RowRecorders) else self._steering

    def start(
        self, spans: Spans | Sequence[Spans], *, steer: Iterable[Actuator] = (), reader: KeyReader | None = None
    ) -> None:
        """Starts a run: the next forward or ``generate`` is read. An unfinished run is discarded.

        Args:
            spans: One :class:`Spans` for all rows of the batch, or one for each prompt of it. If ``generate`` draws n
                samples for each prompt, each Spans counts for n adjacent rows. With left padding, shift the spans.
            steer: The steering rules of this run. The run reads the steered attention. Keys and values that it leaves
                in a cache come from a steered run, so an unsteered run must not reuse them.
            reader: Is told the weights of single keys; None for nobody.

        Raises:
            ConfigError: No prompt is given, or a rule names a span or a layer that is missing.
        """
        given = (spans,) if isinstance(spans, Spans) else tuple(spans)
        if not given:
            raise ConfigError(f"spans={spans!r} holds no prompt; pass one Spans, or one for each prompt of the batch")
        rules = tuple(steer)
        self._steering = Steering(rules, given, self.layers, self._depth) if rules else None
        self.recorder = Recorder(self.layers, given, self._rows, self._sink_threshold, self.readout, self._every)
        self.recorder.reader = reader
        self._prompts, self._last = (), ()

    def start_rows(self) -> RowRecorders:
        """Starts the runs of a batch whose rows come and go. Each row is read, and steered, by itself, without
        its padding.

        Returns:
            What the runs are made by, and what is told which rows the next forward has.
        """

        def made(spans: Spans, readout: Readout) -> Recorder:
            return Recorder(self.layers, (spans,), self._rows, self._sink_threshold, readout, self._every)

        def steered(spans: Spans, rules: tuple[Actuator, ...]) -> Steering:
            return Steering(rules, (spans,), self.layers, self._depth)

        self._steering = None
        rows = self.recorder = RowRecorders(made, steered)
        return rows

    def prepare(
        self,
        prompt: Chat | Sequence[Chat],
        *,
        tools: Sequence[Tool] | None = None,
        steer: Iterable[Actuator] = (),
    ) -> dict[str, Any]:
        """Renders a prompt with the processor that was passed to :func:`watch`, and starts a run.

        Args:
            prompt: Messages as ``apply_chat_template`` takes them (see ``Prompt.from_chat``), a plain text (see
                ``Prompt.from_text``), or a ``Prompt``. A list of these is a batch, padded on the left: read it with
                :meth:`results`.
            tools: The tools of the chat, or of every chat of the batch: JSON schemas, or functions with type hints and
                a docstring. What the chat template writes about them is the span "tools".
            steer: The steering rules of this run.

        Returns:
            The model's inputs. They are on the CPU; use ``{k: v.to(model.device) for …}`` to move them.

        Raises:
            ConfigError: :func:`watch` was called without a processor, or a chat or a tool is invalid.
            ModelError: The processor or its chat template can't render the prompt.
        """
        if self._renderer is None:
            raise ConfigError("processor=None renders nothing; call watch(model, processor), or start(spans)")
        if is_batch(prompt):
            batch = self._renderer.render_batch(prompt, tools=tools)
            self.start(batch.as_spans(), steer=steer)
            longest = batch.inputs["input_ids"].shape[1]
            self._prompts = tuple(ShownPrompt(tuple(one.ids), longest - len(one.ids)) for one in batch.rows)
            return dict(batch.inputs)
        rendered = self._renderer.render(prompt, tools=tools)
        self.start(rendered.as_spans(), steer=steer)
        self._prompts = (ShownPrompt(tuple(rendered.ids)),)
        return dict(rendered.inputs)

    def result(self, tokens: int | None = None) -> SpanMass:
        """Ends the run and returns its span masses, for a batch of one row.

        Args:
            tokens: Keep only so many of the first generated tokens.

        Returns:
            The span masses.

        Raises:
            ProbeError: The model did not run, or the batch has more rows.
        """
        every = self.results(None if tokens is None else [tokens])
        if len(every) != 1:
            raise ProbeError(f"the batch had {len(every)} rows; call results()")
        return every[0]

    def results(
        self, tokens: Sequence[int] | None = None, *, beams: Sequence[Sequence[int]] | None = None
    ) -> tuple[SpanMass, ...]:
        """Ends the run and returns the span masses of every row of the batch.

        Args:
            tokens: For each row, keep only so many of its first generated tokens. ``generate`` pads rows that end
                early, so pass their true lengths.
            beams: (rows, T) the ``beam_indices`` of a beam search's output. There is then one result for each returned
                sequence, and each of its tokens is read from the row that its beam was in at that time.

        Returns:
            One result for each row, or for each returned sequence of a beam search.

        Raises:
            ProbeError: The model did not run, or the run is incomplete.
            ConfigError: ``tokens`` or ``beams`` do not fit the batch.
        """
        recorder, self.recorder, self._steering = self.recorder, None, None
        if not isinstance(recorder, Recorder):
            raise ProbeError(
                "no run to read; call model.generate(**probe.prepare(chat)), or call start(spans) and then the model; "
                "result() reads a run once"
            )
        every = span_masses(recorder)
        if beams is not None:
            every = tuple(follow_beams(every, [int(b) for b in one if b >= 0]) for one in beams)
        if tokens is not None and len(tokens) != len(every):
            raise ConfigError(f"tokens={list(tokens)!r} has {len(tokens)} counts for a batch of {len(every)} rows")
        if tokens is not None:
            every = tuple(first_tokens(mass, count) for mass, count in zip(every, tokens, strict=True))
        self._last = every if "prompt_keys" in self.readout.statistics else ()  # what can't be shown is not kept
        return every

    def view(
        self,
        tokens: Shown = None,
        *,
        layers: Iterable[int] | None = None,
        heads: Iterable[int | tuple[int, int]] | None = None,
        row: int = 0,
    ) -> TokenView:
        """Returns the prompt of the present run, or of the last one, coloured by attention.

        The weight of a prompt token is the mean over the answer's tokens. The run must have recorded it:
        ``watch(model, tokenizer, readout="prompt_keys")``. It does not end the run.

        Args:
            tokens: The output of ``generate``, which adds the answer's text. A run that began with :meth:`start` needs
                it, or the prompt's tokens, as ids or as texts.
            layers: The layers whose attention is shown; None for all that were read.
            heads: Numbers of heads in these layers, or (layer, head) pairs; None for all.
            row: The row of the batch.

        Returns:
            The view, which notebooks show, and whose method ``save`` writes a page.

        Raises:
            ProbeError: No run has generated anything, it did not record these weights, or its tokens are unknown.
            ConfigError: A layer, a head or a row does not exist.
        """
        if "prompt_keys" not in self.readout.statistics:
            raise ProbeError(
                "this probe records no weights of single tokens; call watch(model, tokenizer, readout='prompt_keys')"
            )
        every = self._last
        if isinstance(self.recorder, Recorder):
            every = span_masses(self.recorder)
        if not every:
            raise ProbeError("no run to show; call model.generate(**probe.prepare(chat)) first, then probe.show()")
        if not 0 <= row < len(every):
            raise ConfigError(f"row={row!r} is none of the batch's {len(every)} rows; give 0 to {len(every) - 1}")
        prompt = self._prompts[row * len(self._prompts) // len(every)] if self._prompts else None
        tokenizer = None if self._renderer is None else self._renderer.tokenizer
        found = token_view(every[row], prompt, tokens, tokenizer, row)
        return found if layers is None and heads is None else found.of(layers, heads)

    def show(
        self,
        tokens: Shown = None,
        *,
        layers: Iterable[int] | None = None,
        heads: Iterable[int | tuple[int, int]] | None = None,
        row: int = 0,
    ) -> TokenView:
        """Shows the prompt, coloured by attention: as output of a notebook's cell, else on the terminal.

        Args:
            tokens: As in :meth:`view`.
            layers: As in :meth:`view`.
            heads: As in :meth:`view`.
            row: As in :meth:`view`.

        Returns:
            The view that is shown. ``probe.show().save("prompt.html")`` also writes a page.

        Raises:
            ProbeError: As in :meth:`view`.
            ConfigError: As in :meth:`view`.
        """
        found = self.view(tokens, layers=layers, heads=heads, row=row)
        found.show()
        return found

    def _before_forward(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Hook on the first probed module. It sees the cache before this forward's keys enter it."""
        if self.recorder is None:
            return
        hidden = args[0] if args else kwargs.get("hidden_states")
        if not isinstance(hidden, Tensor):
            raise ProbeError(f"{type(module).__name__!r} takes no hidden_states, so its rows cannot be counted")
        cache = kwargs.get("past_key_values", kwargs.get("layer_past"))
        start: int | None = 0
        if cache is not None:
            seen = cache.get_seq_length(self.layers[0])
            # A static cache counts on the device. Reading the count synchronises, so it is read only once per run.
            start = None if isinstance(seen, Tensor) and self.recorder.forwards else int(seen)
        self.recorder.thinned = cache if isinstance(cache, ThinnedKeys) else None
        if self.recorder.thinned is not None and self.steering is not None:
            raise ProbeError("a steered run can't read a thinned cache; steer with a cache that holds every token")
        self.recorder.begin(start, hidden.shape[1])
