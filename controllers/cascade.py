"""``Cascade``: several controllers as one. Their order is data; the first that wants something wins.

The cascade also keeps corrections within bounds, from the records alone (it has no state): a cool-down and a budget
for each controller, a budget for all of them together, and one correction per cause in a step. A *correction* is a
decision that costs another model call or the user's time: remind, plan, ask, steer, sample. What ends a part or the
episode, or costs nothing, is never held back: dispatch, the next plan of one that is under way, hold, stop. An action
that one controller chooses in the attempt's place is put to the others first: one that refuses it has the last word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from homeostat.controllers.core import (
    Choose,
    ControlContext,
    Controller,
    Decision,
    MakePlan,
    Perform,
    Proceed,
    Record,
    Refuse,
)
from homeostat.controllers.decompose import Decompose
from homeostat.controllers.settings import Settings
from homeostat.errors import UnknownName
from homeostat.sensors.core import Reading

__all__ = ["CORRECTIONS", "Cascade", "Limit"]

CORRECTIONS = frozenset({"remind", "plan", "ask", "steer", "sample"})


class Limit(Settings):
    """Bounds for one controller's corrections: ``cooldown`` steps from one to the next, ``budget`` in an episode."""

    cooldown: int = Field(default=0, ge=0)
    budget: int | None = Field(default=None, ge=1)

    def allows(self, mine: Sequence[Record], step: int) -> bool:
        """Whether one more correction may be taken at ``step``, after those in ``mine``."""
        if self.budget is not None and len(mine) >= self.budget:
            return False
        return not mine or step - mine[-1].step >= self.cooldown


class Cascade(Settings):
    """Asks its controllers in order and returns the first decision other than :class:`Proceed`.

    The decision's ``by`` is the name of the controller that wanted it. ``limits`` maps names to :class:`Limit`;
    ``budget`` bounds all corrections of an episode. A controller whose correction is held back counts as proceeding,
    so the next one is asked. Raises :class:`~homeostat.errors.ConfigError` for two controllers of one name, two
    that plan, a cascade inside a cascade, or a limit above the whole budget, and ``UnknownName`` for a limit of nobody.
    """

    controllers: tuple[Any, ...] = ()
    limits: Mapping[str, Limit] = Field(default_factory=dict)
    budget: int = Field(default=16, ge=1)
    name: str = Field(default="cascade", min_length=1)

    def __init__(self, controllers: Sequence[Controller] = (), **data: Any) -> None:
        """``controllers`` in the order in which they are asked."""
        super().__init__(controllers=tuple(controllers), **data)
        names = [c.name for c in self.controllers]
        for name in self.limits:
            if name not in names:
                raise UnknownName.of("controller in limits", name, names)

    @property
    def sensors(self) -> frozenset[str]:
        """Every sensor that some controller acts on; empty (any) where one of them takes any."""
        heard = [c.sensors for c in self.controllers]
        return frozenset().union(*heard) if all(heard) else frozenset()

    @field_validator("controllers")
    @classmethod
    def _are_controllers(cls, controllers: tuple[Any, ...]) -> tuple[Any, ...]:
        for c in controllers:
            if isinstance(c, type) or not isinstance(c, Controller):
                raise ValueError(f"{c!r} is no controller; it needs name, sensors and decide(readings, context)")
            if isinstance(c, Cascade):
                raise ValueError(f"{c.name!r} is a cascade; list its controllers instead")
        return controllers

    @model_validator(mode="after")
    def _possible(self) -> Self:
        names = [c.name for c in self.controllers]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two controllers are named {name!r}; give each its own name")
        planners = [c.name for c in self.controllers if isinstance(c, Decompose)]
        if len(planners) > 1:
            raise ValueError(f"{' and '.join(map(repr, planners))} both plan; an episode has one plan, keep one")
        for name, limit in self.limits.items():
            if limit.budget is not None and limit.budget > self.budget:
                raise ValueError(
                    f"{name!r} may correct {limit.budget} times but the cascade only {self.budget}; raise budget"
                )
        return self

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Decision:
        """The first decision that is wanted and within bounds; :class:`Proceed` where there is none."""
        for controller in self.controllers:
            heard = [r for r in readings if not controller.sensors or r.sensor in controller.sensors]
            decision: Decision = controller.decide(heard, context)
            if isinstance(decision, Proceed):
                continue
            if decision.kind == "hold" and self._held(controller.name, context):
                continue
            onward = (
                isinstance(decision, MakePlan) and decision.plan is not None
            )  # a part has ended: held back, it would end all
            if (
                decision.kind in CORRECTIONS
                and not onward
                and not self._allows(controller.name, decision.cause, context)
            ):
                continue
            decision = decision.model_copy(update={"by": decision.by or controller.name})
            return self._refused(decision, context) or decision
        return Proceed()

    def _refused(self, decision: Decision, context: ControlContext) -> Decision | None:
        """What a controller that refuses actions has to say of one that another one chose; None: nothing."""
        index = decision.index if isinstance(decision, Choose) else None
        if index is not None:
            action = context.candidates[index].action if index < len(context.candidates) else None
        else:
            action = decision.action if isinstance(decision, Perform) else None
        if action is None:
            return None
        asked = context.model_copy(update={"phase": "attempt", "action": action, "unparsable": None, "candidates": ()})
        for controller in self.controllers:
            said = controller.decide((), asked) if controller.name != decision.by else None
            if isinstance(said, Refuse):
                return said.model_copy(update={"by": controller.name, "candidate": index})
        return None

    @property
    def plans(self) -> bool:
        """Whether some controller splits goals."""
        return any(isinstance(c, Decompose) for c in self.controllers)

    @property
    def steers(self) -> bool:
        """Whether some controller steers the model's attention."""
        return any(getattr(c, "steers", False) for c in self.controllers)

    @staticmethod
    def _held(name: str, context: ControlContext) -> bool:
        now = (context.phase, context.step, context.attempt)
        return any(
            (r.phase, r.step, r.attempt, r.controller, r.kind) == (*now, name, "hold") for r in context.decisions
        )

    def _allows(self, name: str, cause: str, context: ControlContext) -> bool:
        taken = [r for r in context.decisions if r.kind in CORRECTIONS]
        if len(taken) >= self.budget:
            return False
        if any(r.step == context.step and r.cause == cause for r in taken):
            return False
        mine = [r for r in taken if r.controller == name]
        return self.limits.get(name, Limit()).allows(mine, context.step)
