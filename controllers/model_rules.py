"""The format in which a model reads a rule: the JSON schema of its answer, and the parser.

The model restates the rule in plain words, and names the objects to which it is limited and the exceptions that it
makes::

    {"means": "the agent must not delete notes", "objects": ["notes"], "exceptions": ["but not the old ones"]}

The forbidden kinds of action are read from the restatement, by the same reader that reads rules. A small model restates
a rule more reliably than it picks names of kinds from a list. The objects are topics that the rule names, and apps and
exceptions are words of the rule itself, so that a model invents none. An answer can only add prohibitions. It never
takes back what :func:`~homeostat.controllers.read_rules` found, and an exception is reported but does not allow
anything.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel

from homeostat.controllers.rule_reading import read_rule
from homeostat.controllers.rule_words import Act, Topic, topics_of, words_of
from homeostat.foreign_text import clipped, quoted
from homeostat.json_values import json_values

__all__ = ["ModelRule", "parse_model_rule", "rule_schema"]

_MOST_WORDS = 60  # words of a rule of which exceptions are built
_MOST = 5  # entries of a list
_LONGEST = 80  # characters of the restatement


class ModelRule(BaseModel, frozen=True, extra="forbid"):
    """What a model understood of one rule.

    Attributes:
        rule: The rule's text.
        means: The rule in the model's own words.
        acts: The effects that the rule forbids.
        topics: The topics of the objects to which the prohibition is limited; empty for every object.
        apps: The names of the apps that the rule forbids.
        exceptions: The exceptions that the rule makes. The prohibition is enforced without them.
        error: Why the answer could not be used; empty if it could.
    """

    rule: str
    means: str = ""
    acts: tuple[Act, ...] = ()
    topics: tuple[Topic, ...] = ()
    apps: tuple[str, ...] = ()
    exceptions: tuple[str, ...] = ()
    error: str = ""


def rule_schema(rule: str) -> dict[str, Any]:
    """Builds the JSON schema of a model's answer, for constrained decoding.

    Args:
        rule: The rule's text.

    Returns:
        The schema.
    """
    words = list(words_of(rule))[:_MOST_WORDS]
    topics = sorted(topics_of(rule))
    one = "|".join(re.escape(word) for word in sorted(set(words), key=lambda w: (-len(w), w)))
    excepted = {"type": "string", "pattern": rf"^(?:{one})(?: (?:{one})){{0,7}}$", "maxLength": 100}
    properties = {
        "means": {"type": "string", "minLength": 1, "maxLength": _LONGEST},
        "objects": _list({"enum": topics} if topics else None),
        "exceptions": _list(excepted if words else None),
    }
    return _object(properties)


def parse_model_rule(text: str, rule: str) -> ModelRule:
    """Parses a model's answer.

    Args:
        text: The answer.
        rule: The rule's text.

    Returns:
        What the model understood. If the answer can't be read, ``error`` says so and nothing is forbidden.
    """
    for value in json_values(text):
        means = value.get("means") if isinstance(value, dict) else None
        if not isinstance(means, str) or not means.strip():
            continue
        said, understood = set(words_of(rule)), read_rule(means[:_LONGEST])
        return ModelRule(
            rule=rule,
            means=clipped(means, _LONGEST),
            acts=tuple(act for act, _ in understood.acts),
            topics=tuple(t for t in _texts(value, "objects") if t in topics_of(rule)),
            apps=tuple(app for app in understood.apps if said.issuperset(words_of(app))),
            exceptions=tuple(e for e in _texts(value, "exceptions") if said.issuperset(words_of(e))),
        )
    return ModelRule(rule=rule, error=f'no answer of the form {{"means": "…"}} in {quoted(text)}')


def _texts(value: dict[str, Any], name: str) -> list[str]:
    """The different texts of a list, at most as many as the schema allows."""
    given = value.get(name)
    texts = [t for t in given if isinstance(t, str) and t.strip()] if isinstance(given, list) else []
    return list(dict.fromkeys(texts))[:_MOST]


def _list(items: dict[str, Any] | None) -> dict[str, Any]:
    return {"type": "array", "maxItems": 0} if items is None else {"type": "array", "items": items, "maxItems": _MOST}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
