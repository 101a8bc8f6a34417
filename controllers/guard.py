"""``Guard``: an action that breaks a rule is not carried out, and the model is told why.

Rules are texts. What a rule forbids has to be known as data, a :class:`Prohibition`. :func:`read_rules` understands the
usual wordings (``never delete anything``, ``stay out of messages``) and returns the rules that it does not understand:
obeying those is left to the model. The guard judges an action by the screen: the element that is tapped, the app in
front, the text that is typed. It can't know what an icon without a label does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import Field, field_validator

from homeostat import actions as a
from homeostat.controllers.context import ControlContext
from homeostat.controllers.decisions import Decision, Proceed, Refuse
from homeostat.controllers.settings import Settings
from homeostat.observation import element_at
from homeostat.sensors.readings import Reading

__all__ = ["Guard", "Prohibition", "read_rules"]

VERBS = {
    "delet": "delete|remove|clear|erase|empty|discard",
    "remov": "delete|remove|clear|erase|empty|discard",
    "send": "send|reply|forward",
    "buy": "buy|order|checkout|pay|add to cart",
    "shop": "buy|order|checkout|pay|add to cart",
    "order": "buy|order|checkout|pay",
    "pay": "buy|order|checkout|pay",
    "add": "add|new|create|\\+",
    "creat": "add|new|create|\\+",
}
"""By the beginning of a rule's verb, a regular expression for the labels of elements that do what the verb says."""

_NOT = r"(?:never|do not|don't|no)\s+"
_APP = re.compile(
    rf"(?:(?:{_NOT}(?:open|use|enter|touch)|stay out of|keep out of)\s+)(?:the\s+)?(.+?)(?:\s+app)?", re.I
)
_VERB = re.compile(rf"{_NOT}(\w+).*|(\w+)\s.*(?:is|are) forbidden|(\w+) is forbidden", re.I)


class Prohibition(Settings):
    """What a rule forbids. Case is ignored everywhere.

    Attributes:
        rule: The rule's text.
        app: An app that must not be opened or used; empty for none.
        taps: A regular expression for labels of elements that must not be tapped or pressed. It has to match the whole
            label. Empty for none.
        types: A regular expression for text that must not be typed. It may match anywhere in the text. Empty for none.
    """

    rule: str = Field(min_length=1)
    app: str = ""
    taps: str = ""
    types: str = ""

    @field_validator("taps", "types")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return pattern

    def forbids(self, action: a.Action, context: ControlContext) -> bool:
        """Judges an action by the screen.

        Args:
            action: The action.
            context: The present screen.

        Returns:
            Whether the action would break the rule.
        """
        label = ""
        if isinstance(action, a.Click | a.LongPress):
            at = element_at(context.elements, action.point)
            label = "" if at is None else context.elements[at].text.strip()
        if self.app:
            opens = action.app if isinstance(action, a.Open) else label if context.app in ("", "home") else ""
            inside = (
                isinstance(action, a.Click | a.LongPress | a.Swipe | a.Type) and context.app.lower() == self.app.lower()
            )
            if opens.lower() == self.app.lower() or inside:
                return True
        if self.taps and label and re.fullmatch(self.taps, label, re.I):
            return True
        return bool(self.types and isinstance(action, a.Type) and re.search(self.types, action.text, re.I))


def read_rules(rules: Sequence[str]) -> tuple[tuple[Prohibition, ...], tuple[str, ...]]:
    """Translates rules to prohibitions.

    Args:
        rules: The rules' texts.

    Returns:
        The prohibitions of the rules that are understood, and the texts of those that are not.
    """
    found, unread = [], []
    for rule in rules:
        text = rule.strip().rstrip(".!")
        app, verb = _APP.fullmatch(text), _VERB.fullmatch(text)
        word = next((group.lower() for group in verb.groups() if group), "") if verb else ""
        taps = next((labels for stem, labels in VERBS.items() if word.startswith(stem)), "")
        if app:
            found.append(Prohibition(rule=rule, app=app.group(1)))
        elif taps:
            found.append(Prohibition(rule=rule, taps=taps))
        else:
            unread.append(rule)
    return tuple(found), tuple(unread)


class Guard(Settings):
    """Refuses actions that the rules forbid. A refused action costs its step.

    There is no budget: a rule holds for the whole episode.

    Attributes:
        prohibitions: What is forbidden, besides the episode's own rules.
        read: Whether the episode's own rules count, as far as :func:`read_rules` understands them.
        told: What the model is told, with ``{rule}``.
    """

    name: str = Field(default="guard", min_length=1)
    sensors: frozenset[str] = frozenset()
    prohibitions: tuple[Prohibition, ...] = ()
    read: bool = True
    told: str = "that is refused, by the rule: {rule}. do something else, or end with failure."

    @field_validator("told")
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
        own = read_rules(context.rules)[0] if self.read else ()
        for prohibition in (*self.prohibitions, *own):
            if prohibition.forbids(action, context):
                reason = self.told.replace("{rule}", prohibition.rule)
                return Refuse(reason=reason, cause=f"rule:{prohibition.rule}")
        return None
