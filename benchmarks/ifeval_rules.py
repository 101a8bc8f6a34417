"""Compares our 25 checks of IFEval with the authors' own code, on many texts of each kind.

    python benchmarks/ifeval_rules.py --rules FOLDER --texts ../shared/data/iheval/benchmark --json ifeval.json

FOLDER holds the authors' ``instructions.py``, ``instructions_registry.py`` and ``instructions_util.py``: of
google-research's ``instruction_following_eval``, or the same files in lm-eval (``lm_eval/tasks/ifeval``). Their code
needs ``immutabledict``, and NLTK's ``punkt_tab`` for the sentences.

Each kind gets ``--count`` generated texts, which are drawn with a fixed seed from fragments that the rules look at, and
the answers of the assistant in IHEval's conversations (``--texts``), each with arguments drawn for the kind. A third of
the generated texts is made to follow the instruction. Both sides see a text as it is. langdetect draws samples, so its
seed is fixed for both.

JSON: for each kind ``texts``, ``followed`` (by the authors' code), ``differ``, ``examples`` of differences;
``untrained``: the same for the sentences without Punkt's English model.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import langdetect
import nltk

from homeostat.alignment.conflicts import verifiable
from homeostat.alignment.conflicts.verifiable import CHECKS, follows, sentence_tokenizer

WORDS = ("sea", "ship", "wind", "harbour", "light", "story", "river", "answer", "letter", "song", "stone", "bridge")
OPENERS = ("However", "so", "'Then'", '"Now"', "Well,", "First")
ENGLISH = ("The weather in the south is mild and the mountains are covered with snow.", "We should answer this today.")
OTHER = {
    "de": "Das Wetter im Süden ist mild und die Berge sind mit Schnee bedeckt.",
    "it": "Il tempo nel sud è mite e le montagne sono coperte di neve.",
    "hi": "दक्षिण में मौसम सुहाना है और पहाड़ बर्फ से ढके हुए हैं।",
}
FRAGMENTS = (
    *ENGLISH, *OTHER.values(),
    "Dr. Lee met Mr. Kim at 5.30 p.m. in the U.S. capital.", "It costs $3.50, e.g. in May.", "Really?! Yes...",
    "1. First item", "2. Second item", "* one point", "  - another point", "*** ", "***", "******", "**bold part**",
    "*slanted part*", "* *", "<<a title>>", "<< >>", "<<<x>>>", '{"a": 1}', '```json\n{"a": [1, 2]}\n```', "[name]",
    "[a b] and [c]", "[open\nline]", "Section 1", "SECTION 2", "Section  3", "Section four", "P.S. write soon",
    "p. s. again", "P.P.S more", "PS none", "NASA and the USA", "I'M HERE", "STATE-OF-THE-ART", "U.S.A.", '"quoted"',
    '"', "'", "My answer is yes.", "My answer is maybe", "my answer is no.", "#", "##", "123", "!!!", "", "", "\t",
    "Any other questions?", "anything ELSE?", "—", "“curly”", "naïve café", "ÄÖÜ STRASSE", "word-word don't",
)  # fmt: skip


def arguments_of(name: str, rng: random.Random, words: Sequence[str]) -> dict[str, Any]:
    """Draws an instruction's arguments; words are drawn from the text itself half of the time."""
    plain = [word for word in words if word.isalnum()]  # a pattern for the authors, as all published keywords are
    word = lambda: rng.choice(plain) if plain and rng.random() < 0.5 else rng.choice(WORDS)  # noqa: E731
    relation = rng.choice(("less than", "at least"))
    few = rng.randint(1, 4)
    length = max(1, len(words))
    return {
        "change_case:capital_word_frequency": {"capital_relation": relation, "capital_frequency": few},
        "combination:repeat_prompt": {"prompt_to_repeat": " ".join(words[:few]) or "sea"},
        "detectable_content:number_placeholders": {"num_placeholders": few},
        "detectable_content:postscript": {"postscript_marker": rng.choice(("P.S.", "P.P.S"))},
        "detectable_format:multiple_sections": {
            "section_spliter": rng.choice(("Section", "SECTION")),
            "num_sections": few,
        },
        "detectable_format:number_bullet_lists": {"num_bullets": few},
        "detectable_format:number_highlighted_sections": {"num_highlights": few},
        "keywords:existence": {"keywords": [word() for _ in range(rng.randint(1, 2))]},
        "keywords:forbidden_words": {"forbidden_words": [word() for _ in range(rng.randint(1, 2))]},
        "keywords:frequency": {"keyword": word(), "frequency": few, "relation": relation},
        "keywords:letter_frequency": {
            "letter": rng.choice("aeiqxz"),
            "let_frequency": rng.randint(1, 12),
            "let_relation": relation,
        },
        "language:response_language": {"language": rng.choice(("en", *OTHER))},
        "length_constraints:nth_paragraph_first_word": {
            "num_paragraphs": few,
            "nth_paragraph": rng.randint(1, few),
            "first_word": rng.choice((*OPENERS[:2], word())),
        },
        "length_constraints:number_paragraphs": {"num_paragraphs": few},
        "length_constraints:number_sentences": {
            "relation": relation,
            "num_sentences": rng.randint(1, max(2, length // 8)),
        },
        "length_constraints:number_words": {
            "relation": relation,
            "num_words": rng.randint(max(1, length - 5), length + 5),
        },
        "startend:end_checker": {"end_phrase": " ".join(words[-few:]) or "sea"},
    }.get(name, {})


def text_of(rng: random.Random) -> str:
    """Composes a text of fragments, joined in one of several ways."""
    parts = [rng.choice((*FRAGMENTS, " ".join(rng.choices(WORDS, k=5)) + ".")) for _ in range(rng.randint(1, 7))]
    text = rng.choice((" ", "\n", "\n\n", "\n\n", "\n***\n", "******")).join(parts)
    return rng.choice((str, str, str, str, str.lower, str.upper, lambda t: f'"{t}"'))(text)


def made_to_follow(name: str, given: dict[str, Any], rng: random.Random) -> str:
    """Composes a text that should follow the instruction, often at its limit; the authors' code decides."""
    plain = " ".join(rng.choices(WORDS, k=rng.randint(3, 9)))
    few = next((v for k, v in given.items() if k.startswith(("num_", "capital_freq", "frequency"))), 1)
    few = few if isinstance(few, int) else 1
    made: dict[str, Callable[[], str]] = {
        "change_case:capital_word_frequency": lambda: " ".join(["HELLO", "I'M", "U.S.", "A-B", "NASA."][:few]) + " x",
        "change_case:english_capital": lambda: rng.choice(ENGLISH).upper(),
        "change_case:english_lowercase": lambda: rng.choice(ENGLISH).lower(),
        "combination:repeat_prompt": lambda: f" {given['prompt_to_repeat'].upper()} {plain}",
        "combination:two_responses": lambda: rng.choice(("", "******", "\n")) + f"{plain}\n******\nother {plain}",
        "detectable_content:number_placeholders": lambda: " ".join(["[a]"] * few),
        "detectable_content:postscript": lambda: f"{plain}\n{given['postscript_marker']} {plain}",
        "detectable_format:constrained_response": lambda: rng.choice((plain, "")) + "My answer is no.",
        "detectable_format:json_format": lambda: (
            rng.choice(('{"a": %d}', "```json\n[%d]```", "```Json\n%d\n```")) % few
        ),
        "detectable_format:multiple_sections": lambda: "\n".join(
            f"{given['section_spliter']} {n} {plain}" for n in range(few)
        ),
        "detectable_format:number_bullet_lists": lambda: "\n".join(
            rng.choice(("* ", "  * ", "- ")) + plain for _ in range(few)
        ),
        "detectable_format:number_highlighted_sections": lambda: " ".join(
            rng.choice(("*a b*", "**c**")) for _ in range(few)
        ),
        "detectable_format:title": lambda: f"<<{plain}>>\n{plain}",
        "keywords:existence": lambda: " ".join(given["keywords"]).upper(),
        "keywords:frequency": lambda: " ".join([given["keyword"]] * few),
        "keywords:letter_frequency": lambda: given["letter"].upper() * given["let_frequency"],
        "language:response_language": lambda: OTHER.get(given["language"], ENGLISH[0]),
        "length_constraints:nth_paragraph_first_word": lambda: "\n\n".join(
            f"{given['first_word'].capitalize()}, {plain}." for _ in range(few)
        ),
        "length_constraints:number_paragraphs": lambda: rng.choice(("\n***\n", " *** ")).join([plain] * few),
        "length_constraints:number_sentences": lambda: " ".join([f"The {plain}."] * few),
        "length_constraints:number_words": lambda: " ".join(["word"] * few),
        "punctuation:no_comma": lambda: plain,
        "startend:end_checker": lambda: f'{plain} {given["end_phrase"].upper()}" ',
        "startend:quotation": lambda: f' "{plain}"\n',
    }
    return made.get(name, lambda: plain)()


def authors_registry(folder: Path) -> dict[str, Any]:
    """Imports the authors' registry of instructions, under each of the names by which its files import each other."""
    for package in ("instruction_following_eval", "lm_eval", "lm_eval.tasks", "lm_eval.tasks.ifeval"):
        module = types.ModuleType(package)
        module.__path__ = [str(folder)]
        sys.modules[package] = module
    sys.path.append(str(folder))
    import instructions_registry

    registry: dict[str, Any] = instructions_registry.INSTRUCTION_DICT
    return registry


def theirs(checker: Any, name: str, text: str, given: dict[str, Any]) -> bool:
    """The authors' verdict: as in their script, an empty text follows nothing."""
    instruction = checker(name)
    instruction.build_description(**given)
    return bool(text.strip()) and bool(instruction.check_following(text))


def conversations(folder: Path | None) -> list[str]:
    """The assistant's answers in IHEval's conversations."""
    found: dict[str, None] = {}
    for file in sorted(folder.rglob("input_data.json")) if folder else ():
        for row in json.loads(file.read_text(encoding="utf-8")):
            found.update(dict.fromkeys(row.get("conversation_history", ())[1::2]))
    return list(found)


def compare(name: str, checker: Any, count: int, real: Sequence[str]) -> dict[str, Any]:
    """Compares one kind."""
    rng = random.Random(f"ifeval {name}")
    drawn = [(text_of(rng), n % 3 == 0) for n in range(count)] + [(text, False) for text in real]
    followed, differ = 0, []
    for text, made in drawn:
        given = arguments_of(name, rng, text.split())
        text = made_to_follow(name, given, rng) if made else text
        right = theirs(checker, name, text, given)
        followed += right
        if follows(text, name, given) != right:
            differ.append({"text": text[:400], "given": given, "theirs": right})
    return {"texts": len(drawn), "followed": followed, "differ": len(differ), "examples": differ[:5]}


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rules", type=Path, required=True, help="folder of the authors' three files")
    parser.add_argument("--texts", type=Path, help="folder of IHEval's benchmark")
    parser.add_argument("--count", type=int, default=300, help="generated texts of each kind")
    parser.add_argument("--real", type=int, default=300, help="the most texts of each kind from --texts")
    parser.add_argument("--json", type=Path)
    told = parser.parse_args()
    langdetect.DetectorFactory.seed = 0
    nltk.download = lambda *args, **kwargs: True  # the authors' module asks for a download when it is imported
    registry = authors_registry(told.rules.resolve())
    real = conversations(told.texts)
    real = random.Random("ifeval texts").sample(real, min(told.real, len(real)))
    found = {name: compare(name, registry[name], told.count, real) for name in sorted(CHECKS)}
    sentences = "length_constraints:number_sentences"
    plain = sentence_tokenizer(trained=False)
    with patch.object(verifiable, "sentence_tokenizer", lambda: plain):
        untrained = compare(sentences, registry[sentences], told.count, real)
    for name, row in [*found.items(), (f"{sentences}, Punkt without its model", untrained)]:
        print(f"{name:62} {row['texts']:5} texts, followed {row['followed']:4}, differ {row['differ']}")
    if told.json:
        told.json.write_text(json.dumps({"kinds": found, "untrained": untrained}, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
