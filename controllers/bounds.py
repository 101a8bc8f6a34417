"""``StopOn`` ends an episode; ``Escalate`` asks its user."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from homeostat.actions import Action, calls_of
from homeostat.controllers.alarms import alarms_of, cause_of
from homeostat.controllers.context import ControlContext
from homeostat.controllers.decisions import Ask, Confirm, Decision, Proceed, Stop
from homeostat.controllers.guard import Prohibition, prohibitions_of, read_rules
from homeostat.controllers.settings import Settings
from homeostat.sensors.readings import Reading

__all__ = ["Escalate", "StopOn"]


class StopOn(Settings):
    """Ends the episode at a budget or before a hazardous action.

    Attributes:
        steps: The most steps; None for no bound.
        tokens: The most tokens that the model may generate, in all attempts together; None for no bound.
        seconds: The most seconds; None for no bound.
        hazards: Actions that end the episode: prohibitions, or rules in words, which are read as the episode's own.
        rules: Whether an action that the episode's own rules forbid ends the episode, too.
    """

    name: str = Field(default="stop-on", min_length=1)
    sensors: frozenset[str] = frozenset()
    steps: int | None = Field(default=None, ge=1)
    tokens: int | None = Field(default=None, ge=1)
    seconds: float | None = Field(default=None, gt=0.0)
    hazards: tuple[Prohibition, ...] = ()
    rules: bool = False

    @field_validator("hazards", mode="before")
    @classmethod
    def _reads(cls, hazards: Any) -> Any:
        return prohibitions_of(hazards)

    @model_validator(mode="after")
    def _stops(self) -> Self:
        if not (self.steps or self.tokens or self.seconds or self.hazards or self.rules):
            raise ValueError("never stops; give steps, tokens, seconds, hazards or rules=True")
        return self

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Decision:
        """Returns :class:`Stop` if a bound is reached or the action is a hazard."""
        if context.phase != "attempt":
            return Proceed()
        for name, spent, most in (
            ("steps", context.step, self.steps),
            ("tokens", context.tokens, self.tokens),
            ("seconds", context.seconds, self.seconds),
        ):
            if most is not None and spent >= most:
                return Stop(reason=f"{spent:.6g} {name} were used; the limit is {most:.6g}", cause=name)
        return (self.refuse(context.action, context) if context.action is not None else None) or Proceed()

    def refuse(self, action: Action, context: ControlContext) -> Stop | None:
        """Ends the episode before a hazardous action is carried out.

        Args:
            action: The action that is about to be carried out.
            context: The present screen and the rules.

        Returns:
            The end of the episode; None if the action is no hazard.
        """
        own = read_rules(context.rules)[0] if self.rules else ()
        for hazard in (*self.hazards, *own):
            if hazard.forbids(action, context):
                return Stop(reason=f"the next action is a hazard: {hazard.rule}", cause=f"hazard:{hazard.rule}")
        return None

    @property
    def reads_rules(self) -> bool:
        """Whether it reads the episode's own rules."""
        return self.rules

    def unread(self, rules: Sequence[str]) -> tuple[str, ...]:
        """Returns the rules that it does not understand, or not as a whole.

        Args:
            rules: The rules' texts.

        Returns:
            The texts of these rules; all of them if it does not read rules.
        """
        return read_rules(rules)[1] if self.rules else tuple(rules)


class Escalate(Settings):
    """Asks the user when a reading alarms, an answer contains no action, or a tool would change something.

    The episode waits for the answer and can be resumed in another process. The next attempt's prompt contains the
    answer. A call of a tool that changes something is carried out if the answer is yes, and refused otherwise; the
    bounds on questions don't hold for it.

    Attributes:
        sensors: The sensors whose alarms count; empty for all.
        after: How many attempts of the step have to be corrected before the user is asked; 0 asks at once.
        cooldown: The least number of steps from one question to the next.
        budget: The most questions in an episode.
        alarms: Whether the user is asked about alarms.
        unparsable: Whether the user is asked about an answer without an action, too.
        changes: Whether the user is asked before every call of a tool that may change something.
        question: The question, with ``{reason}`` and ``{goal}``.
        consent: The question before such a call, with ``{calls}``.
    """

    name: str = Field(default="escalate", min_length=1)
    sensors: frozenset[str] = frozenset()
    after: int = Field(default=0, ge=0)
    cooldown: int = Field(default=3, ge=1)
    budget: int = Field(default=2, ge=1)
    alarms: bool = True
    unparsable: bool = False
    changes: bool = False
    question: str = "{reason}. What should I do for: {goal}?"
    consent: str = "The agent wants to call {calls}. Is that allowed? Answer yes or no."

    @field_validator("question")
    @classmethod
    def _known(cls, text: str) -> str:
        found = {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
        if not text.strip() or not found <= {"reason", "goal"}:
            raise ValueError("a question may contain {reason} and {goal}, and nothing else in braces")
        return text

    @field_validator("consent")
    @classmethod
    def _names_calls(cls, text: str) -> str:
        if "{calls}" not in text:
            raise ValueError("does not contain {calls}; put it where the calls are to stand")
        return text

    @model_validator(mode="after")
    def _asks(self) -> Self:
        if not (self.alarms or self.unparsable or self.changes):
            raise ValueError("never asks; set alarms, unparsable or changes")
        return self

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Decision:
        """Returns :class:`Ask` for the first cause, within cool-down and budget."""
        if context.phase != "attempt" or context.attempt < self.after:
            return Proceed()
        mine = [r for r in context.decisions if r.controller == self.name and r.kind == "ask"]
        if len(mine) >= self.budget or any(context.step - r.step < self.cooldown for r in mine):
            return Proceed()
        cause, reason = "", ""
        if self.unparsable and context.unparsable is not None:
            cause, reason = "unparsable", "my answer could not be read: " + context.unparsable
        elif self.alarms and (alarms := alarms_of(readings, self.sensors)):
            cause = cause_of(alarms[0])
            reason = f"{alarms[0].sensor} alarms" + (f" ({alarms[0].reason})" if alarms[0].reason else "")
        if not cause:
            return Proceed()
        asked = self.question.replace("{reason}", reason.strip(" .")).replace("{goal}", context.instruction)
        return Ask(question=asked, cause=cause)

    def confirm(self, action: Action, context: ControlContext) -> Confirm | None:
        """Asks for consent before a tool that may change something is called.

        Args:
            action: The action that is about to be carried out.
            context: The tools that may be called.

        Returns:
            The question, which names every such call of the turn; None if there is none, or ``changes`` is off.
        """
        changing = {tool.name for tool in context.tools if tool.changes}
        calls = [call for call in calls_of(action) if call.tool in changing] if self.changes else []
        if not calls:
            return None
        cause = "changes:" + ",".join(dict.fromkeys(call.tool for call in calls))
        return Confirm(question=self.consent.replace("{calls}", " and ".join(map(str, calls))), cause=cause)
