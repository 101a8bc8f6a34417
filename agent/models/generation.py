"""The settings of one model call, and where its answer ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from homeostat.errors import ModelError
from homeostat.sensors.attempts import Readout
from homeostat.sensors.steering.actuators import Actuator

__all__ = ["PROBED_ROWS", "GenerationCall", "Wishes", "cut_at_stop", "stop_tokens"]

PROBED_ROWS = 32
"""The number of the prompt's last rows that the probe reads. It looks for attention sinks in them."""


@dataclass(frozen=True)
class GenerationCall:
    """The settings of one call of :meth:`~homeostat.agent.Model.generate`, which describes them in full.

    Attributes:
        n: The number of answers.
        temperature: The sampling temperature; 0 decodes greedily.
        max_new_tokens: The most tokens of an answer.
        watch: Whether the probe reads span masses, or what it reads besides them.
        deadline: The instant of ``time.monotonic()`` at which generation ends; None for no deadline.
        seed: The seed of sampling; None leaves the random state alone.
        steer: The actuators that change attention in this call.
        schema: The JSON schema that the answer has to fit; None for free text.
    """

    n: int = 1
    temperature: float = 0.0
    max_new_tokens: int = 256
    watch: bool | Readout = True
    deadline: float | None = None
    seed: int | None = None
    steer: tuple[Actuator, ...] = ()
    schema: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Refuses settings out of range with a ``ModelError``."""
        if self.n < 1:
            raise ModelError(f"n={self.n!r} is out of range; ask for at least one answer")
        if self.max_new_tokens < 1:
            raise ModelError(f"max_new_tokens={self.max_new_tokens!r} is out of range; allow at least one token")
        if self.temperature < 0:
            raise ModelError(f"temperature={self.temperature!r} is out of range; use 0 (greedy) or more")

    @property
    def rows(self) -> int:
        """The number of answers that are decoded: 1 with greedy decoding, where all ``n`` answers are the same."""
        return self.n if self.temperature > 0 else 1

    @property
    def shows_prompt(self) -> bool:
        """Whether the weight on every token of the prompt is recorded, so that their texts are wanted, too."""
        return isinstance(self.watch, Readout) and "prompt_keys" in self.watch.statistics

    @property
    def fresh_rows(self) -> int:
        """The number of the prompt's last rows that run in every call, whatever the cache holds.

        The last row yields the first token's logits. With the probe all rows that it reads run, so that a reading
        doesn't depend on what was cached.
        """
        return 1 if self.watch is False else PROBED_ROWS


@dataclass(frozen=True)
class Wishes:
    """What a caller wants of each of its calls, besides what the loop says.

    Attributes:
        top_p: Only the likeliest tokens whose probabilities add up to this are sampled; 1 for all.
        stop: Texts that end an answer and are no part of it.
        schema: The JSON schema of answers to which the loop gives none; None for free text.
        on_text: Told each new piece of an answer while it is generated; None for nobody.
        shortens: Whether an answer for which the model's context leaves too little is made shorter. Otherwise such a
            prompt is refused.
    """

    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None
    on_text: Callable[[str], None] | None = None
    shortens: bool = False


def cut_at_stop(tokens: list[int], stops: frozenset[int]) -> tuple[list[int], bool]:
    """Cuts a row of generated tokens behind its first stop token.

    Args:
        tokens: The generated tokens; behind a stop token there may be padding.
        stops: The tokens that end an answer.

    Returns:
        The tokens up to and including the first stop token, and whether there was one.
    """
    for index, token in enumerate(tokens):
        if token in stops:
            return tokens[: index + 1], True
    return tokens, False


def stop_tokens(settings: Any, tokenizer: Any) -> frozenset[int]:
    """Finds the tokens that end an answer.

    Args:
        settings: The model's generation settings.
        tokenizer: Its tokenizer.

    Returns:
        The tokens of both.
    """
    found: set[int] = set()
    for ends in (settings.eos_token_id, tokenizer.eos_token_id):
        found.update([ends] if isinstance(ends, int) else ends or ())
    return frozenset(found)
