"""The 25 kinds of verifiable instructions: right values, by the rules of IFEval's authors.

The values were compared with the authors' code by ``benchmarks/ifeval_rules.py``. Only the letter '#' differs.
"""

import pytest

from homeostat.alignment.conflicts.verifiable import ARGUMENTS, CHECKS, follows, follows_loosely, variants

GERMAN = "Das ist ein kleiner deutscher Satz über das Wetter und die Berge im Süden."
ENGLISH = "This is a short sentence about the weather and the mountains in the south."

CASES = {
    "change_case:capital_word_frequency": [
        ({"capital_relation": "at least", "capital_frequency": 3}, "NASA and the USA say HELLO.", True),
        ({"capital_relation": "at least", "capital_frequency": 3}, "I'M HERE", True),
        ({"capital_relation": "at least", "capital_frequency": 2}, "a STATE-OF-THE-ART tool", False),
        ({"capital_relation": "less than", "capital_frequency": 1}, "No word is Capital", True),
    ],
    "change_case:english_capital": [
        ({}, ENGLISH.upper(), True),
        ({}, ENGLISH, False),
        ({}, GERMAN.upper(), False),
        ({}, "123", False),
    ],
    "change_case:english_lowercase": [
        ({}, ENGLISH.lower(), True),
        ({}, ENGLISH, False),
        ({}, GERMAN.lower(), False),
    ],
    "combination:repeat_prompt": [
        ({"prompt_to_repeat": "Write a song"}, " write A SONG. La la.", True),
        ({"prompt_to_repeat": "Write a song"}, "Sure! Write a song", False),
    ],
    "combination:two_responses": [
        ({}, "one******two", True),
        ({}, "******one******two******", True),
        ({}, "one******one", False),
        ({}, "one************two", False),
        ({}, "one", False),
    ],
    "detectable_content:number_placeholders": [
        ({"num_placeholders": 2}, "[name] and [address]", True),
        ({"num_placeholders": 2}, "[name]", False),
        ({"num_placeholders": 2}, "[na\nme] and [address]", False),
    ],
    "detectable_content:postscript": [
        ({"postscript_marker": "P.S."}, "text\nP.S. more", True),
        ({"postscript_marker": "P.S."}, "text p. s. more", True),
        ({"postscript_marker": "P.S."}, "PS more", False),
        ({"postscript_marker": "P.P.S"}, "P. P. S. more", True),
        ({"postscript_marker": "P.P.S"}, "P.S. more", False),
    ],
    "detectable_format:constrained_response": [
        ({}, "My answer is yes.", True),
        ({}, "Let me see. My answer is maybe. Fine?", True),
        ({}, "my answer is yes.", False),
        ({}, "My answer is yes", False),
    ],
    "detectable_format:json_format": [
        ({}, '```json\n{"a": 1}\n```', True),
        ({}, '```JSON\n{"a": 1}```', True),
        ({}, '"a text"', True),
        ({}, '{"a": 1} done', False),
        ({}, "{a: 1}", False),
    ],
    "detectable_format:multiple_sections": [
        ({"section_spliter": "Section", "num_sections": 2}, "Section 1 a\nSection 2 b", True),
        ({"section_spliter": "Section", "num_sections": 2}, "SECTION 1 a\nSECTION 2 b", False),
        ({"section_spliter": "SECTION ", "num_sections": 1}, "SECTION1", True),
    ],
    "detectable_format:number_bullet_lists": [
        ({"num_bullets": 2}, "* a\n* b", True),
        ({"num_bullets": 2}, "* a\n  - b\n**bold** text", True),
        ({"num_bullets": 2}, "* a\n* b\n---", False),
    ],
    "detectable_format:number_highlighted_sections": [
        ({"num_highlights": 2}, "*a* and *b*", True),
        ({"num_highlights": 2}, "**a** and *b*", True),
        ({"num_highlights": 2}, "**a**", False),
        ({"num_highlights": 2}, "* * and *b*", False),
    ],
    "detectable_format:title": [
        ({}, "<<a title>> text", True),
        ({}, "<<<x>>>", True),
        ({}, "<< >> text", False),
        ({}, "<title>", False),
    ],
    "keywords:existence": [
        ({"keywords": ["sea", "ship"]}, "Seaside worships", True),
        ({"keywords": ["sea", "ship"]}, "the sea", False),
    ],
    "keywords:forbidden_words": [
        ({"forbidden_words": ["cat"]}, "a category", True),
        ({"forbidden_words": ["cat"]}, "a Cat sat", False),
    ],
    "keywords:frequency": [
        ({"keyword": "ab ", "frequency": 2, "relation": "at least"}, "ABab", True),
        ({"keyword": "ab", "frequency": 2, "relation": "at least"}, "ab", False),
        ({"keyword": "ab", "frequency": 2, "relation": "less than"}, "ab", True),
    ],
    "keywords:letter_frequency": [
        ({"letter": "a", "let_frequency": 2, "let_relation": "less than"}, "A b", True),
        ({"letter": "A", "let_frequency": 2, "let_relation": "less than"}, "Aa", False),
        ({"letter": "#", "let_frequency": 2, "let_relation": "at least"}, "# one\n# two", True),
    ],
    "language:response_language": [
        ({"language": "de"}, GERMAN, True),
        ({"language": "de"}, ENGLISH, False),
        ({"language": "hi"}, "123", True),
    ],
    "length_constraints:nth_paragraph_first_word": [
        ({"num_paragraphs": 3, "nth_paragraph": 2, "first_word": "However"}, "One.\n\nhowever, two.\n\nThree.", True),
        ({"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "so"}, "One.\n\n\"So\" it goes.", True),
        ({"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "so"}, "One.\n\nSo", True),
        ({"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "so"}, "One.\n\n\n\nSo it goes.", False),
        ({"num_paragraphs": 3, "nth_paragraph": 2, "first_word": "so"}, "One.\n\nSo it goes.", False),
        ({"num_paragraphs": 2, "nth_paragraph": 3, "first_word": "so"}, "One.\n\nSo it goes.", False),
    ],
    "length_constraints:number_paragraphs": [
        ({"num_paragraphs": 2}, "one\n***\ntwo", True),
        ({"num_paragraphs": 2}, "***\none\n***\ntwo\n***", True),
        ({"num_paragraphs": 2}, "one\n***\n\n***\ntwo", False),
        ({"num_paragraphs": 2}, "one\n\ntwo", False),
    ],
    "length_constraints:number_sentences": [
        ({"relation": "less than", "num_sentences": 3}, "Dr. Lee came at 5.30 p.m. with a friend. She left!", True),
        ({"relation": "at least", "num_sentences": 3}, "It rains. Does it? Yes!", True),
        ({"relation": "at least", "num_sentences": 2}, "one line\nand another", False),
    ],
    "length_constraints:number_words": [
        ({"relation": "less than", "num_words": 3}, "two words", True),
        ({"relation": "less than", "num_words": 3}, "don't stop", False),
        ({"relation": "at least", "num_words": 3}, "well-known word", True),
    ],
    "punctuation:no_comma": [({}, "no commas here", True), ({}, "one, two", False)],
    "startend:end_checker": [
        ({"end_phrase": "Any more? "}, 'Yes. "ANY more?"', True),
        ({"end_phrase": "Any more?"}, "Any more? Yes.", False),
    ],
    "startend:quotation": [({}, ' "quoted" ', True), ({}, '"half', False), ({}, '"', False)],
}  # fmt: skip


def test_all_25_kinds_have_a_check():
    assert len(CHECKS) == 25
    assert set(CASES) == set(CHECKS) == set(ARGUMENTS)
    for name, cases in CASES.items():
        assert {right for _, _, right in cases} == {True, False}, name
        assert all(set(given) == ARGUMENTS[name] for given, _, _ in cases), name


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_right_values(name):
    for given, text, right in CASES[name]:
        assert follows(text, name, given) is right, (given, text)


def test_no_empty_answer_follows_an_instruction():
    for name, cases in CASES.items():
        assert not follows(" \n", name, cases[0][0])


def test_arguments_of_other_instructions_are_ignored():
    given = {"num_words": 3, "relation": "at least", "keywords": None, "end_phrase": "x"}
    assert follows("one two three", "length_constraints:number_words", given)


def test_the_loose_check_leaves_out_lines_and_asterisks():
    assert set(variants("a\n*b*\nc")) == {"a\n*b*\nc", "*b*\nc", "a\n*b*", "*b*", "a\nb\nc", "b\nc", "a\nb", "b"}
    wrapped = 'Here it is:\n{"a": 1}\nAnything else?'
    assert not follows(wrapped, "detectable_format:json_format", {})
    assert follows_loosely(wrapped, "detectable_format:json_format", {})
    assert not follows_loosely("Sure,\nyes, it is,\nfine.", "punctuation:no_comma", {})


def test_keywords_are_texts_and_not_patterns():
    assert not follows("abc", "keywords:existence", {"keywords": ["a.c"]})
    assert follows("A.C", "keywords:existence", {"keywords": ["a.c"]})
    assert follows("((", "keywords:frequency", {"keyword": "(", "frequency": 2, "relation": "at least"})
