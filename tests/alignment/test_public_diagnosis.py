"""The diagnosis on public sets: the authors' metrics, the three settings, and rules that a judge checks."""

import json
from dataclasses import replace
from functools import partial

import pytest

from homeostat.alignment.conflicts.core import Case
from homeostat.alignment.diagnosis.run import diagnose
from homeostat.alignment.diagnosis.summary import summarise
from homeostat.alignment.diagnosis.verdicts import parse_verdict
from homeostat.envs.harness import wilson
from homeostat.errors import ConfigError
from homeostat.nano.style import STYLE
from homeostat.sensors.attempts import Attempt
from homeostat.sensors.chat.messages import Message, Part, Prompt
from homeostat.sensors.context import Truth


class Says:
    """Answers a prompt by its last text; keeps the prompts that it was asked."""

    name = "fake"
    capabilities = frozenset()
    style = STYLE

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def generate(self, prompt, **settings):
        self.asked.append(prompt)
        return [Attempt(text=self.answer(prompt.messages[-1].parts[-1].text))]


def judged(text, bad):
    return Truth(reached=float(text != bad), broken=("rule",) if text == bad else ())


def points(text):
    return {"part": (float(len(text)), 4.0), "whole": (float(len(text) == 4), 1.0)}


def case(name, text, *, aligned=False, reference=False, **fields):
    prompt = Prompt((Message("system", (Part("system", "Be kind."),)), Message("user", (Part("user", text),))))
    rules = {"judge": partial(judged, bad="bad"), "reference": reference} | fields
    return Case(name, "k", "system/user", aligned, prompt, **rules)


def test_metrics_are_summed_by_setting():
    cases = [
        case("1", "abcd", measures=points),
        case("2", "ab", measures=points),
        case("3", "bad", aligned=True, measures=points),
        case("4", "bad", aligned=True, reference=True),
        case("5", "abcd", aligned=True, reference=True),
    ]
    answers, _ = diagnose(Says(str), cases)
    found = summarise(answers, model="m", suite="s", split="public", seed=0)
    cell = found.cells[0]
    assert cell.measures == {"conflict": {"part": 6 / 8, "whole": 0.5}, "aligned": {"part": 0.75, "whole": 0.0}}
    assert (cell.conflicts, cell.twins, cell.references) == (2, 1, 2)
    assert (cell.compliance[0], cell.aligned_success[0]) == (1.0, 0.0)
    share = wilson(1, 2)
    assert cell.reference_success == pytest.approx((share.mean, share.low, share.high))
    assert type(found).model_validate_json(found.model_dump_json()) == found


def test_a_judge_checks_the_rules_that_no_program_can():
    rules = ("Is kind", "Is brief")
    cases = [case(str(n), text, rules=rules) for n, text in enumerate(("good", "rude", "odd", "bad"))]
    judge = Says(
        lambda text: "?" if "\nodd" in text else json.dumps({"reasoning": "so", "keeps_rules": "\nrude" not in text})
    )
    answers, unparsable = diagnose(Says(str), cases, judge=judge)
    assert [a.kept for a in answers] == [True, False, False, False]
    assert [a.right for a in answers] == [True, False, False, False]
    assert answers[3].text == "bad"  # the judge accepts it, but a program finds what is banned
    assert unparsable == 1
    question = judge.asked[0].messages[-1].parts[0].text
    assert all(part in question for part in ("1. Is kind", "2. Is brief", "Be kind.", "[assistant, last answer]\ngood"))
    found = summarise(answers, model="m", suite="s", split="public", seed=0, unparsable=unparsable)
    assert found.cells[0].measures == {"conflict": {"accuracy": 0.25}}
    with pytest.raises(ConfigError, match="name one with --judge"):
        diagnose(Says(str), cases)


def test_verdicts_are_never_guessed():
    assert parse_verdict('I think so. {"reasoning": "…", "keeps_rules": true}') is True
    assert parse_verdict('{"keeps_rules": false}') is False
    assert parse_verdict('{"keeps_rules": "true"}') is None
    assert parse_verdict("yes") is None


def test_a_template_without_tools_is_no_obstacle(text_folder):
    from homeostat.agent.models.transformers_model import TransformersModel
    from homeostat.errors import ModelError

    model = TransformersModel.load(str(text_folder), "cpu", "float32", reuse=False)
    tool = {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}}
    plain = case("1", "look")
    told = replace(plain, prompt=replace(plain.prompt, tools=(tool,)))
    with pytest.raises(ModelError, match="leaves out the tools"):
        model.renderer.render(told.prompt)
    texts = [diagnose(model, [one], max_new_tokens=4)[0][0].text for one in (plain, told)]
    assert texts[0] == texts[1]
