"""Rules that a model reads: the schema, the parser, and what the guard makes of them."""

import itertools
import json
from typing import Any, get_args

import pytest

from homeostat import actions as a
from homeostat.controllers import (
    Cascade,
    ControlContext,
    Guard,
    ModelRule,
    StopOn,
    controllers_for,
    parse_model_rule,
    read_rules,
    rule_schema,
)
from homeostat.controllers.rule_words import Act
from homeostat.observation import Element

jsonschema = pytest.importorskip("jsonschema", reason="no jsonschema")
DELETE = Element(role="button", text="Delete", box=(0.0, 0.0, 0.5, 0.5))
SEND = Element(role="button", text="Send", box=(0.5, 0.0, 1.0, 0.5))
NOTES = Element(role="icon", text="notes", box=(0.0, 0.5, 0.5, 1.0))
POINTS = {"remove": (0.2, 0.2), "send": (0.7, 0.2), "notes": (0.2, 0.7)}
RULE = "all my entries have to survive this, but not the old mails"


def refused(guard: Guard, rules: tuple[str, ...], found: tuple[ModelRule, ...], app: str = "home") -> set[str]:
    """What a guard refuses of a tap on Delete, on Send, and on the notes app."""
    context = ControlContext(
        phase="attempt",
        goal="g",
        instruction="g",
        rules=rules,
        model_rules=found,
        app=app,
        elements=(DELETE, SEND, NOTES),
    )
    return {name for name, point in POINTS.items() if guard.refuse(a.Click(point=point), context) is not None}


def answer(means: Any = "the agent must not delete old mails", **fields: Any) -> str:
    return json.dumps({"means": means, "objects": [], "exceptions": []} | fields)


def test_the_parser_takes_what_the_schema_allows() -> None:
    text = answer(objects=["mail"], exceptions=["not the old mails"])
    jsonschema.validate(json.loads(text), rule_schema(RULE))
    assert parse_model_rule(f"Sure: {text} as asked", RULE) == ModelRule(
        rule=RULE,
        means="the agent must not delete old mails",
        acts=("remove",),
        topics=("mail",),
        exceptions=("not the old mails",),
    )


@pytest.mark.parametrize(
    ("means", "acts"),
    [
        ("the agent must not delete anything", ("remove",)),
        ("the agent must not buy or send anything", ("buy", "send")),
        ("the agent must not create new entries", ("add",)),
        ("the agent must not call anybody", ("call",)),
        ("deleting is allowed", ()),
        ("sending is asked for", ()),
        ("this is only style", ()),
    ],
)
def test_the_kinds_are_read_from_the_restatement(means: str, acts: tuple[str, ...]) -> None:
    found = parse_model_rule(answer(means), RULE)
    assert (found.means, found.acts, found.apps, found.error) == (means, acts, (), "")


def test_an_app_counts_only_if_the_rule_names_it() -> None:
    assert parse_model_rule(answer("the agent must not use the mails app"), RULE).apps == ("mails",)
    assert parse_model_rule(answer("the agent must not use the calculator app"), RULE).apps == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"objects": ["everything"]},
        {"objects": ["notes"]},
        {"exceptions": ["unless you want to"]},
        {"exceptions": ["but not the old mails"] * 9},
        {"means": "this " * 50},
        {"means": ""},
        {"means": 3},
        {"forbids": ["buy"]},
    ],
)
def test_what_the_schema_forbids_is_not_taken_either(fields: dict[str, Any]) -> None:
    """A model without constrained decoding may write anything."""
    text = answer(**fields)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(text), rule_schema(RULE))
    found = parse_model_rule(text, RULE)
    assert "buy" not in found.acts
    assert found.topics == ()
    assert found.exceptions in ((), ("but not the old mails",))
    assert len(found.means) <= 80


@pytest.mark.parametrize("text", ["", "no", "[]", '{"means": true}', '{"means": {"remove": true}}', "{" * 5000])
def test_an_answer_that_cannot_be_read_forbids_nothing_and_says_so(text: str) -> None:
    found = parse_model_rule(text, RULE)
    assert (found.acts, found.apps) == ((), ())
    assert "no answer" in found.error
    assert len(found.error) < 250


@pytest.mark.parametrize("rule", ["", "!?", "日本語", "a" * 5000, "(x|y)* [z]", "word " * 300])
def test_every_rule_has_a_schema(rule: str) -> None:
    jsonschema.Draft202012Validator.check_schema(rule_schema(rule))
    jsonschema.validate(json.loads(answer()), rule_schema(rule))


def test_what_the_model_found_is_refused_only_where_the_guard_asks_for_it() -> None:
    found = (ModelRule(rule=RULE, acts=("remove",), exceptions=("not the old mails",)),)
    assert refused(Guard(read_by_model=True), (RULE,), found) == {"remove"}
    assert refused(Guard(), (RULE,), found) == set()
    app = (ModelRule(rule=RULE, apps=("notes",)),)
    assert refused(Guard(read_by_model=True), (RULE,), app) == {"notes"}
    limited = (ModelRule(rule=RULE, acts=("remove",), topics=("notes",)),)
    assert refused(Guard(read_by_model=True), (RULE,), limited, app="notes") >= {"remove"}
    assert refused(Guard(read_by_model=True), (RULE,), limited, app="calendar") == set()
    context = ControlContext(phase="attempt", goal="g", instruction="g", model_rules=found, elements=(DELETE,))
    said = Guard(read_by_model=True).refuse(a.Click(point=(0.2, 0.2)), context)
    assert said is not None
    assert (said.cause, RULE in said.reason) == (f"rule:{RULE}", True)


def test_no_answer_takes_a_prohibition_back() -> None:
    rules = ("never delete anything without asking me", RULE)
    own = refused(Guard(), rules, ())
    assert own == {"remove"}
    acts: tuple[Act, ...] = get_args(Act)
    for size, error in itertools.product(range(3), ("", "no answer")):
        for some in itertools.combinations(acts, size):
            for topics in ((), ("notes",), ("files",)):
                found = tuple(
                    ModelRule(rule=rule, acts=some, topics=topics, exceptions=("without asking me",), error=error)
                    for rule in rules
                )
                assert refused(Guard(read_by_model=True), rules, found) >= own


def test_the_model_is_asked_about_what_the_guard_does_not_understand() -> None:
    rules = ("never delete anything", RULE, "never send messages without asking", RULE)
    left = read_rules(rules)[1]
    assert set(left) == {RULE, "never send messages without asking"}
    assert Cascade([Guard()]).open_rules(rules) == ()
    assert Cascade([StopOn(rules=True)]).open_rules(rules) == ()
    assert Cascade([Guard(read_by_model=True)]).open_rules(rules) == (RULE, "never send messages without asking")
    everything = Guard(read=False, read_by_model=True)
    assert Cascade([everything]).open_rules(rules) == tuple(dict.fromkeys(rules))
    assert controllers_for("model-guard").open_rules(rules) == controllers_for("default,model-guard").open_rules(rules)
    assert controllers_for("default").open_rules(rules) == ()
