"""The last word on an action: every controller that refuses actions is asked about the one that is about to be done."""

from __future__ import annotations

from homeostat.actions import Action
from homeostat.agent.loop.context import RunContext
from homeostat.agent.loop.state import EpisodeState
from homeostat.controllers.decisions import Refuse, Stop

__all__ = ["refusal"]


def refusal(action: Action | None, state: EpisodeState, context: RunContext) -> Refuse | Stop | None:
    """Asks the controllers that refuse actions about an action, whoever proposed or chose it.

    Args:
        action: The action that is about to be carried out; None where there is none.
        state: The episode's state.
        context: What travels beside it.

    Returns:
        The first refusal, or the end of the episode; None where nobody refuses the action.

    Raises:
        ComponentError: A controller raised an error; it is named.
    """
    if action is None:
        return None
    return context.cascade.refusal(action, state.context(context.observe(), context.elapsed()))
