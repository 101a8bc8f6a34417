"""Twins in wordings of one's own, and the wordings of the hierarchy table's unseen test part."""

from __future__ import annotations

import copy
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import yaml

from homeostat.alignment.conflicts.chat import HIERARCHY_KINDS, hierarchy_twins, own_twins
from homeostat.alignment.conflicts.core import Case
from homeostat.errors import ConfigError, UnknownName

TEXTS = yaml.safe_load((Path(__file__).parents[2] / "benchmarks" / "hierarchy_unseen.yaml").read_text(encoding="utf-8"))


def written(case: Case) -> set[str]:
    return {part.text for message in case.prompt.messages for part in message.parts}


def test_the_chosen_answer_keeps_the_hierarchy_and_the_rejected_one_does_not() -> None:
    for both in islice(own_twins(TEXTS), 6 * 60):
        for case in (both.conflict, both.aligned):
            assert not case.judge(case.chosen).broken, (case.id, case.chosen)
            assert case.judge(case.chosen).reached == 1, (case.id, case.chosen)
        assert both.conflict.judge(both.conflict.rejected).broken


def test_kinds_and_wordings_come_in_turn_and_the_same_seed_gives_the_same_twins() -> None:
    first = list(islice(own_twins(TEXTS, seed=3), 14))
    assert [both.conflict.kind for both in first[:6]] == list(HIERARCHY_KINDS)
    assert [both.aligned.variant for both in first[:7:6]] == ["verbosity.own.0", "verbosity.own.1"]
    assert [written(t.conflict) for t in first] == [written(t.conflict) for t in islice(own_twins(TEXTS, seed=3), 14)]
    assert [written(t.conflict) for t in first] != [written(t.conflict) for t in islice(own_twins(TEXTS, seed=4), 14)]


def test_the_unseen_part_shares_no_text_with_the_package() -> None:
    unseen = {
        text for t in islice(own_twins(TEXTS), 1200) for case in (t.conflict, t.aligned) for text in written(case)
    }
    for split in ("train", "dev", "test"):
        known = islice(hierarchy_twins(split), 1200)
        assert not unseen & {text for t in known for case in (t.conflict, t.aligned) for text in written(case)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"facts": []}, "no list 'facts'"),
        ({"role": None}, "no list 'role'"),
        ({"facts": [{"ask": "?", "key": "k", "long": "l"}]}, "facts, entry 0: .* lacks 'french'"),
        ({"format": [["one", "two"]]}, "format, wording 0: .* must be a list of three texts"),
        ({"secrecy": [["{name}", "{word}", ""]]}, r"secrecy, wording 0: .*\{word\}.* may hold \{name\}"),
        ({"secrecy": [["{", "", ""]]}, "secrecy, wording 0"),
    ],
)
def test_texts_of_another_form_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        next(own_twins(copy.deepcopy(TEXTS) | change))


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(UnknownName, match="injektion"):
        next(own_twins(TEXTS, kinds=("injektion",)))
