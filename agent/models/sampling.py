"""Draws the next token of every row of a batch, each with its own temperature, nucleus and random stream.

A row that samples draws its token by the Gumbel-max trick: the likeliest token after independent Gumbel noise was added
to the scaled scores is a sample of their softmax (Maddison et al., arXiv 1411.0030, section 2). So rows that sample and
rows that don't share one pass, and a seed gives the same answer in any company.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["Constraint", "Drawn", "TokenSampler", "draw"]


class Constraint(Protocol):
    """Forbids tokens, depending on those that were drawn before."""

    def allow(self, scores: Tensor) -> Tensor:
        """Forbids tokens.

        Args:
            scores: (V,) the scores of the next token.

        Returns:
            (V,) scores, -inf for forbidden tokens.
        """
        ...

    def take(self, token: int) -> None:
        """Goes on behind a token.

        Args:
            token: The token that was drawn.
        """
        ...


@dataclass(frozen=True)
class Drawn:
    """The tokens that B rows have drawn.

    Attributes:
        tokens: The tokens.
        logprobs: The natural-log probability of each, at the row's temperature, among all tokens that are allowed.
        entropy: The entropy of each row's distribution, in nats.
        margin: The probability of each row's likeliest token less that of the second.
    """

    tokens: list[int]
    logprobs: list[float]
    entropy: list[float]
    margin: list[float]


class TokenSampler:
    """How one row draws its tokens.

    Attributes:
        temperature: The temperature; 0 takes the likeliest token.
        top_p: Only the likeliest tokens whose probabilities add up to this are drawn, at least one.
        constraint: Forbids tokens; None allows all.
    """

    def __init__(
        self, temperature: float, top_p: float, seed: int | None, constraint: Constraint | None = None
    ) -> None:
        """Begins the row's random stream.

        Args:
            temperature: The temperature; 0 takes the likeliest token.
            top_p: The nucleus; 1 for all tokens.
            seed: The seed of the stream; None begins anywhere.
            constraint: Forbids tokens; None allows all.
        """
        self.temperature, self.top_p, self.constraint = temperature, top_p, constraint
        self._stream: torch.Generator | None = None
        if temperature > 0:
            self._stream = torch.Generator()
            self._stream.manual_seed(seed) if seed is not None else self._stream.seed()

    def pick(self, scores: Tensor) -> Tensor:
        """Draws a token.

        Args:
            scores: (V,) the scaled scores.

        Returns:
            The token, as a tensor without dimensions.
        """
        if self._stream is None:
            return scores.argmax()
        if self.top_p < 1:
            scores = scores.masked_fill(self._beyond(scores), float("-inf"))
        uniform = torch.rand(len(scores), generator=self._stream).clamp_(1e-20, 1 - 1e-7)
        return (scores - torch.log(-torch.log(uniform)).to(scores)).argmax()

    def _beyond(self, scores: Tensor) -> Tensor:
        """(V,) whether the token is outside of the nucleus."""
        ordered, order = scores.sort(descending=True)
        shares = ordered.softmax(dim=-1)
        beyond = shares.cumsum(dim=-1) - shares >= self.top_p
        beyond[0] = False
        return torch.zeros_like(beyond).scatter(-1, order, beyond)


def draw(scores: Tensor, samplers: Sequence[TokenSampler]) -> Drawn:
    """Draws a token for each row.

    Args:
        scores: (B, V) the model's scores.
        samplers: How each row draws.

    Returns:
        The tokens and their statistics.
    """
    scores = scores.float()
    if any(one.constraint is not None for one in samplers):
        rows = zip(samplers, scores, strict=True)
        scores = torch.stack([row if one.constraint is None else one.constraint.allow(row) for one, row in rows])
    if any(one.temperature not in (0, 1) for one in samplers):
        heat = torch.tensor([one.temperature or 1.0 for one in samplers], device=scores.device)
        scores = scores / heat[:, None]
    logprobs = scores.log_softmax(dim=-1)
    chances = logprobs.exp()
    entropy = -(chances * logprobs.clamp_min(-1e4)).sum(-1)
    best = chances.topk(min(2, chances.shape[-1]), dim=-1).values
    if all(one.temperature == 0 for one in samplers):
        tokens = scores.argmax(-1)
    else:
        tokens = torch.stack([one.pick(row) for one, row in zip(samplers, scores, strict=True)])
    drawn: list[int] = tokens.tolist()
    for one, token in zip(samplers, drawn, strict=True):
        if one.constraint is not None:
            one.constraint.take(token)
    told = torch.stack([logprobs.gather(1, tokens[:, None])[:, 0], entropy, best[:, 0] - best[:, -1]]).tolist()
    return Drawn(drawn, *told)
