"""What a tool call does, judged by the tool's name, description and arguments: removes, buys, sends, adds or calls.

A tool that only reads does nothing of these. Of any other, the words of its name and the first sentence of its
description count. So do commands in its arguments, such as ``rm -rf`` for a tool that runs commands. A name such as
``get_sent_messages``, which says that the tool reads, does not count, but its description does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from homeostat.actions import Call
from homeostat.controllers.rule_words import ACTS, Act, Topic, normal, topics_of, words_of
from homeostat.conversation import ToolSpec

__all__ = ["COMMANDS", "call_concerns", "call_does", "call_names_app", "tool_words"]

COMMANDS: dict[Act, str] = {
    "remove": r"\b(?:rm|rmdir|unlink|shred|del|truncate|mkfs|drop (?:table|database)|delete from|pm uninstall|git clean"
    r"|dd if)\b",
    "send": r"\b(?:mail|sendmail|mailx|mutt|scp|curl|wget|sms)\b",
}
"""By effect, the commands that have it, as a regular expression."""
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_READS = re.compile(r"(?:get|list|read|search|find|show|look|fetch|count|check|view|query|is|has|describe|load)\b")
_SENTENCE = re.compile(r"[.!?;\n]")


def tool_words(name: str) -> str:
    """Splits a tool's name into words.

    Args:
        name: The name, such as ``deleteNote`` or ``mail.send_message``.

    Returns:
        The words in lower case, separated by spaces.
    """
    return " ".join(words_of(_CAMEL.sub(" ", name).replace("_", " ").replace(".", " ").replace("-", " ")))


def call_does(act: Act, call: Call, tools: Sequence[ToolSpec]) -> bool:
    """Tells whether a call has an effect, as far as its texts tell.

    Args:
        act: The effect.
        call: The call.
        tools: What is known of the tools.

    Returns:
        Whether it does; False for a tool that changes nothing.
    """
    spec = _spec(call, tools)
    if spec is not None and not spec.changes:
        return False
    known = ACTS[act]
    said = rf"(?:{known.label}|{known.verbs}|{known.phrases})"
    words = tool_words(call.tool)
    first = normal(_SENTENCE.split(spec.description, 1)[0]) if spec is not None else ""
    reads = _READS.match(words)
    if not reads and (re.match(rf"(?:\w+ )?{said}\b", words) or re.search(rf"\b(?:{known.label})\b", words)):
        return True
    acts = rf"(?:{known.label}|{known.verbs})(?:s|es)?\b"
    if re.match(rf"(?:\w+ )?{acts}", first) or (
        not reads and re.search(rf"\b(?:and|or|then|to) (?:\w+ )?{acts}", first)
    ):
        return True
    return act in COMMANDS and any(re.search(COMMANDS[act], normal(text)) for text in _texts(call.arguments))


def call_concerns(topics: frozenset[Topic], call: Call, tools: Sequence[ToolSpec]) -> bool:
    """Tells whether a call may be about certain objects.

    Args:
        topics: The topics of a prohibition; empty for every object.
        call: The call.
        tools: What is known of the tools.

    Returns:
        False only if the tool's name or description names other topics and nothing names one of these.
    """
    spec = _spec(call, tools)
    own = topics_of(tool_words(call.tool)) | topics_of(spec.description if spec is not None else "")
    said = own | topics_of(" ".join(_texts(call.arguments)))
    return not topics or not own or bool(said & topics)


def call_names_app(app: str, call: Call) -> bool:
    """Tells whether a tool's name names an app, service or group of tools, in singular or plural.

    Args:
        app: The app's name in a rule, such as ``messages``.
        call: The call.

    Returns:
        Whether all words of the app's name are in the tool's.
    """
    mine = {word.removesuffix("s") for word in words_of(app)}
    return bool(mine) and mine <= {word.removesuffix("s") for word in tool_words(call.tool).split()}


def _spec(call: Call, tools: Sequence[ToolSpec]) -> ToolSpec | None:
    return next((spec for spec in tools if spec.name == call.tool), None)


def _texts(value: object) -> Iterator[str]:
    """Every text in a JSON value."""
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            left += item.values()
        elif isinstance(item, list):
            left += item
