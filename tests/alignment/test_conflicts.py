"""Conflicts, their twins, and the diagnosis of a model."""

import json
from itertools import islice

import pytest

from homeostat.alignment.conflicts.chat import CHAT_KINDS, chat_twins, is_french
from homeostat.alignment.conflicts.core import LEVELS
from homeostat.alignment.conflicts.phone import PHONE_KINDS, lot_of, phone_twins
from homeostat.alignment.diagnosis.run import diagnose, generated
from homeostat.alignment.diagnosis.summary import summarise
from homeostat.envs.harness import wilson
from homeostat.errors import UnknownName
from homeostat.nano.style import STYLE
from homeostat.sensors.attempts import Attempt

SPLITS = ("train", "dev", "test")


def texts(case):
    return {part.label: part.text for message in case.prompt.messages for part in message.parts}


@pytest.mark.parametrize("family", ["phone", "chat"])
@pytest.mark.parametrize("split", SPLITS)
def test_chosen_keeps_the_hierarchy_and_rejected_does_not(family, split):
    source = phone_twins(STYLE, split, 5) if family == "phone" else chat_twins(split, 5)
    for both in islice(source, 36):
        for case in (both.conflict, both.aligned):
            assert case.chosen != case.rejected
            assert not case.judge(case.chosen).broken, case.id
            assert case.judge(case.chosen).reached == 1, case.id
        assert both.conflict.judge(both.conflict.rejected).broken, both.conflict.id
        rejected = both.aligned.judge(both.aligned.rejected)
        assert rejected.broken or rejected.reached < 1, both.aligned.id


def test_every_kind_and_level_is_there():
    assert len(PHONE_KINDS) >= 8
    assert len(CHAT_KINDS) >= 8
    assert set(PHONE_KINDS.values()) == set(CHAT_KINDS.values()) == {*LEVELS} - {"leader/peer"}
    made = {both.conflict.kind for both in islice(phone_twins(STYLE, "test", 1), len(PHONE_KINDS))}
    assert made == set(PHONE_KINDS)


def test_the_twins_of_a_rule_differ_in_the_rule_alone():
    for both in islice(phone_twins(STYLE, "train", 2, ["forbidden_app", "secrecy", "role", "format"]), 12):
        one, other = texts(both.conflict), texts(both.aligned)
        assert one.pop("rules") != other.pop("rules")
        assert one == other


def test_splits_share_no_wording_and_no_template():
    seen = {}
    for split in SPLITS:
        cases = [t.conflict for t in islice(phone_twins(STYLE, split, 4), 90)]
        seen[split] = {(c.kind, c.task.split()[0]) for c in cases}
    assert not seen["train"] & seen["test"]
    assert not seen["dev"] & seen["test"]
    for split in SPLITS:
        assert all(lot_of(task, kind) == split for kind, task in seen[split])
    from importlib.resources import files

    import yaml

    told = yaml.safe_load((files("homeostat.alignment.conflicts") / "wordings.yaml").read_text())
    for kind in [*PHONE_KINDS, "peers"]:
        flat = {s: {str(w) for w in told[kind][s]} for s in SPLITS}
        assert not flat["train"] & flat["test"]
        assert not flat["dev"] & flat["test"]
        assert not flat["train"] & flat["dev"]


def test_the_same_seed_gives_the_same_cases():
    one, other = ([t.conflict for t in islice(phone_twins(STYLE, "dev", 9), 8)] for _ in range(2))
    assert [(texts(c), c.chosen) for c in one] == [(texts(c), c.chosen) for c in other]


def test_an_unknown_kind_is_refused():
    with pytest.raises(UnknownName, match="secrecy"):
        next(phone_twins(STYLE, "train", 0, ["secrec"]))
    with pytest.raises(UnknownName):
        next(chat_twins("train", 0, ["shouting"]))


def test_french_is_told_from_english():
    assert is_french("La réponse est dans le livre, avec les autres.")
    assert not is_french("The answer is in the book, with the others.")


class Obedient:
    """Answers every case with what its hierarchy asks for, or with what it forbids; judges with fixed scores."""

    name = "fake"
    capabilities = frozenset()

    def __init__(self, cases, keeps):
        self.answers = {id(c.prompt): c.chosen if keeps(c) else c.rejected for c in cases}
        self.style = STYLE

    def generate(self, prompt, **settings):
        text = self.answers.get(id(prompt))
        if text is None:
            text = json.dumps({d: {"score": 2.5} for d in ("GA", "RC", "KBA", "CC")})
        return [Attempt(text=text)]


def test_a_diagnosis_counts_by_kind_and_level():
    cases = [c for t in islice(chat_twins("test", 0), 24) for c in (t.conflict, t.aligned)]
    model = Obedient(cases, lambda c: c.aligned or c.kind == "format")
    answers, unparsable = diagnose(model, cases, judge=model)
    found = summarise(answers, model="m", suite="chat", split="test", seed=0, unparsable=unparsable)
    cells = {(c.kind, c.level): c for c in found.cells}
    whole = cells["all", "all"]
    assert whole.compliance[0] == pytest.approx(3 / 24)
    share = wilson(3, 24)
    assert whole.compliance[1:] == pytest.approx((share.low, share.high))
    assert whole.aligned_success[0] == 1
    assert cells["format", "system/user"].compliance[0] == 1
    assert cells["format", "system/user"].truth["CC"] == 5
    assert cells["secrecy", "system/user"].truth["CC"] == 1
    assert whole.judged["CRAS"] == pytest.approx(2.5)
    assert unparsable == 0
    assert ("all", "peer/peer") in cells


def test_batched_answers_are_those_given_one_by_one(white):
    from homeostat.agent.models.batching import answer_all

    cases = generated(white, "phone", "test", 3, 6)
    batched = answer_all(white, [c.prompt for c in cases], batch=5)
    assert batched == [white.generate(c.prompt, watch=False)[0].text for c in cases]
