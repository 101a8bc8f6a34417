"""Instructions that a program can verify, named as in IFEval (Zhou et al., arXiv 2311.07911, table 1).

:data:`CHECKS` holds the instructions that can be verified from the answer alone. The code was written from the paper's
descriptions; none of IFEval's code is used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["CHECKS", "follows"]


def _relation(count: int, relation: str, bound: int) -> bool:
    return count < bound if relation == "less than" else count >= bound


def _is_json(text: str) -> bool:
    try:
        json.loads(re.sub(r"^```(json)?|```$", "", text.strip(), flags=re.I).strip())
    except (ValueError, RecursionError):  # no JSON, a number of too many digits, or nested too deeply
        return False
    return True


def _words(text: str) -> int:
    return len(re.findall(r"\w+", text))


def _blocks(text: str, pattern: str) -> list[str]:
    return [b for b in re.split(pattern, text) if b.strip()]


CHECKS: dict[str, Callable[..., bool]] = {
    "punctuation:no_comma": lambda t, **k: "," not in t,
    "length_constraints:number_words": lambda t, *, relation, num_words, **k: _relation(_words(t), relation, num_words),
    "length_constraints:number_sentences": lambda t, *, relation, num_sentences, **k: _relation(
        len(_blocks(t, r"[.!?]+(?:\s|$)")), relation, num_sentences
    ),
    "length_constraints:number_paragraphs": lambda t, *, num_paragraphs, **k: (
        len(_blocks(t, r"\s?\*\*\*\s?")) == num_paragraphs
    ),
    "detectable_format:number_bullet_lists": lambda t, *, num_bullets, **k: (
        len(re.findall(r"^\s*(?:\*[^*].*|-.*)$", t, flags=re.M)) == num_bullets
    ),
    "detectable_format:number_highlighted_sections": lambda t, *, num_highlights, **k: (
        len(re.findall(r"\*[^\n*]+\*", t)) >= num_highlights
    ),
    "detectable_format:title": lambda t, **k: bool(re.search(r"<<[^\n]*\S[^\n]*>>", t)),
    "detectable_format:json_format": lambda t, **k: _is_json(t),
    "detectable_format:multiple_sections": lambda t, *, section_spliter, num_sections, **k: (
        len(re.findall(rf"\s?{re.escape(section_spliter)}\s?\d+\s?", t)) >= num_sections
    ),
    "detectable_content:number_placeholders": lambda t, *, num_placeholders, **k: (
        len(re.findall(r"\[.*?\]", t)) >= num_placeholders
    ),
    "detectable_content:postscript": lambda t, *, postscript_marker, **k: postscript_marker.lower() in t.lower(),
    "keywords:existence": lambda t, *, keywords, **k: all(re.search(re.escape(w), t, re.I) for w in keywords),
    "keywords:forbidden_words": lambda t, *, forbidden_words, **k: (
        not any(re.search(rf"\b{re.escape(w)}\b", t, re.I) for w in forbidden_words)
    ),
    "keywords:frequency": lambda t, *, keyword, frequency, relation, **k: _relation(
        len(re.findall(re.escape(keyword), t, re.I)), relation, frequency
    ),
    "keywords:letter_frequency": lambda t, *, letter, let_frequency, let_relation, **k: _relation(
        t.lower().count(letter.lower()), let_relation, let_frequency
    ),
    "change_case:english_lowercase": lambda t, **k: t == t.lower() and any(c.isalpha() for c in t),
    "change_case:english_capital": lambda t, **k: t == t.upper() and any(c.isalpha() for c in t),
    "change_case:capital_word_frequency": lambda t, *, capital_frequency, capital_relation, **k: _relation(
        sum(w.isupper() for w in re.findall(r"[\w'-]+", t)), capital_relation, capital_frequency
    ),
    "startend:end_checker": lambda t, *, end_phrase, **k: (
        t.strip().strip('"').lower().endswith(end_phrase.strip().lower())
    ),
    "startend:quotation": lambda t, **k: len(t.strip()) > 1 and t.strip()[0] == t.strip()[-1] == '"',
    "combination:repeat_prompt": lambda t, *, prompt_to_repeat, **k: (
        t.strip().lower().startswith(prompt_to_repeat.strip().lower())
    ),
    "combination:two_responses": lambda t, **k: len({b.strip() for b in _blocks(t, r"\*{6}")}) == 2,
}
"""A check for every supported instruction: ``check(answer, **arguments)``."""


def follows(text: str, name: str, arguments: Mapping[str, Any]) -> bool:
    """Checks an answer against one instruction.

    Args:
        text: The answer. An empty one follows no instruction.
        name: The instruction, a key of :data:`CHECKS`.
        arguments: The instruction's arguments, named as in IFEval. Those that are None are ignored.

    Returns:
        Whether the answer follows the instruction.

    Raises:
        KeyError: The name is not in :data:`CHECKS`.
    """
    return bool(text.strip()) and CHECKS[name](text, **{k: v for k, v in arguments.items() if v is not None})
