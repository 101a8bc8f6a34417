"""What is measured and enforced while tokens are generated: their probability, entropy and margin; the deadline."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import torch
from transformers import LogitsProcessor, StoppingCriteria

from homeostat.errors import ModelError

__all__ = ["Deadline", "TokenStats", "matching_images"]


class TokenStats(LogitsProcessor):
    """Log-probability, entropy and margin of every token, in O(1) memory: no (T, V) scores are kept.

    It stands last among the logits processors, so it sees the distribution that the token is drawn from. ``margin``
    is the probability of the likeliest token less that of the second.
    """

    def __init__(self) -> None:
        """One for each call of ``generate``."""
        self._entropy: list[torch.Tensor] = []
        self._margin: list[torch.Tensor] = []
        self._logprob: list[torch.Tensor] = []
        self._pending: torch.Tensor | None = None

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """(B, V) scores of the next token, passed on unchanged; the last column of ``input_ids`` was drawn before."""
        if self._pending is not None:
            self._take(input_ids[:, -1])
        logprobs = torch.log_softmax(scores.float(), dim=-1)
        p = logprobs.exp()
        self._entropy.append(-(p * logprobs.clamp_min(-1e4)).sum(-1))
        best = p.topk(min(2, p.shape[-1]), dim=-1).values
        self._margin.append(best[:, 0] - best[:, -1])
        self._pending = logprobs
        return scores

    def result(self, last: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(B, T) each of log-probabilities, entropies and margins. ``last`` (B,) are the tokens drawn last."""
        if self._pending is not None:
            self._take(last)
            self._pending = None
        return tuple(torch.stack(rows, dim=1).cpu() for rows in (self._logprob, self._entropy, self._margin))  # type: ignore[return-value]

    def _take(self, tokens: torch.Tensor) -> None:
        assert self._pending is not None
        self._logprob.append(self._pending.gather(1, tokens.to(self._pending.device)[:, None])[:, 0])


@contextlib.contextmanager
def matching_images(name: str) -> Iterator[None]:
    """Name the model where transformers finds another number of image tokens than of image features.

    Raises :class:`ModelError`.
    """
    try:
        yield
    except ValueError as error:
        text = str(error).partition("\n")[0]
        if "mage" not in text or "match" not in text:
            raise
        raise ModelError(
            f"{name!r}: {text}; its processor is another model's, give the one from its own folder"
        ) from error


class Deadline(StoppingCriteria):
    """Ends every row once ``time.monotonic()`` has reached ``at``."""

    def __init__(self, at: float) -> None:
        """``at``: an instant of ``time.monotonic()``."""
        self.at = at

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **kwargs: object) -> torch.BoolTensor:
        """(B,) True where generation has to end."""
        over = time.monotonic() >= self.at
        return torch.full((input_ids.shape[0],), over, dtype=torch.bool, device=input_ids.device)  # type: ignore[return-value]
