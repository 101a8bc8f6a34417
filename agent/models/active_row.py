"""``ActiveRow``: a row of a changing batch while it is generated, and the answer that comes of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from homeostat.agent.models.rows import Row
from homeostat.agent.models.sampling import Drawn, TokenSampler
from homeostat.agent.models.stopping import CallStop
from homeostat.agent.models.text_stream import TextStream, cut_text
from homeostat.sensors.attempts import Attempt, SpanMass
from homeostat.sensors.chat.rendered import Rendered
from homeostat.sensors.chat.token_texts import token_texts

if TYPE_CHECKING:
    from homeostat.agent.models.transformers_model import TransformersModel
    from homeostat.sensors.probe.row_recorders import RowRun

__all__ = ["ActiveRow"]


@dataclass(eq=False)
class ActiveRow:
    """A row that is being generated.

    Attributes:
        row: The prompt and its settings.
        rendered: The rendered prompt.
        sampler: How it draws its tokens.
        stream: Its text so far; None where nobody asks for it before the end.
        run: The probe's run; None where nobody reads or steers it.
        cached: The number of the prompt's tokens that were not run again.
        company: The number of rows that were running when it entered, itself among them.
        begun: When it entered.
        tokens: The tokens so far.
        logprobs: The natural-log probability of each.
        entropy: The entropy of the distribution that each was drawn from, in nats.
        margin: The probability of the likeliest token less that of the second, at each.
    """

    row: Row
    rendered: Rendered
    sampler: TokenSampler
    stream: TextStream | None
    run: RowRun | None
    cached: int
    company: int
    begun: float = field(default_factory=time.monotonic)
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    entropy: list[float] = field(default_factory=list)
    margin: list[float] = field(default_factory=list)

    def take(self, drawn: Drawn, place: int) -> None:
        """Adds the token that the row has drawn.

        Args:
            drawn: What the rows of a step have drawn.
            place: The row's place among them.
        """
        self.tokens.append(drawn.tokens[place])
        self.logprobs.append(drawn.logprobs[place])
        self.entropy.append(drawn.entropy[place])
        self.margin.append(drawn.margin[place])

    def over(self, stops: frozenset[int], stop: CallStop) -> bool:
        """Tells whether the row ends behind its newest token.

        Args:
            stops: The tokens that end an answer.
            stop: When the whole batch has to end.

        Returns:
            Whether it does.
        """
        token, call = self.tokens[-1], self.row.call
        if self.stream is not None and token not in stops:
            self.stream.push(token)
        return (
            token in stops
            or len(self.tokens) >= call.max_new_tokens
            or stop.over()
            or (call.deadline is not None and time.monotonic() >= call.deadline)
            or (self.stream is not None and self.stream.stopped)
            or (self.row.cancelled is not None and self.row.cancelled())
        )

    def answers(self, model: TransformersModel, mass: SpanMass | None) -> list[Attempt]:
        """Makes the row's answers of its tokens.

        Args:
            model: The model.
            mass: The row's span masses; None where it was not read.

        Returns:
            What :meth:`~homeostat.agent.Model.generate` returns.
        """
        tokenizer, tokens = model.renderer.tokenizer, self.tokens
        whole = tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        text, cut = cut_text(whole, self.row.stop)
        if self.stream is not None:
            self.stream.finish(text)
        attempt = Attempt(
            text=text,
            tokens=tuple(tokens),
            logprobs=tuple(self.logprobs),
            entropy=tuple(self.entropy),
            margin=tuple(self.margin),
            spans=mass,
            prompt_tokens=len(self.rendered.ids),
            cached_tokens=self.cached,
            seconds=time.monotonic() - self.begun,
            finish="stop" if cut or (bool(tokens) and tokens[-1] in model.stops) else "length",
            prompt_ids=tuple(self.rendered.ids),
            pieces=token_texts(tokenizer, tokens),
            prompt_pieces=token_texts(tokenizer, self.rendered.ids) if self.row.call.shows_prompt else (),
            batch=self.company,
        )
        return [attempt] * self.row.call.n
