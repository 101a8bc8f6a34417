"""``Guard``: an action that breaks a rule is not carried out, and the model is told why.

Rules are texts. What a rule forbids has to be known as data, a :class:`Prohibition`. :func:`read_rules` understands the
usual wordings (``never delete anything``, ``stay out of messages``) and returns the rules that it does not understand:
obeying those is left to the model, and the episode's first event names them. With ``Guard(read_by_model=True)`` the
model is asked at the episode's start what such a rule forbids; its answer can only add prohibitions. The guard judges
an action by the screen: the element that is touched and what encloses it, the app in front, the text that is typed.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from typing import Any

from pydantic import Field, field_validator

from homeostat import actions as a
from homeostat.controllers.action_effects import concerns, does
from homeostat.controllers.context import ControlContext
from homeostat.controllers.decisions import Decision, Proceed, Refuse
from homeostat.controllers.model_rules import ModelRule
from homeostat.controllers.rule_reading import read_rule
from homeostat.controllers.rule_words import Act, Topic, words_of
from homeostat.controllers.settings import Settings
from homeostat.controllers.tool_effects import call_names_app
from homeostat.observation import element_at
from homeostat.sensors.readings import Reading

__all__ = ["Guard", "Prohibition", "prohibitions_of", "read_rules"]


class Prohibition(Settings):
    """What a rule forbids. Case is ignored everywhere.

    Attributes:
        rule: The rule's text.
        acts: Effects that an action must not have, as far as the screen tells: ``"remove"``, ``"buy"``, ``"send"``,
            ``"add"`` or ``"call"``.
        topics: The topics of the objects to which ``acts`` is limited, such as ``"notes"``; empty for every object. An
            action is allowed only if the screen tells that it is about something else.
        app: An app that must not be opened or used; empty for none.
        taps: A regular expression for labels of elements that must not be tapped or pressed. It has to match the whole
            label. Empty for none.
        types: A regular expression for text that must not be typed. It may match anywhere in the text. Empty for none.
        tool: A regular expression for names of tools that must not be called. It has to match the whole name. Empty for
            none.
        arguments: With ``tool``: the call is forbidden only if each of these arguments matches its regular expression
            somewhere. An argument that is no text is matched as JSON.
    """

    rule: str = Field(min_length=1)
    acts: frozenset[Act] = frozenset()
    topics: frozenset[Topic] = frozenset()
    app: str = ""
    taps: str = ""
    types: str = ""
    tool: str = ""
    arguments: dict[str, str] = Field(default_factory=dict)

    @field_validator("taps", "types", "tool")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return pattern

    @field_validator("arguments")
    @classmethod
    def _compile(cls, arguments: dict[str, str]) -> dict[str, str]:
        return {name: cls._compiles(pattern) for name, pattern in arguments.items()}

    def forbids(self, action: a.Action, context: ControlContext) -> bool:
        """Judges an action by the screen.

        Args:
            action: The action.
            context: The present screen.

        Returns:
            Whether the action would break the rule.
        """
        if calls := a.calls_of(action):
            return any(self._forbids_call(call, context) for call in calls)
        label = ""
        if isinstance(action, a.Click | a.LongPress):
            at = element_at(context.elements, action.point)
            label = "" if at is None else context.elements[at].text.strip()
        if self.app and self._uses_app(action, label, context):
            return True
        if any(does(act, action, context) for act in self.acts) and concerns(self.topics, action, context):
            return True
        if self.taps and label and re.fullmatch(self.taps, label, re.I):
            return True
        return bool(self.types and isinstance(action, a.Type) and re.search(self.types, action.text, re.I))

    def _forbids_call(self, call: a.Call, context: ControlContext) -> bool:
        """Whether a tool call would break the rule, by the tool's name, its description and the arguments."""
        if self.tool and re.fullmatch(self.tool, call.tool, re.I):
            given = {name: _text_of(call.arguments.get(name)) for name in self.arguments}
            if all(re.search(pattern, given[name], re.I) for name, pattern in self.arguments.items()):
                return True
        if self.app and call_names_app(self.app, call):
            return True
        return any(does(act, call, context) for act in self.acts) and concerns(self.topics, call, context)

    def _uses_app(self, action: a.Action, label: str, context: ControlContext) -> bool:
        """Whether the action opens the app, by its name or an icon or a notification, or acts in it."""
        if isinstance(action, a.Open):
            return _names_app(self.app, action.app)
        if label and context.app in ("", "home") and _names_app(self.app, label):
            return True
        notified = any(e.role == "title" and e.text.lower() in ("alerts", "notifications") for e in context.elements)
        if label and notified and words_of(label)[: len(words_of(self.app))] == words_of(self.app):
            return True
        acts = isinstance(action, a.Click | a.LongPress | a.Swipe | a.Type) or action == a.SystemButton(button="Enter")
        return acts and _names_app(self.app, context.app)


def _text_of(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _names_app(app: str, name: str) -> bool:
    """Whether a name is the app's, in singular or plural, alone or among other words."""
    mine, other = ({word.removesuffix("s") for word in words_of(text)} for text in (app, name))
    return app.lower() == name.lower() or (bool(mine) and mine <= other)


def read_rules(rules: Sequence[str]) -> tuple[tuple[Prohibition, ...], tuple[str, ...]]:
    """Translates rules to prohibitions.

    Args:
        rules: The rules' texts.

    Returns:
        The prohibitions that were understood, and the texts of the rules that were not understood or not as a whole. A
        rule with a condition (``never delete anything without asking``) is in both: it is enforced without the
        condition.
    """
    return _read_rules(tuple(rules))


@functools.lru_cache(maxsize=256)
def _read_rules(rules: tuple[str, ...]) -> tuple[tuple[Prohibition, ...], tuple[str, ...]]:
    found: list[Prohibition] = []
    unread = []
    for rule in rules:
        reading = read_rule(rule)
        by_topics: dict[frozenset[Topic], list[Act]] = {}
        for act, topics in reading.acts:
            by_topics.setdefault(topics, []).append(act)
        found += [Prohibition(rule=rule, acts=frozenset(acts), topics=topics) for topics, acts in by_topics.items()]
        found += [Prohibition(rule=rule, app=app) for app in reading.apps]
        if not reading.whole:
            unread.append(rule)
    return tuple(found), tuple(unread)


@functools.lru_cache(maxsize=256)
def _of_model(rules: tuple[ModelRule, ...]) -> tuple[Prohibition, ...]:
    """The prohibitions that a model found in rules."""
    found = [Prohibition(rule=r.rule, acts=frozenset(r.acts), topics=frozenset(r.topics)) for r in rules if r.acts]
    return (*found, *(Prohibition(rule=r.rule, app=app) for r in rules for app in r.apps))


def prohibitions_of(given: Any) -> Any:
    """Translates the rules in words among prohibitions.

    Args:
        given: Prohibitions, their data, or rules in words; anything else is returned unchanged.

    Returns:
        The same, with a prohibition for every rule in words.

    Raises:
        ValueError: A rule is not understood as a whole.
    """
    if not isinstance(given, list | tuple):
        return given
    if unread := read_rules([g for g in given if isinstance(g, str)])[1]:
        raise ValueError(f"{unread[0]!r} is not understood; use Prohibition(rule=..., acts=..., taps=..., app=...)")
    return tuple(p for g in given for p in (read_rules([g])[0] if isinstance(g, str) else (g,)))


class Guard(Settings):
    """Refuses actions that the rules forbid. A refused action costs its step.

    There is no budget: a rule holds for the whole episode.

    Attributes:
        prohibitions: What is forbidden, besides the episode's own rules: prohibitions, or rules in words.
        read: Whether the episode's own rules count, as far as :func:`read_rules` understands them.
        read_by_model: Whether the model reads the episode's own rules that :func:`read_rules` does not understand as a
            whole (with ``read=False``, all of them). What it finds adds to the prohibitions. An exception that it finds
            in a rule is reported but allows nothing.
        allowed_tools: The names of the only tools that may be called; None allows every tool.
        told: What the model is told, with ``{rule}``.
        told_of_calls: The same where the action calls tools.
    """

    name: str = Field(default="guard", min_length=1)
    sensors: frozenset[str] = frozenset()
    prohibitions: tuple[Prohibition, ...] = ()
    read: bool = True
    read_by_model: bool = False
    allowed_tools: frozenset[str] | None = None
    told: str = "that is refused, by the rule: {rule}. do something else, or end with failure."
    told_of_calls: str = "That is refused, by the rule: {rule}. Do something else, or tell the user that you may not."

    @field_validator("prohibitions", mode="before")
    @classmethod
    def _reads(cls, prohibitions: Any) -> Any:
        return prohibitions_of(prohibitions)

    @field_validator("told", "told_of_calls")
    @classmethod
    def _tells(cls, text: str) -> str:
        if "{rule}" not in text:
            raise ValueError("does not contain {rule}; put it where the rule is to stand")
        return text

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Decision:
        """Returns :class:`Refuse` for the first rule that the attempt's action breaks."""
        if context.phase != "attempt" or context.action is None:
            return Proceed()
        return self.refuse(context.action, context) or Proceed()

    def refuse(self, action: a.Action, context: ControlContext) -> Refuse | None:
        """Refuses an action that breaks a rule.

        Args:
            action: The action that is about to be carried out.
            context: The present screen and the rules.

        Returns:
            The refusal for the first rule that the action breaks; None if it breaks none.
        """
        told = self.told_of_calls if a.calls_of(action) else self.told
        for call in a.calls_of(action):
            if self.allowed_tools is not None and call.tool not in self.allowed_tools:
                allowed = ", ".join(sorted(self.allowed_tools)) or "none"
                rule = f"only these tools may be called: {allowed}"
                return Refuse(reason=told.replace("{rule}", rule), cause=f"tool:{call.tool}")
        own = read_rules(context.rules)[0] if self.read else ()
        found = _of_model(context.model_rules) if self.read_by_model else ()
        for prohibition in (*self.prohibitions, *own, *found):
            if prohibition.forbids(action, context):
                reason = told.replace("{rule}", prohibition.rule)
                return Refuse(reason=reason, cause=f"rule:{prohibition.rule}")
        return None

    @property
    def reads_rules(self) -> bool:
        """Whether it reads the episode's own rules."""
        return self.read

    def unread(self, rules: Sequence[str]) -> tuple[str, ...]:
        """Returns the rules that it does not understand, or not as a whole. Obeying them is left to the model.

        Args:
            rules: The rules' texts.

        Returns:
            The texts of these rules; all of them if it does not read rules.
        """
        return read_rules(rules)[1] if self.read else tuple(rules)
