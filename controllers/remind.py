"""``Remind``: ask again, with what was lost put back into the prompt.

Drift No More? (arXiv 2510.07777) restates the user's goal at fixed turns; the effect is sharp for about one turn and
a second reminder right after adds little. Notable choices here:

- a reading that alarms triggers it, or an answer that holds no action; never a turn number (the paper's own
  schedule is the preset :meth:`Remind.drift_no_more`);
- it restates what was lost: the rules where the reading is about them, the problem where the answer could not be read,
  otherwise the executor's own instruction (never the whole goal of a plan, which the executor must not see);
- the cool-down counts per cause, is no shorter than the effect lasts, and one cause gets one reminder a step.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from typing import Self

from pydantic import Field, field_validator, model_validator

from homeostat.controllers.core import ControlContext, Decision, Proceed, Reminder
from homeostat.controllers.settings import Settings
from homeostat.sensors.core import Reading

__all__ = ["Remind"]

_FIELDS = {"goal_text": {"instruction"}, "rules_text": {"rules"}, "unparsable_text": {"problem"}}


class Remind(Settings):
    """Restates the instruction, the rules or the answer's form when a reading alarms.

    - ``sensors``: whose alarms count; empty: any sensor's.
    - ``cooldown``: steps from one reminder to the next for the same cause (2: a reminder at step 3 allows one at
      step 5); at least ``lasts``, the steps that a reminder's effect is known to last.
    - ``budget``: reminders in an episode.
    - ``unparsable``: whether an answer that holds no action is a cause, too.
    - ``turns``: fixed turns, counted from 1, at which to remind whatever the readings say. Only with
      ``unparsable=False``, and then readings don't count.
    - ``goal_text``, ``rules_text``, ``unparsable_text``: the wording, with ``{instruction}``, ``{rules}`` and
      ``{problem}``.
    """

    name: str = Field(default="remind", min_length=1)
    sensors: frozenset[str] = frozenset()
    cooldown: int = Field(default=2, ge=1)
    lasts: int = Field(default=1, ge=1)
    budget: int = Field(default=6, ge=1)
    unparsable: bool = True
    turns: tuple[int, ...] = ()
    goal_text: str = "the goal is: {instruction}"
    rules_text: str = "keep to the rule: {rules}"
    unparsable_text: str = "The last answer could not be read: {problem}. Answer with one tool call."

    @classmethod
    def drift_no_more(cls) -> Remind:
        """The paper's schedule, theirs and not ours: the goal restated at turns 4 and 7 (arXiv 2510.07777, section 4).

        The paper puts the reminder before the turn; here the turn's first attempt has been made by then, so the step is
        attempted again with it.
        """
        return cls(turns=(4, 7), unparsable=False, cooldown=1, budget=2)

    @field_validator("goal_text", "rules_text", "unparsable_text")
    @classmethod
    def _known_fields(cls, text: str, info: object) -> str:
        allowed = _FIELDS[str(getattr(info, "field_name", ""))]
        found = {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
        if not found <= allowed:
            raise ValueError(f"unknown field {sorted(found - allowed)[0]!r}; known: {', '.join(sorted(allowed))}")
        return text

    @field_validator("turns")
    @classmethod
    def _rising_turns(cls, turns: tuple[int, ...]) -> tuple[int, ...]:
        if any(turn < 1 for turn in turns) or list(turns) != sorted(set(turns)):
            raise ValueError("turns count from 1 and rise, such as (4, 7)")
        return turns

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.cooldown < self.lasts:
            raise ValueError(
                f"cooldown={self.cooldown} is shorter than the effect lasts ({self.lasts} steps); "
                "a reminder would fall into the last one's effect"
            )
        if self.turns and (self.unparsable or self.sensors):
            raise ValueError(f"turns={self.turns} is a fixed schedule; set unparsable=False and leave sensors empty")
        return self

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Decision:
        """A :class:`Reminder` for the first cause that is neither cooling down nor answered in this step."""
        if context.phase != "attempt":
            return Proceed()
        mine = [r for r in context.decisions if r.controller == self.name and r.kind == "remind"]
        if len(mine) >= self.budget:
            return Proceed()
        for cause, text in self._causes(readings, context):
            if text and all(context.step - r.step >= self.cooldown for r in mine if r.cause == cause):
                return Reminder(text=text, cause=cause)
        return Proceed()

    def _causes(self, readings: Sequence[Reading], context: ControlContext) -> Iterator[tuple[str, str]]:
        """Every cause with its text, the most pressing first: without an action nothing else matters."""
        goal = self.goal_text.format(instruction=context.instruction)
        if self.turns:
            if context.step + 1 in self.turns:
                yield "turn", goal
            return
        if self.unparsable and context.unparsable is not None:
            yield "unparsable", self.unparsable_text.format(problem=context.unparsable.rstrip("."))
        for reading in readings:
            if not reading.alarm or (self.sensors and reading.sensor not in self.sensors):
                continue
            cause = f"{reading.sensor}:{reading.span}" if reading.span else reading.sensor
            lost_rules = reading.span == "rules" and context.rules
            yield cause, self.rules_text.format(rules="; ".join(context.rules)) if lost_rules else goal
