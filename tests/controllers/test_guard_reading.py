"""Rules in words: which are read, what they forbid, to what they are limited, and that the others are said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from homeostat.agent import Agent
from homeostat.agent.events import Started
from homeostat.cli.event_text import lines
from homeostat.controllers import Cascade, Guard, Prohibition, StopOn, read_rules
from homeostat.envs.phone import PhoneEnv
from homeostat.envs.phone.tasks.rules import MORE_RULES, RULES
from homeostat.errors import ConfigError
from homeostat.testing import ScriptedModel

WORDINGS = yaml.safe_load((Path(__file__).parents[2] / "benchmarks" / "guard_wordings.yaml").read_text())


def forbidden(rule: str) -> tuple[dict[Any, set[str]], list[str], bool]:
    """(effects with their topics, apps, whether the whole rule was understood)."""
    found, unread = read_rules([rule])
    acts = {act: set(p.topics) for p in found for act in p.acts}
    return acts, [p.app for p in found if p.app], not unread


@pytest.mark.parametrize("kind", ["remove", "buy", "send"])
def test_every_wording_of_the_benchmark_is_read(kind: str) -> None:
    for rule in WORDINGS["dev"][kind]:
        acts, apps, whole = forbidden(rule)
        assert acts.get(kind) == set(), rule
        assert whole, rule
        assert not apps, rule


@pytest.mark.parametrize(
    "rule",
    [
        "you must never delete anything",
        "never ever delete anything",
        "please never delete anything",
        "don\u2019t delete anything",
        "do not delete anything",
        "don't you dare delete anything",
        "avoid deleting",
        "no deleting",
        "deleting is not allowed",
        "deleting is prohibited",
        "under no circumstances may you delete anything",
        "refrain from deleting anything",
        "never permanently delete anything",
        "nothing may be deleted",
        "delete nothing",
        "NEVER  erase anything!",
        "never uninstall apps or clear anything",
    ],
)
def test_negations_and_synonyms_of_deleting(rule: str) -> None:
    assert forbidden(rule) == ({"remove": set()}, [], True)


def test_a_list_of_verbs_forbids_all_of_them() -> None:
    assert forbidden("never buy, delete or send anything")[0] == {"buy": set(), "remove": set(), "send": set()}
    assert forbidden("do not order, message or call anyone")[0] == {"buy": set(), "send": set(), "call": set()}


@pytest.mark.parametrize(
    ("rule", "topics"),
    [
        ("never delete notes", {"notes"}),
        ("notes must never be deleted", {"notes"}),
        ("never delete my notes or files", {"notes", "files"}),
        ("never delete notes and invoices", set()),  # what an invoice is about is not known: no limit
        ("never delete anything in the notes app", {"notes"}),
        ("never delete messages", {"messages", "mail"}),
        ("never delete, not even notes", set()),
        ("in the notes, never delete", set()),
    ],
)
def test_objects_limit_a_rule(rule: str, topics: set[str]) -> None:
    assert forbidden(rule) == ({"remove": topics}, [], True)


@pytest.mark.parametrize(
    ("rule", "apps"),
    [
        ("stay out of messages", ["messages"]),
        ("keep away from the mail app", ["mail"]),
        ("don't open notes", ["notes"]),
        ("do not use the messages or mail apps", ["messages", "mail"]),
        ("the messages app is off limits", ["messages"]),
        ("leave my notes alone", ["notes"]),
    ],
)
def test_apps(rule: str, apps: list[str]) -> None:
    assert forbidden(rule) == ({}, apps, True)


@pytest.mark.parametrize(
    "rule",
    [
        "be polite",
        "keep everything private",
        "keep all answers short",
        "ask before paying",
        "do not forget to delete it",
        "never be rude",
    ],
)
def test_what_is_not_understood_forbids_nothing_and_is_said(rule: str) -> None:
    assert forbidden(rule) == ({}, [], False)
    assert Guard().unread([rule, "never delete anything"]) == (rule,)


def test_a_condition_is_dropped_and_said() -> None:
    assert forbidden("never delete anything without asking me") == ({"remove": set()}, [], False)


def test_the_phones_own_rules() -> None:
    for rule in (*RULES, *MORE_RULES):
        acts, apps, whole = forbidden(rule.text)
        if rule.tag.startswith("app:"):
            assert (acts, apps, whole) == ({}, [rule.tag[4:]], True)
        elif rule.tag == "settings":
            assert (acts, apps, whole) == ({}, [], False)
        else:
            assert set(acts) == {{"delete": "remove"}.get(rule.tag, rule.tag)}
            assert not acts.popitem()[1]
            assert whole


def test_the_first_event_and_the_terminal_name_unread_rules() -> None:
    rules = ("be polite", "never delete anything")
    env = PhoneEnv(task=None, goal="tidy up", rules=rules, max_steps=1)
    said = '{"action": "terminate", "status": "failure"}'

    def first(controllers: list[Any]) -> Started:
        event = next(iter(Agent(ScriptedModel([said]), controllers=controllers).start(env.reset_task(), env)))
        assert isinstance(event, Started)
        return event

    assert first([Guard()]).unread == ("be polite",)
    assert first([Guard(), StopOn(rules=True)]).unread == ("be polite",)
    assert first([]).unread == ()  # nobody reads rules: all are left to the model anyway
    shown = list(lines(first([Guard()]), env.observe().screenshot))  # type: ignore[arg-type]
    assert shown[-1].endswith("left to the model: be polite")
    assert sum("be polite" in line for line in shown) == 2
    assert Cascade([Guard(), StopOn(steps=3)]).unread(rules) == ("be polite",)


def test_settings_take_rules_in_words() -> None:
    words: Any = ("never delete anything",)
    expected = (Prohibition(rule="never delete anything", acts=frozenset({"remove"})),)
    assert Guard(prohibitions=words).prohibitions == expected
    assert StopOn(hazards=words).hazards == expected
    unknown: Any = ("be polite",)
    with pytest.raises(ConfigError, match="'be polite' is not understood"):
        Guard(prohibitions=unknown)
