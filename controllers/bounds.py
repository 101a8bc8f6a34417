"""``StopOn`` and ``Escalate``: where an episode ends, or waits for its user."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Self

from pydantic import Field, field_validator, model_validator

from homeostat.actions import Action
from homeostat.controllers.context import ControlContext
from homeostat.controllers.decisions import Ask, Decision, Proceed, Stop
from homeostat.controllers.guard import Prohibition, read_rules
from homeostat.controllers.settings import Settings
from homeostat.sensors.readings import Reading

__all__ = ["Escalate", "StopOn"]


class StopOn(Settings):
    """Ends the episode at a budget or a hazard, before the attempt's action is carried out.

    ``steps``, ``tokens`` (written by the model, all attempts), ``seconds``: the most of each; None for no bound.
    ``hazards``: actions that end it (see :class:`~homeostat.controllers.guard.Prohibition`); ``rules``: what the
    episode's own rules forbid ends it too.
    """

    name: str = Field(default="stop-on", min_length=1)
    sensors: frozenset[str] = frozenset()
    steps: int | None = Field(default=None, ge=1)
    tokens: int | None = Field(default=None, ge=1)
    seconds: float | None = Field(default=None, gt=0.0)
    hazards: tuple[Prohibition, ...] = ()
    rules: bool = False

    @model_validator(mode="after")
    def _stops(self) -> Self:
        if not (self.steps or self.tokens or self.seconds or self.hazards or self.rules):
            raise ValueError("never stops; give steps, tokens, seconds, hazards or rules=True")
        return self

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Decision:
        """:class:`Stop` where a bound is passed or the action is a hazard."""
        if context.phase != "attempt":
            return Proceed()
        for name, spent, most in (
            ("steps", context.step, self.steps),
            ("tokens", context.tokens, self.tokens),
            ("seconds", context.seconds, self.seconds),
        ):
            if most is not None and spent >= most:
                return Stop(reason=f"{spent:.6g} {name} were used, of {most:.6g}", cause=name)
        return (self.refuse(context.action, context) if context.action is not None else None) or Proceed()

    def refuse(self, action: Action, context: ControlContext) -> Stop | None:
        """Ends the episode before a hazardous action is carried out.

        Args:
            action: The action that is about to be carried out.
            context: The present screen and the rules.

        Returns:
            The end of the episode; None where the action is no hazard.
        """
        own = read_rules(context.rules)[0] if self.rules else ()
        for hazard in (*self.hazards, *own):
            if hazard.forbids(action, context):
                return Stop(reason=f"the next action is a hazard: {hazard.rule}", cause=f"hazard:{hazard.rule}")
        return None


class Escalate(Settings):
    """Asks the user where a reading alarms or an action can't be read; the answer goes into the next attempt's prompt.

    The episode waits (it can be resumed in another process). ``sensors``: whose alarms count; empty: any sensor's.
    ``after``: only once so many of the step's attempts were corrected and it still alarms; 0: at once. ``cooldown``
    steps from one question to the next, ``budget`` questions in an episode. ``question``: the wording, with
    ``{reason}`` and ``{goal}``.
    """

    name: str = Field(default="escalate", min_length=1)
    sensors: frozenset[str] = frozenset()
    after: int = Field(default=0, ge=0)
    cooldown: int = Field(default=3, ge=1)
    budget: int = Field(default=2, ge=1)
    unparsable: bool = False
    question: str = "{reason}. What should I do for: {goal}?"

    @field_validator("question")
    @classmethod
    def _known(cls, text: str) -> str:
        found = {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
        if not text.strip() or not found <= {"reason", "goal"}:
            raise ValueError("a question may hold {reason} and {goal}, and nothing else in braces")
        return text

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Decision:
        """:class:`Ask` for the first cause, within cool-down and budget."""
        if context.phase != "attempt" or context.attempt < self.after:
            return Proceed()
        mine = [r for r in context.decisions if r.controller == self.name and r.kind == "ask"]
        if len(mine) >= self.budget or any(context.step - r.step < self.cooldown for r in mine):
            return Proceed()
        cause, reason = "", ""
        if self.unparsable and context.unparsable is not None:
            cause, reason = "unparsable", "my answer could not be read: " + context.unparsable
        for reading in readings:
            if not cause and reading.alarm and (not self.sensors or reading.sensor in self.sensors):
                cause = f"{reading.sensor}:{reading.span}" if reading.span else reading.sensor
                reason = f"{reading.sensor} alarms" + (f" ({reading.reason})" if reading.reason else "")
        if not cause:
            return Proceed()
        asked = self.question.replace("{reason}", reason.strip(" .")).replace("{goal}", context.instruction)
        return Ask(question=asked, cause=cause)
