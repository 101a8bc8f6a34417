"""The contracts of controllers. Controllers know readings, never models: they decide, and the loop acts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from homeostat.actions import Action
from homeostat.controllers.context import ControlContext
from homeostat.controllers.decisions import Confirm, Decision, Refuse, Stop
from homeostat.sensors.contracts import Capability
from homeostat.sensors.readings import Reading

__all__ = ["Confirming", "Controller", "Demanding", "ModelReadingRules", "Planning", "ReadingRules", "Refusing"]


@runtime_checkable
class Controller(Protocol):
    """Turns readings into a decision.

    A controller keeps no state: its earlier decisions are in ``context.decisions``.
    :func:`~homeostat.controllers.check_controller` tests whether an object satisfies this contract.
    """

    @property
    def name(self) -> str:
        """The controller's name, unique within an agent. It may be a plain attribute."""
        ...

    @property
    def sensors(self) -> frozenset[str]:
        """The names of the sensors whose readings it uses; empty for all. It may be a plain attribute."""
        ...

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Decision:
        """Decides what happens next.

        The method is called in every phase and never raises an error for a valid context.

        Args:
            readings: The readings of the controller's sensors for the last attempt; empty in the phases ``start`` and
                ``planned``.
            context: The phase, the goal, the plan and what happened so far.

        Returns:
            The decision; ``Proceed`` if the controller wants nothing.
        """
        ...


@runtime_checkable
class Demanding(Protocol):
    """An addition to a controller whose decisions need a capability of the model."""

    @property
    def needs(self) -> frozenset[Capability]:
        """The capabilities that the model must have, such as ``"steering"``. It may be a plain attribute."""
        ...


@runtime_checkable
class Planning(Controller, Protocol):
    """A controller that may ask for plans (``MakePlan``). An agent has at most one such controller."""

    @property
    def plans(self) -> bool:
        """Whether it asks for plans. It may be a plain attribute."""
        ...


@runtime_checkable
class Refusing(Controller, Protocol):
    """A controller that may forbid an action.

    The loop asks every such controller immediately before an action is carried out, whoever proposed or chose it.
    """

    def refuse(self, action: Action, context: ControlContext) -> Refuse | Stop | None:
        """Judges an action that is about to be carried out.

        Args:
            action: The action.
            context: The present screen, the rules and what happened so far.

        Returns:
            A refusal, the end of the episode, or None if the action is allowed.
        """
        ...


@runtime_checkable
class Confirming(Controller, Protocol):
    """A controller that may want the user's consent to an action.

    The loop asks every such controller about an action that no controller refuses, whoever proposed or chose it.
    """

    def confirm(self, action: Action, context: ControlContext) -> Confirm | None:
        """Judges an action that is about to be carried out.

        Args:
            action: The action.
            context: The present screen or conversation, the rules and what happened so far.

        Returns:
            The question to the user; None if the action needs no consent.
        """
        ...


@runtime_checkable
class ReadingRules(Controller, Protocol):
    """A controller that understands rules in words. The episode's first event names the rules that none understands."""

    @property
    def reads_rules(self) -> bool:
        """Whether it reads the episode's rules. It may be a plain attribute."""
        ...

    def unread(self, rules: Sequence[str]) -> tuple[str, ...]:
        """Returns the rules that it does not understand, or not as a whole.

        Args:
            rules: The rules' texts.

        Returns:
            The texts of these rules.
        """
        ...


@runtime_checkable
class ModelReadingRules(ReadingRules, Protocol):
    """A controller for which the model reads rules at the episode's start: those that :meth:`unread` returns.

    What the model understood is in ``context.model_rules`` afterwards.
    """

    @property
    def read_by_model(self) -> bool:
        """Whether it wants that. It may be a plain attribute."""
        ...
