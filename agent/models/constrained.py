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

__all__ = ["JSONSchemaProcessor", "guidance_tokenizer"]


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


class JSONSchemaProcessor(LogitsProcessor):
    """Forbids every token after which the text could no longer become JSON that fits a schema.

    One object serves one call of ``generate``.
    """

    def __init__(self, tokenizer: Any, schema: Mapping[str, Any], prompt: int) -> None:
        """Compiles the schema.

        Args:
            tokenizer: The tokenizer, as :func:`guidance_tokenizer` returns it.
            schema: The JSON schema.
            prompt: The number of the prompt's tokens, which stand in front of the answer.

        Raises:
            ModelError: llguidance can't follow the schema.
        """
        # At most one space between tokens of JSON: a small model could write white space for ever.
        layout: Any = {"whitespace_pattern": " "}
        for lenient in ({}, {"lenient": True}):  # keywords that llguidance does not know are then left out
            grammar = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema), defaults=layout | lenient)
            problem = llguidance.LLMatcher.validate_grammar(grammar, tokenizer)
            if not problem or problem.startswith("WARNING"):
                break
        else:
            raise ModelError(f"schema {json.dumps(schema)[:80]!r} can't constrain decoding: {problem.splitlines()[0]}")
        self._tokenizer, self._grammar, self._prompt = tokenizer, grammar, prompt
        self._matchers: list[Any] = []

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Returns the (B, V) scores of the next token, -inf for forbidden ones. Rows keep their order between calls."""
        if not self._matchers:
            self._matchers = [llguidance.LLMatcher(self._tokenizer, self._grammar) for _ in range(len(input_ids))]
        allowed = np.zeros(scores.shape, bool)
        for row, matcher in enumerate(self._matchers):
            if input_ids.shape[1] > self._prompt and not matcher.is_stopped():
                matcher.consume_token(int(input_ids[row, -1]))
            bits = np.unpackbits(np.frombuffer(matcher.compute_bitmask(), np.uint8), bitorder="little")
            width = min(len(bits), scores.shape[1])
            allowed[row, :width] = bits[:width]
        return scores.masked_fill(torch.from_numpy(~allowed).to(scores.device), float("-inf"))  # type: ignore[return-value]
