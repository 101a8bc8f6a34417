"""Constrained decoding: whatever the model is, its answer is JSON that fits a schema.

llguidance (the library behind the ``guidance`` backend of vLLM and SGLang) computes, token by token, which tokens may
follow. It reads byte-level and SentencePiece tokenizers by itself. For any other fast tokenizer, such as the embedded
model's, this module passes it the text of every token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import llguidance
import llguidance.hf
import numpy as np
import torch
from transformers import LogitsProcessor

from homeostat.errors import ModelError

__all__ = ["JSONSchemaProcessor", "SchemaConstraint", "guidance_tokenizer"]


def guidance_tokenizer(tokenizer: Any, stops: frozenset[int]) -> Any:
    """Builds what llguidance needs of a fast tokenizer. This takes up to a second, so the caller keeps the result.

    Args:
        tokenizer: The fast tokenizer.
        stops: The tokens that end an answer.

    Returns:
        llguidance's tokenizer.
    """
    ends = sorted(stops)
    try:
        return llguidance.hf.from_tokenizer(tokenizer, eos_token=ends or None)
    except ValueError:
        pass
    texts = [
        tokenizer.decode([i], skip_special_tokens=False, clean_up_tokenization_spaces=False)
        for i in range(len(tokenizer))
    ]
    special = sorted({*tokenizer.all_special_ids, *ends})
    described: Any = _Described(tokenizer, texts, special, ends)
    return llguidance.LLTokenizer(llguidance.TokenizerWrapper(described), eos_token=ends)


class _Described(SimpleNamespace):
    """What llguidance asks of a tokenizer of a kind that it does not know."""

    def __init__(self, tokenizer: Any, texts: list[str], special: list[int], ends: list[int]) -> None:
        super().__init__(
            eos_token_id=ends[0],
            bos_token_id=tokenizer.bos_token_id,
            tokens=[text.encode() for text in texts],
            special_token_ids=special,
            tokenizer=tokenizer,
        )

    def __call__(self, text: bytes | str) -> list[int]:
        words = text.decode(errors="replace") if isinstance(text, bytes) else text
        ids: list[int] = self.tokenizer.encode(words, add_special_tokens=False)
        return ids


class SchemaConstraint:
    """Holds one answer to a JSON schema, token by token."""

    def __init__(self, tokenizer: Any, schema: Mapping[str, Any]) -> None:
        """Compiles the schema.

        Args:
            tokenizer: The tokenizer, as :func:`guidance_tokenizer` returns it.
            schema: The JSON schema.

        Raises:
            ModelError: llguidance can't follow the schema.
        """
        self._matcher = llguidance.LLMatcher(tokenizer, _grammar(tokenizer, schema))

    def allow(self, scores: torch.Tensor) -> torch.Tensor:
        """Forbids every token after which the text could no longer become JSON that fits the schema.

        Args:
            scores: (V,) the scores of the next token.

        Returns:
            (V,) scores, -inf for forbidden tokens.
        """
        allowed = np.zeros(scores.shape, bool)
        bits = np.unpackbits(np.frombuffer(self._matcher.compute_bitmask(), np.uint8), bitorder="little")
        width = min(len(bits), len(allowed))
        allowed[:width] = bits[:width]
        return scores.masked_fill(torch.from_numpy(~allowed).to(scores.device), float("-inf"))

    def take(self, token: int) -> None:
        """Goes on behind a token.

        Args:
            token: The token that was drawn.
        """
        if not self._matcher.is_stopped():
            self._matcher.consume_token(token)


class JSONSchemaProcessor(LogitsProcessor):
    """Holds the answers of one call of ``generate`` to a JSON schema."""

    def __init__(self, tokenizer: Any, schema: Mapping[str, Any], prompt: int) -> None:
        """Compiles the schema.

        Args:
            tokenizer: The tokenizer, as :func:`guidance_tokenizer` returns it.
            schema: The JSON schema.
            prompt: The number of the prompt's tokens, which stand in front of the answer.

        Raises:
            ModelError: llguidance can't follow the schema.
        """
        self._tokenizer, self._schema, self._prompt = tokenizer, schema, prompt
        self._rows = [SchemaConstraint(tokenizer, schema)]

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Returns the (B, V) scores of the next token, -inf for forbidden ones. Rows keep their order between calls."""
        while len(self._rows) < len(scores):
            self._rows.append(SchemaConstraint(self._tokenizer, self._schema))
        if input_ids.shape[1] > self._prompt:
            for one, token in zip(self._rows, input_ids[:, -1].tolist(), strict=True):
                one.take(token)
        return torch.stack([one.allow(row) for one, row in zip(self._rows, scores, strict=True)])  # type: ignore[return-value]


def _grammar(tokenizer: Any, schema: Mapping[str, Any]) -> str:
    """llguidance's grammar of a schema."""
    # At most one space between tokens of JSON: a small model could write white space for ever.
    layout: Any = {"whitespace_pattern": " "}
    for lenient in ({}, {"lenient": True}):  # keywords that llguidance does not know are then left out
        grammar: str = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema), defaults=layout | lenient)
        problem = llguidance.LLMatcher.validate_grammar(grammar, tokenizer)
        if not problem or problem.startswith("WARNING"):
            return grammar
    raise ModelError(f"schema {json.dumps(schema)[:80]!r} can't constrain decoding: {problem.splitlines()[0]}")
