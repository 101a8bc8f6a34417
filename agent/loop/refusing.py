"""The check immediately before an action: every controller that may refuse actions is asked about it."""

from __future__ import annotations

from homeostat.actions import Action
from homeostat.agent.loop.context import RunContext
from homeostat.agent.loop.state import EpisodeState
from homeostat.controllers.decisions import Refuse, Stop

__all__ = ["refusal"]


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
    if action is None:
        return None
    return context.cascade.refusal(action, state.context(context.observe(), context.elapsed()))
