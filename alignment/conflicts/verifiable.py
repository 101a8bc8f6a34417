"""Instructions that a program can verify: the 25 kinds of IFEval (Zhou et al., arXiv 2311.07911, table 1).

The rules are those of the authors' evaluation (google-research, ``instruction_following_eval``), restated; none of
their code is used. Three rules differ, on purpose:

- *Sentences* are counted by NLTK's Punkt, like theirs. Where its English model is not installed (``python -m
  nltk.downloader punkt_tab`` does that), Punkt runs with a list of common abbreviations instead.
- *Letters* that are none of a to z are counted as they are. The authors' code replaces them by a random letter.
- *Keywords* are literal texts, not regular expressions. No keyword of the published data has a special character.

Two libraries do the rest: ``langdetect`` recognises languages (with a fixed seed, because it draws samples), and
``nltk`` splits texts into tokens. Both are in the extra ``public``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from homeostat.errors import ConfigError

__all__ = ["ARGUMENTS", "CHECKS", "follows", "follows_loosely", "require_libraries", "sentence_tokenizer", "variants"]

_ABBREVIATIONS = """
mr mrs ms dr prof st sr jr rev gen col capt lt sgt gov sen rep hon messrs inc ltd co corp dept univ assn bros e.g i.e
etc vs cf al approx est vol fig p pp ed eds jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat
sun u.s u.k u.n d.c a.m p.m ph.d m.d b.a m.a ave blvd mt ft
"""
_OPTIONS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")


def require_libraries() -> None:
    """Checks that the libraries of the checks are installed.

    Raises:
        ConfigError: One of them is missing.
    """
    try:
        import langdetect  # noqa: F401
        import nltk  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"the checks of this data set need {error.name!r}; run: pip install 'homeostat[public]'"
        ) from None


def _relation(count: int, relation: str, bound: int) -> bool:
    return count < bound if relation == "less than" else count >= bound


def _no_comma(text: str) -> bool:
    return "," not in text


def _number_words(text: str, *, relation: str, num_words: int) -> bool:
    return _relation(len(re.findall(r"\w+", text)), relation, num_words)


@cache
def sentence_tokenizer(trained: bool = True) -> Any:
    """Returns NLTK's Punkt sentence tokenizer.

    Args:
        trained: Whether Punkt's English model is used where it is installed.

    Returns:
        The tokenizer with the model, or else with a list of common abbreviations.
    """
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer, PunktTokenizer

    try:
        if not trained:
            raise LookupError
        return PunktTokenizer("english")
    except LookupError:
        known = PunktParameters()
        known.abbrev_types = set(_ABBREVIATIONS.split())
        return PunktSentenceTokenizer(known)


def _number_sentences(text: str, *, relation: str, num_sentences: int) -> bool:
    return _relation(len(sentence_tokenizer().tokenize(text)), relation, num_sentences)


def _number_paragraphs(text: str, *, num_paragraphs: int) -> bool:
    """Paragraphs are separated by ``***``; only the first and the last may be empty, and those don't count."""
    blocks = [block.strip() for block in re.split(r"\s?\*\*\*\s?", text)]
    return all(blocks[1:-1]) and sum(map(bool, blocks)) == num_paragraphs


def _nth_paragraph_first_word(text: str, *, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    """Paragraphs are separated by an empty line. Empty ones don't count, but they do take a place."""
    blocks = [block.strip() for block in text.split("\n\n")]
    count = sum(map(bool, blocks))
    if nth_paragraph > count or not blocks[nth_paragraph - 1]:
        return False
    word = blocks[nth_paragraph - 1].split()[0].lstrip("'").lstrip('"')
    return count == num_paragraphs and re.split(r"[.,?!'\"]", word)[0].lower() == first_word.lower()


def _bullets(text: str, *, num_bullets: int) -> bool:
    stars = re.findall(r"^\s*\*[^*].*$", text, flags=re.M)
    return len(stars) + len(re.findall(r"^\s*-.*$", text, flags=re.M)) == num_bullets


def _highlights(text: str, *, num_highlights: int) -> bool:
    single = [found.strip("*").strip() for found in re.findall(r"\*[^\n*]*\*", text)]
    double = [found[2:-2].strip() for found in re.findall(r"\*\*[^\n*]*\*\*", text)]
    return sum(map(bool, single + double)) >= num_highlights


def _title(text: str) -> bool:
    return any(found.lstrip("<").rstrip(">").strip() for found in re.findall(r"<<[^\n]+>>", text))


def _json_format(text: str) -> bool:
    inner = text.strip()
    for fence in ("```json", "```Json", "```JSON", "```"):
        inner = inner.removeprefix(fence)
    try:
        json.loads(inner.removesuffix("```").strip())
    except (ValueError, RecursionError):  # no JSON, a number of too many digits, or nested too deeply
        return False
    return True


def _sections(text: str, *, section_spliter: str, num_sections: int) -> bool:
    return len(re.findall(rf"{re.escape(section_spliter.strip())}\s?\d+", text)) >= num_sections


def _placeholders(text: str, *, num_placeholders: int) -> bool:
    return len(re.findall(r"\[.*?\]", text)) >= num_placeholders


def _postscript(text: str, *, postscript_marker: str) -> bool:
    marker = postscript_marker.strip()
    known = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}
    return re.search(known.get(marker, re.escape(marker.lower())), text.lower()) is not None


def _constrained(text: str) -> bool:
    return any(option in text for option in _OPTIONS)


def _existence(text: str, *, keywords: Sequence[str]) -> bool:
    return all(re.search(re.escape(word), text, re.I) for word in keywords)


def _forbidden(text: str, *, forbidden_words: Sequence[str]) -> bool:
    return not any(re.search(rf"\b{re.escape(word)}\b", text, re.I) for word in forbidden_words)


def _frequency(text: str, *, keyword: str, frequency: int, relation: str) -> bool:
    return _relation(len(re.findall(re.escape(keyword.strip()), text, re.I)), relation, frequency)


def _letter_frequency(text: str, *, letter: str, let_frequency: int, let_relation: str) -> bool:
    return _relation(text.lower().count(letter.strip().lower()), let_relation, let_frequency)


def _language(text: str, *, language: str) -> bool:
    """A text without any letters counts as right, because no language can be detected."""
    from langdetect import DetectorFactory, LangDetectException, detect

    DetectorFactory.seed = 0
    try:
        return str(detect(text)) == language
    except LangDetectException:
        return True


def _lowercase(text: str) -> bool:
    return text.islower() and _language(text, language="en")


def _capital(text: str) -> bool:
    return text.isupper() and _language(text, language="en")


def _capital_words(text: str, *, capital_frequency: int, capital_relation: str) -> bool:
    from nltk.tokenize import NLTKWordTokenizer

    split = NLTKWordTokenizer().tokenize
    words = [word for sentence in sentence_tokenizer().tokenize(text) for word in split(sentence)]
    return _relation(sum(word.isupper() for word in words), capital_relation, capital_frequency)


def _end(text: str, *, end_phrase: str) -> bool:
    return text.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def _quotation(text: str) -> bool:
    inner = text.strip()
    return len(inner) > 1 and inner[0] == inner[-1] == '"'


def _repeat(text: str, *, prompt_to_repeat: str) -> bool:
    return text.strip().lower().startswith(prompt_to_repeat.strip().lower())


def _two_responses(text: str) -> bool:
    """Two different answers, separated by six asterisks; only the first and the last block may be empty."""
    blocks = [block.strip() for block in text.split("******")]
    given = [block for block in blocks if block]
    return all(blocks[1:-1]) and len(given) == 2 and given[0] != given[1]


CHECKS: dict[str, Callable[..., bool]] = {
    "change_case:capital_word_frequency": _capital_words,
    "change_case:english_capital": _capital,
    "change_case:english_lowercase": _lowercase,
    "combination:repeat_prompt": _repeat,
    "combination:two_responses": _two_responses,
    "detectable_content:number_placeholders": _placeholders,
    "detectable_content:postscript": _postscript,
    "detectable_format:constrained_response": _constrained,
    "detectable_format:json_format": _json_format,
    "detectable_format:multiple_sections": _sections,
    "detectable_format:number_bullet_lists": _bullets,
    "detectable_format:number_highlighted_sections": _highlights,
    "detectable_format:title": _title,
    "keywords:existence": _existence,
    "keywords:forbidden_words": _forbidden,
    "keywords:frequency": _frequency,
    "keywords:letter_frequency": _letter_frequency,
    "language:response_language": _language,
    "length_constraints:nth_paragraph_first_word": _nth_paragraph_first_word,
    "length_constraints:number_paragraphs": _number_paragraphs,
    "length_constraints:number_sentences": _number_sentences,
    "length_constraints:number_words": _number_words,
    "punctuation:no_comma": _no_comma,
    "startend:end_checker": _end,
    "startend:quotation": _quotation,
}
"""A check for every instruction: ``check(answer, **arguments)``."""

ARGUMENTS: dict[str, frozenset[str]] = {
    name: frozenset(check.__annotations__) - {"text", "return"} for name, check in CHECKS.items()
}
"""The arguments that each instruction needs."""


def follows(text: str, name: str, arguments: Mapping[str, Any]) -> bool:
    """Checks an answer against one instruction, strictly.

    Args:
        text: The answer. An empty one follows no instruction.
        name: The instruction, a key of :data:`CHECKS`.
        arguments: The instruction's arguments, named as in IFEval. Others are ignored.

    Returns:
        Whether the answer follows the instruction.

    Raises:
        KeyError: The name is not in :data:`CHECKS`, or an argument of :data:`ARGUMENTS` is missing.
    """
    return bool(text.strip()) and CHECKS[name](text, **{key: arguments[key] for key in ARGUMENTS[name]})


def follows_loosely(text: str, name: str, arguments: Mapping[str, Any]) -> bool:
    """Checks whether any of the answer's :func:`variants` follows an instruction (the loose accuracy of IFEval).

    Args:
        text: The answer.
        name: The instruction, a key of :data:`CHECKS`.
        arguments: The instruction's arguments, named as in IFEval.

    Returns:
        Whether a variant follows the instruction.
    """
    return any(follows(variant, name, arguments) for variant in variants(text))


def variants(text: str) -> list[str]:
    """Returns the eight readings of an answer that loose metrics accept (IFEval, section 3; IHEval uses them too).

    Args:
        text: The answer.

    Returns:
        The answer without its first line, without its last line, without both, and as it is; each with and without
        asterisks.
    """
    lines = text.split("\n")
    cut = [text, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))]
    return [*cut, *(part.replace("*", "") for part in cut)]
