"""The format in which a model reads a rule: the JSON schema of its answer, and the parser.

The model restates the rule and lists the effects that it forbids, the objects and apps that the prohibition is about,
and the exceptions that it makes::

    {"means": "deleting is forbidden", "forbids": ["remove"], "objects": ["notes"], "apps": [], "exceptions": []}

The objects are topics that the rule names, and the apps and the exceptions are words of the rule itself, so that a
model that decodes under :func:`rule_schema` invents none. An answer can only add prohibitions. It never takes back what
:func:`~homeostat.controllers.read_rules` found, and an exception is reported but does not allow anything.
"""

from __future__ import annotations

import re
from typing import Any, get_args

from pydantic import BaseModel

from homeostat.controllers.rule_words import Act, Topic, topics_of, words_of
from homeostat.foreign_text import clipped, quoted
from homeostat.json_values import json_values

__all__ = ["ModelRule", "parse_model_rule", "rule_schema"]

_ACTS: tuple[Act, ...] = get_args(Act)
_MOST_WORDS = 60  # words of a rule from which names of apps and exceptions are built
_NAME = 3  # words of an app's name
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
    names = sorted(
        {" ".join(words[n : n + size]) for size in range(1, _NAME + 1) for n in range(len(words) - size + 1)}
    )
    topics = sorted(topics_of(rule))
    one = "|".join(re.escape(word) for word in sorted(set(words), key=lambda w: (-len(w), w)))
    excepted = {"type": "string", "pattern": rf"^(?:{one})(?: (?:{one})){{0,7}}$", "maxLength": 100}
    properties = {
        "means": {"type": "string", "maxLength": _LONGEST},
        "forbids": _list({"enum": list(_ACTS)}),
        "objects": _list({"enum": topics} if topics else None),
        "apps": _list({"enum": names} if names else None),
        "exceptions": _list(excepted if names else None),
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
        if not isinstance(value, dict) or not isinstance(value.get("forbids"), list):
            continue
        said, means = set(words_of(rule)), value.get("means")
        return ModelRule(
            rule=rule,
            means=clipped(means, _LONGEST) if isinstance(means, str) else "",
            acts=tuple(act for act in _ACTS if act in _texts(value, "forbids")),
            topics=tuple(t for t in _texts(value, "objects") if t in topics_of(rule)),
            apps=tuple(a for a in _texts(value, "apps") if words_of(a) and said.issuperset(words_of(a))),
            exceptions=tuple(e for e in _texts(value, "exceptions") if said.issuperset(words_of(e))),
        )
    return ModelRule(rule=rule, error=f'no answer of the form {{"forbids": […]}} in {quoted(text)}')


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
