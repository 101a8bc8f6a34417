"""Preference files of other origin: TRL's implicit prompts, and JSON in place of JSON lines."""

import json

import pytest

from homeostat.alignment.preference.pairs import read_pairs, write_pairs
from homeostat.errors import ConfigError


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


SYSTEM = {"role": "system", "content": "Be brief."}


def read(tmp_path, *rows, suffix=".jsonl"):
    file = tmp_path / f"pairs{suffix}"
    lines = "\n".join(json.dumps(row) for row in rows)
    file.write_text(json.dumps(rows, indent=1) if suffix == ".json" else lines)
    return read_pairs(file)


def shape(pair):
    texts = [(m.role, "".join(p.text for p in m.parts)) for m in pair.prompt.messages]
    return texts, pair.chosen, pair.rejected


TURNS = [SYSTEM, user("hi"), assistant("hello"), user("which colour?")]
SPLIT = ([("system", "Be brief."), ("user", "hi"), ("assistant", "hello"), ("user", "which colour?")], "blue", "green")


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
@pytest.mark.parametrize("prompt", [{}, {"prompt": None}, {"prompt": "which colour?"}, {"prompt": TURNS}])
def test_full_conversations_hold_the_prompt(prompt, suffix, tmp_path):
    row = prompt | {"chosen": [*TURNS, assistant("blue")], "rejected": [*TURNS, assistant("green")]}
    (pair,) = read(tmp_path, row, suffix=suffix)
    assert shape(pair) == SPLIT


def test_answers_beside_an_explicit_prompt_stay_whole(tmp_path):
    listed = {"prompt": TURNS, "chosen": [assistant("blue")], "rejected": [assistant("green")]}
    text = {"prompt": "which colour?", "chosen": [assistant("blue")], "rejected": [assistant("green")]}
    strings = {"prompt": "which colour?", "chosen": "The sky is blue", "rejected": "The sky is green"}
    pairs = read(tmp_path, listed, text, strings)
    assert shape(pairs[0]) == SPLIT
    assert shape(pairs[1]) == ([("user", "which colour?")], "blue", "green")
    assert shape(pairs[2]) == ([("user", "which colour?")], "The sky is blue", "The sky is green")


def test_two_texts_share_their_beginning(tmp_path):
    (pair,) = read(tmp_path, {"chosen": "The sky is blue.", "rejected": "The sky is green."})
    assert shape(pair) == ([("user", "The sky is")], " blue.", " green.")


def test_the_split_is_that_of_trl(tmp_path):
    extract = pytest.importorskip("trl").extract_prompt
    rows = [
        {"chosen": [user("a"), assistant("b")], "rejected": [user("a"), assistant("c")]},
        {"chosen": [*TURNS, assistant("blue")], "rejected": [*TURNS, assistant("green")]},
        {"chosen": "It is very warm", "rejected": "It is cold"},
    ]
    for row, pair in zip(rows, read(tmp_path, *rows), strict=True):
        theirs = extract(row)
        told = theirs["prompt"]
        texts, chosen, rejected = shape(pair)
        assert texts == [("user", told)] if isinstance(told, str) else [(m["role"], m["content"]) for m in told]
        answers = [
            side if isinstance(side, str) else side[0]["content"] for side in (theirs["chosen"], theirs["rejected"])
        ]
        assert [chosen, rejected] == answers


def test_a_saved_dataset_may_have_implicit_prompts(tmp_path):
    datasets = pytest.importorskip("datasets")
    row = {"chosen": [*TURNS, assistant("blue")], "rejected": [*TURNS, assistant("green")]}
    datasets.Dataset.from_list([row]).save_to_disk(str(tmp_path / "theirs"))
    (pair,) = read_pairs(tmp_path / "theirs")
    assert shape(pair) == SPLIT
    write_pairs([pair], tmp_path / "ours")
    assert shape(read_pairs(tmp_path / "ours")[0]) == SPLIT


A, B, C = user("a"), assistant("b"), assistant("c")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"chosen": [A, B], "rejected": [A, B]}, "equals chosen"),
        ({"chosen": [A, B], "rejected": [user("c"), C]}, "'chosen'.*in its last message alone"),
        ({"chosen": [A, user("b")], "rejected": [A, user("c")]}, "field 'chosen'"),
        ({"chosen": "blue", "rejected": "green"}, "field 'prompt'"),
        ({"prompt": [user("x")], "chosen": [A, B], "rejected": [A, C]}, "field 'chosen'"),
    ],
)
def test_rows_without_a_prompt_are_named(row, message, tmp_path):
    with pytest.raises(ConfigError, match=f"row 1, .*{message}"):
        read(tmp_path, row)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "row 1 is a int"),
        ("[{]", "not valid JSON"),
        (json.dumps({"chosen": [A, B], "rejected": [A, C]}) + "\n{", "row 2 is not valid JSON"),
        ("[]", "no rows"),
    ],
)
def test_files_that_are_no_rows_are_refused(text, message, tmp_path):
    (tmp_path / "pairs.json").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_pairs(tmp_path / "pairs.json")
