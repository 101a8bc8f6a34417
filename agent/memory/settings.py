"""``SpanMemory``: how the key-value cache of an episode is thinned, as data."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from homeostat.errors import ConfigError

__all__ = ["PINNED", "SpanMemory"]

PINNED = ("system", "rules", "tools", "goal", "facts", "plan", "reminder")
"""The labels whose keys are never evicted unless you say otherwise."""


class SpanMemory(BaseModel):
    """How much of an episode's key-value cache stays from call to call, and what.

    At the end of every call the cache is thinned to the budget. What is pinned stays whole: the spans of ``pinned``,
    the newest turn or screen, and the first tokens, which serve as attention sinks (arXiv 2309.17453). Everything else
    competes: old screens, tool results, the history. A pinned part that is larger than the budget exceeds it.

    Attributes:
        budget: Up to 1: the share of the tokens so far whose keys are held between calls; 1 evicts nothing. Above 1:
            their number.
        policy: What decides which keys stay (:data:`~homeostat.agent.memory.POLICIES`), or ``kvpress:NAME`` for a
            scorer of the package kvpress, such as ``kvpress:KnormPress``.
        pinned: The labels of spans that are never evicted. ``tool`` covers ``tool.search``, too.
        newest: Whether the newest turn or screen is pinned.
        sinks: The number of the prompt's first tokens that are never evicted.
        piece: Spans that are longer than so many tokens are evicted in pieces of at most this length.
        most_mass: ``label_mass`` evicts no more measured attention mass than this share, even if the cache then
            exceeds the budget; None for no such limit.
        recall: For ``label_mass``: the estimated share of the attention on evicted spans above which spans are brought
            back before an answer is generated. 0 brings back whatever is estimated to be the most attended; None never
            brings back.
        reserve: For ``label_mass``: the share of the budget that is left free for spans that are brought back. Where
            what is pinned takes up this share too, such as a long policy, spans still come back to this extent, and
            the cache exceeds the budget.
        index_layers: For ``label_mass``: the number of layers that keep the keys of evicted spans, without the
            values, to estimate the attention on them. The budget counts these keys.
        refresh: Every so many calls the whole prompt is read again, and the cache is thinned anew; 0 for never
            (Recycled Attention, arXiv 2411.05787, refreshes every S-th step).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    budget: float = Field(0.25, gt=0)
    policy: str = Field("label_mass", min_length=1)
    pinned: tuple[str, ...] = PINNED
    newest: bool = True
    sinks: int = Field(4, ge=0)
    piece: int = Field(256, ge=16)
    most_mass: float | None = Field(None, gt=0, le=1)
    recall: float | None = Field(0.0, ge=0, lt=1)
    reserve: float = Field(0.5, ge=0, lt=1)
    index_layers: int = Field(4, ge=1)
    refresh: int = Field(0, ge=0)

    @classmethod
    def of(cls, value: SpanMemory | float | None) -> Self | None:
        """Reads a memory from what a user wrote.

        Args:
            value: The settings, a budget alone, or None for no memory.

        Returns:
            The settings; None for no memory.

        Raises:
            ConfigError: A value is out of range; the line names it.
        """
        if value is None or isinstance(value, cls):
            return value
        given: dict[str, Any] = value.model_dump() if isinstance(value, SpanMemory) else {"budget": value}
        try:
            return cls(**given)
        except ValidationError as error:
            raise ConfigError(
                f"memory={value!r} is no budget; give a share of the tokens such as 0.25, or a number of tokens above 1"
            ) from error

    def tokens(self, length: int) -> int:
        """Computes the budget of a prompt.

        Args:
            length: The number of tokens so far.

        Returns:
            The number of tokens whose keys may stay.
        """
        return int(self.budget * length) if self.budget <= 1 else int(self.budget)
