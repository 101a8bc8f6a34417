"""``Guard``: an action that breaks a rule is not carried out, whatever the model says, and the model is told why.

Rules are texts; what one forbids has to be known as data, a :class:`Prohibition`. :func:`read_rules` reads the usual
wordings (``never delete anything``, ``stay out of messages``) and says which it could not read: those are left to the
model. The guard looks at what an action *would* do as far as the screen tells it: the element that is tapped, the app
in front, the text that is typed. It can't see what an unlabelled icon does.
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
"""What a rule's verb begins with, and the labels of what does it (whole, case ignored)."""

_NOT = r"(?:never|do not|don't|no)\s+"
_APP = re.compile(
    rf"(?:(?:{_NOT}(?:open|use|enter|touch)|stay out of|keep out of)\s+)(?:the\s+)?(.+?)(?:\s+app)?", re.I
)
_VERB = re.compile(rf"{_NOT}(\w+).*|(\w+)\s.*(?:is|are) forbidden|(\w+) is forbidden", re.I)


class Prohibition(Settings):
    """What a rule forbids: opening ``app`` and acting in it, or what ``taps`` and ``types`` match.

    ``taps``: a regular expression for the whole label of what is tapped or pressed; ``types``: one that is looked for
    in typed text. Case is ignored.
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
            raise ValueError(f"no regular expression: {error}") from None
        return pattern

    def forbids(self, action: a.Action, context: ControlContext) -> bool:
        """Whether carrying this action out would break the rule, as far as the screen tells."""
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
    """The rules that could be read, as prohibitions, and those that could not, as they stand."""
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
    """Refuses what the rules forbid: the action is not carried out, the step is spent.

    ``prohibitions``: what to refuse besides what :func:`read_rules` reads of the episode's own rules (``read=False``:
    instead of that). ``told``: what the model is told, with ``{rule}``. There is no budget: a rule holds for ever.
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
            raise ValueError("says no rule; put {rule} where it belongs")
        return text

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Decision:
        """:class:`Refuse` for the first rule that the attempt's action breaks."""
        if context.phase != "attempt" or context.action is None:
            return Proceed()
        return self.refuse(context.action, context) or Proceed()

    def refuse(self, action: a.Action, context: ControlContext) -> Refuse | None:
        """Refuses an action that breaks a rule.

        Args:
            action: The action that is about to be carried out.
            context: The present screen and the rules.

        Returns:
            The refusal for the first rule that the action breaks; None where it breaks none.
        """
        own = read_rules(context.rules)[0] if self.read else ()
        for prohibition in (*self.prohibitions, *own):
            if prohibition.forbids(action, context):
                reason = self.told.replace("{rule}", prohibition.rule)
                return Refuse(reason=reason, cause=f"rule:{prohibition.rule}")
        return None
