"""``Cascade``: composes several controllers. They are asked in order, and the first that wants something wins.

The cascade also bounds *corrections*: decisions that cost another model call or the user's time (remind, plan, ask,
steer, sample). Each controller may have a cool-down and a budget, all controllers share a budget, and one cause gets
one correction per step. The cascade has no state; it counts the records. Decisions that cost nothing, or that end a
subtask or the episode, are never held back: dispatch, replanning, hold, stop.

Before an action is carried out, whoever chose it, the loop calls :meth:`Cascade.refusal`, which asks every controller
that may refuse actions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from homeostat.actions import Action
from homeostat.components import component
from homeostat.controllers.context import ControlContext, Record
from homeostat.controllers.contracts import Confirming, Controller, ModelReadingRules, Planning, ReadingRules, Refusing
from homeostat.controllers.decisions import Confirm, Decision, MakePlan, Proceed, Refuse, Stop
from homeostat.controllers.settings import Settings
from homeostat.errors import UnknownName
from homeostat.sensors.readings import Reading

__all__ = ["CORRECTIONS", "Cascade", "Limit"]

CORRECTIONS = frozenset({"remind", "plan", "ask", "steer", "sample"})
"""The kinds of decisions that are bounded."""


class Limit(Settings):
    """Bounds for one controller's corrections.

    Attributes:
        cooldown: The least number of steps from one correction to the next.
        budget: The most corrections in an episode; None for no bound.
    """

    cooldown: int = Field(default=0, ge=0)
    budget: int | None = Field(default=None, ge=1)

    def allows(self, mine: Sequence[Record], step: int) -> bool:
        """Tells whether one more correction is within the bounds.

        Args:
            mine: The records of the controller's corrections so far.
            step: The present step, from 0.

        Returns:
            Whether the correction is allowed.
        """
        if self.budget is not None and len(mine) >= self.budget:
            return False
        return not mine or step - mine[-1].step >= self.cooldown


class Cascade(Settings):
    """Asks its controllers in order and returns the first decision other than :class:`Proceed`.

    The decision's ``by`` is the name of the controller that wanted it. If a controller's correction is held back, the
    next controller is asked.

    Attributes:
        controllers: The controllers, in the order in which they are asked.
        limits: The bounds of single controllers, by name.
        budget: The most corrections of all controllers together in an episode.
    """

    controllers: tuple[Any, ...] = ()
    limits: Mapping[str, Limit] = Field(default_factory=dict)
    budget: int = Field(default=16, ge=1)
    name: str = Field(default="cascade", min_length=1)

    def __init__(self, controllers: Sequence[Controller] = (), **data: Any) -> None:
        """Composes controllers.

        Args:
            controllers: The controllers, in the order in which they are asked.
            data: The other settings by name.

        Raises:
            ConfigError: Two controllers have the same name, two controllers plan, a controller is itself a cascade, or
                a limit's budget exceeds the cascade's.
            UnknownName: A limit names no controller of the cascade.
        """
        super().__init__(controllers=tuple(controllers), **data)
        names = [c.name for c in self.controllers]
        for name in self.limits:
            if name not in names:
                raise UnknownName.of("controller in limits", name, names)

    @property
    def sensors(self) -> frozenset[str]:
        """The sensors that the controllers use; empty (for all) if one of them uses all."""
        heard = [c.sensors for c in self.controllers]
        return frozenset().union(*heard) if all(heard) else frozenset()

    @field_validator("controllers")
    @classmethod
    def _are_controllers(cls, controllers: tuple[Any, ...]) -> tuple[Any, ...]:
        for c in controllers:
            if isinstance(c, type) or not isinstance(c, Controller):
                raise ValueError(f"{c!r} is not a controller; it needs name, sensors and decide(readings, context)")
            if isinstance(c, Cascade):
                raise ValueError(f"{c.name!r} is a cascade; list its controllers instead")
        return controllers

    @model_validator(mode="after")
    def _possible(self) -> Self:
        names = [c.name for c in self.controllers]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two controllers are named {name!r}; give each its own name")
        planners = [c.name for c in self.controllers if isinstance(c, Planning) and c.plans]
        if len(planners) > 1:
            raise ValueError(
                f"{' and '.join(map(repr, planners))} both plan, but an episode has one plan; keep one of them"
            )
        for name, limit in self.limits.items():
            if limit.budget is not None and limit.budget > self.budget:
                raise ValueError(
                    f"{name!r} may correct {limit.budget} times, but the cascade only {self.budget}; raise its budget"
                )
        return self

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Decision:
        """Returns the first decision that is wanted and within the bounds, else :class:`Proceed`.

        Raises:
            ComponentError: A controller raised an error; it is named.
        """
        for controller in self.controllers:
            heard = [r for r in readings if not controller.sensors or r.sensor in controller.sensors]
            with component("controller", controller.name):
                decision: Decision = controller.decide(heard, context)
            if not isinstance(decision, Proceed) and self._allowed(controller.name, decision, context):
                return decision.model_copy(update={"by": decision.by or controller.name})
        return Proceed()

    def refusal(self, action: Action, context: ControlContext) -> Refuse | Stop | None:
        """Asks every controller that may refuse actions about one that is about to be carried out.

        Args:
            action: The action, whoever proposed or chose it.
            context: The present screen, the rules and what happened so far.

        Returns:
            The first refusal, with the controller's name in ``by``; None if no controller refuses the action.

        Raises:
            ComponentError: A controller raised an error; it is named.
        """
        asked = _about(action, context)
        for controller in self.controllers:
            if not isinstance(controller, Refusing):
                continue
            with component("controller", controller.name):
                said = controller.refuse(action, asked)
            if said is not None:
                return said.model_copy(update={"by": said.by or controller.name})
        return None

    def confirmation(self, action: Action, context: ControlContext) -> Confirm | None:
        """Asks every controller that may want the user's consent about an action that no controller refuses.

        Args:
            action: The action, whoever proposed or chose it.
            context: The present screen or conversation, the rules and what happened so far.

        Returns:
            The first question, with the controller's name in ``by``; None if the action needs no consent.

        Raises:
            ComponentError: A controller raised an error; it is named.
        """
        asked = _about(action, context)
        for controller in self.controllers:
            if not isinstance(controller, Confirming):
                continue
            with component("controller", controller.name):
                said = controller.confirm(action, asked)
            if said is not None:
                return said.model_copy(update={"by": said.by or controller.name})
        return None

    def unread(self, rules: Sequence[str]) -> tuple[str, ...]:
        """Returns the rules that no controller understands as a whole.

        Args:
            rules: The episode's rules.

        Returns:
            The texts of these rules; none if no controller reads rules, because all rules are left to the model then.

        Raises:
            ComponentError: A controller raised an error; it is named.
        """
        missed: list[set[str]] = []
        for controller in self.controllers:
            if isinstance(controller, ReadingRules) and controller.reads_rules:
                with component("controller", controller.name):
                    missed.append(set(controller.unread(rules)))
        return tuple(rule for rule in rules if missed and all(rule in texts for texts in missed))

    def open_rules(self, rules: Sequence[str]) -> tuple[str, ...]:
        """Returns the rules that the model is to read at the episode's start.

        Args:
            rules: The episode's rules.

        Returns:
            The texts of the rules that a controller does not understand, or not as a whole, and wants the model to
            read; each once.

        Raises:
            ComponentError: A controller raised an error; it is named.
        """
        wanted: set[str] = set()
        for controller in self.controllers:
            if isinstance(controller, ModelReadingRules) and controller.read_by_model:
                with component("controller", controller.name):
                    wanted.update(controller.unread(rules))
        return tuple(dict.fromkeys(rule for rule in rules if rule in wanted))

    def _allowed(self, name: str, decision: Decision, context: ControlContext) -> bool:
        """Whether the decision is within the bounds."""
        if decision.kind == "hold":
            return not self._held(name, context)
        # Without the next plan, the episode would end at the end of a subtask.
        replans = isinstance(decision, MakePlan) and decision.plan is not None
        return decision.kind not in CORRECTIONS or replans or self._allows(name, decision.cause, context)

    @property
    def plans(self) -> bool:
        """Whether a controller asks for plans."""
        return any(isinstance(c, Planning) and c.plans for c in self.controllers)

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


def _about(action: Action, context: ControlContext) -> ControlContext:
    """The context in which controllers judge an action, whoever proposed or chose it."""
    return context.model_copy(update={"phase": "attempt", "action": action, "unparsable": None, "candidates": ()})
