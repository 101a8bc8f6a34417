"""What a run keeps of the attention of one model call: the weight on every token of the prompt.

The weights of all T answer tokens, L layers and H heads on n prompt tokens would take T·L·H·n numbers. Two means are
kept instead, from which a page can show any range of layers and heads, or any token of the answer:

- ``by_head``, over the answer's tokens: a_lhs = (1/T) Σ_t p_tlhs
- ``by_token``, over layers and heads: b_ts = (1/LH) Σ_lh p_tlhs

where p_tlhs is the softmax weight of the row that produced token t, in layer l and head h, on the prompt's token s.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import TraceError
from homeostat.foreign_text import clipped, visible
from homeostat.redaction import redact_pieces
from homeostat.regular_files import read_regular
from homeostat.sensors.attempts import Attempt

__all__ = ["AttentionRecord"]

_VERSION = 1
_MOST = 2**30  # bytes of all weights; 100,000 tokens in 80 layers of 64 heads take as many
_MOST_TOLD = 32 * 2**20  # bytes of the texts and spans
_MOST_ROWS = 4096  # layers, and heads of a layer
_OVERLAPS = 64  # how many spans may cover each token on average
_ROUNDING = 0.01


@dataclass(frozen=True)
class AttentionRecord:
    """The attention of one model call on its prompt, token by token.

    Attributes:
        tokens: The texts of the prompt's n tokens, template tokens included.
        answer: The texts of the answer's T recorded tokens.
        spans: By label, the ranges [start, stop) of the prompt's tokens that the span covers.
        layers: The indices of the L layers that were read.
        by_head: (L, H, n) float16: the mean weight over the answer's tokens.
        by_token: (T, n) float16: the mean weight over layers and heads.
    """

    tokens: tuple[str, ...]
    answer: tuple[str, ...]
    spans: Mapping[str, tuple[tuple[int, int], ...]]
    layers: tuple[int, ...]
    by_head: NDArray[np.float16]
    by_token: NDArray[np.float16]

    @classmethod
    def of(cls, attempt: Attempt) -> AttentionRecord | None:
        """Takes the record of an attempt.

        Args:
            attempt: The attempt, read with ``Readout(statistics={"prompt_keys"})``.

        Returns:
            The record; None where the attempt has no such weights, or no token.
        """
        spans = attempt.spans
        if spans is None or spans.prompt_keys is None or not len(spans.prompt_keys) or spans.spans is None:
            return None
        weights = spans.prompt_keys
        count = weights.shape[-1]
        texts = attempt.prompt_pieces if len(attempt.prompt_pieces) == count else ("",) * count
        pieces = attempt.pieces or ("",) * (int(spans.position[-1]) + 1)
        return cls(
            tokens=texts,
            answer=tuple(pieces[at] if at < len(pieces) else "" for at in spans.position),
            spans={label: tuple((int(a), int(b)) for a, b in spans.spans[label]) for label in spans.spans},
            layers=spans.layers,
            by_head=weights.mean(0, dtype=np.float32).astype(np.float16),
            by_token=weights.mean((1, 2), dtype=np.float32).astype(np.float16),
        )

    def redacted(self) -> AttentionRecord:
        """Returns the record without secrets of known forms (:mod:`homeostat.redaction`).

        A secret is usually spread over several tokens. The texts of all of them are emptied, but for the first one,
        which says what stood there.
        """
        return AttentionRecord(
            redact_pieces(self.tokens),
            redact_pieces(self.answer),
            self.spans,
            self.layers,
            self.by_head,
            self.by_token,
        )

    def to_bytes(self) -> bytes:
        """Returns the record as the bytes of an ``.npz`` file."""
        told = {
            "version": _VERSION,
            "tokens": self.tokens,
            "answer": self.answer,
            "spans": {label: list(ranges) for label, ranges in self.spans.items()},
            "layers": self.layers,
        }
        text = json.dumps(told, ensure_ascii=True).encode()  # half of a surrogate pair stays what it is
        buffer = io.BytesIO()
        np.savez_compressed(buffer, told=np.frombuffer(text, np.uint8), by_head=self.by_head, by_token=self.by_token)
        return buffer.getvalue()

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> AttentionRecord:
        """Reads a record from its file.

        Args:
            path: The ``.npz`` file, such as ``runs/ID/attention/0-0.npz``.

        Returns:
            The record.

        Raises:
            TraceError: The file is missing, damaged, or of a newer version.
        """
        try:
            data = io.BytesIO(read_regular(Path(path), _MOST, follow=False))  # numpy leaves a damaged file open
            with zipfile.ZipFile(data) as archive:
                sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
            if sum(sizes.values()) > _MOST or sizes.get("told.npy", 0) > _MOST_TOLD:
                raise ValueError("it unpacks to more than a record holds")
            with np.load(data, allow_pickle=False) as held:
                told = json.loads(held["told"].tobytes())
                by_head, by_token = held["by_head"], held["by_token"]
            return _checked(told, by_head, by_token)
        except OSError as error:
            raise TraceError(
                f"no record of attention {str(path)!r} ({error.strerror or error}); run with record_attention=True"
            ) from None
        except Exception as error:  # zip, zlib, numpy and JSON raise errors of many kinds for a damaged file
            reason = clipped(visible(str(error)), 120) or type(error).__name__
            raise TraceError(f"record of attention {str(path)!r} is damaged ({reason}); run it again") from None

    def mean(self, layers: tuple[int, int] | None = None, heads: tuple[int, int] | None = None) -> NDArray[np.float64]:
        """Averages over a range of layers and heads.

        Args:
            layers: The range [start, stop) of rows of ``by_head``; None takes all.
            heads: The range [start, stop) of heads; None takes all.

        Returns:
            (n,) the mean weight on every token of the prompt.
        """
        (a, b), (c, d) = layers or (0, self.by_head.shape[0]), heads or (0, self.by_head.shape[1])
        found: NDArray[np.float64] = self.by_head[a:b, c:d].mean((0, 1), dtype=np.float64)
        return found


def _checked(told: Any, by_head: NDArray[Any], by_token: NDArray[Any]) -> AttentionRecord:
    """The record; ValueError where its parts don't fit each other."""
    if told["version"] != _VERSION:
        raise ValueError(f"version {told['version']!r} is not {_VERSION}")
    tokens, answer = tuple(map(str, told["tokens"])), tuple(map(str, told["answer"]))
    spans = {str(label): tuple((int(a), int(b)) for a, b in ranges) for label, ranges in dict(told["spans"]).items()}
    layers = tuple(map(int, told["layers"]))
    if by_head.ndim != 3 or by_head.shape[0] != len(layers) or by_head.shape[2] != len(tokens):
        raise ValueError("by_head has another shape than layers, heads and tokens")
    if by_token.shape != (len(answer), len(tokens)):
        raise ValueError("by_token has another shape than the tokens of answer and prompt")
    if max(by_head.shape[:2]) > _MOST_ROWS:
        raise ValueError(f"more than {_MOST_ROWS} layers or heads")
    if any(not 0 <= a <= b <= len(tokens) for ranges in spans.values() for a, b in ranges):
        raise ValueError("a span lies outside the prompt")
    if sum(b - a for ranges in spans.values() for a, b in ranges) > _OVERLAPS * len(tokens):
        raise ValueError("the spans overlap too much")
    for weights in (by_head, by_token):
        if weights.dtype.kind != "f" or not np.isfinite(weights).all():
            raise ValueError("a weight is not finite or no number")
        if weights.size and not 0 <= weights.min() <= weights.max() <= 1 + _ROUNDING:
            raise ValueError("a weight lies outside 0 to 1")
    return AttentionRecord(tokens, answer, spans, layers, by_head, by_token)
