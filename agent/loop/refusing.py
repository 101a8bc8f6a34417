"""The check immediately before an action: every controller that may refuse it, or may want consent, is asked."""

from __future__ import annotations

from homeostat.actions import Action
from homeostat.agent.loop.context import RunContext
from homeostat.agent.loop.state import EpisodeState
from homeostat.controllers.decisions import Confirm, Refuse, Stop

__all__ = ["confirmation", "refusal"]


def refusal(action: Action | None, state: EpisodeState, context: RunContext) -> Refuse | Stop | None:
    """Asks the controllers that may refuse actions about an action, whoever proposed or chose it.

    Args:
        action: The action that is about to be carried out; None for no action.
        state: The episode's state.
        context: The parts that the run works with: environment, models, sensors, controllers, trace.

    Returns:
        The first refusal, or a decision to stop the episode; None if no controller refuses the action.

    Raises:
        ComponentError: A controller raised an error. The message names it.
    """
    if action is None or not context.judges_actions:
        return None
    return context.cascade.refusal(action, state.context(context.observe(), context.elapsed()))


def confirmation(action: Action | None, state: EpisodeState, context: RunContext) -> Confirm | None:
    """Asks the controllers that may want the user's consent about an action that no controller refuses.

    Args:
        action: The action that is about to be carried out; None for no action.
        state: The episode's state.
        context: The parts that the run works with: environment, models, sensors, controllers, trace.

    Returns:
        The question to the user; None where none is needed, or the user has allowed the step's action already.

    Raises:
        ComponentError: A controller raised an error. The message names it.
    """
    if action is None or state.now.allowed or not context.judges_actions:
        return None
    return context.cascade.confirmation(action, state.context(context.observe(), context.elapsed()))
