"""Builds the executor's prompt, and shortens one that does not fit the model's context.

Only a style that says so (``PromptStyle.compacts``) is shortened. The oldest earlier screenshots go first, then the
oldest actions of the history. System message, rules, goal, reminder, the present screen and the last action always
stay: a prompt that does not fit even so stays whole, and the model refuses it.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Literal

from homeostat.agent.loop.context import RunContext
from homeostat.agent.loop.state import EpisodeState
from homeostat.agent.models.protocol import Measuring
from homeostat.agent.prompts import act_prompt
from homeostat.sensors.chat.messages import Prompt

__all__ = ["Fitted", "fitted_prompt"]


@dataclass(frozen=True)
class Fitted:
    """A prompt that fits the model's context, as far as it can be made to.

    Attributes:
        prompt: The prompt.
        dropped: How many of the oldest screenshots and actions were left out; empty for a whole prompt.
    """

    prompt: Prompt
    dropped: dict[Literal["screens", "history"], int] = field(default_factory=dict)


def fitted_prompt(state: EpisodeState, context: RunContext) -> Fitted:
    """Builds the prompt of the present attempt.

    Args:
        state: The episode's state.
        context: The parts that the run works with: environment, models, sensors, controllers, trace.

    Returns:
        The prompt, and what was left out of it.
    """
    model, style = context.calls.model, context.calls.model.style
    earlier = [context.image(name) for name in state.subtask.screens]
    history = state.subtask.history[-style.history_length :]

    def without(count: int) -> Fitted:
        """The prompt without so many of the screenshots and then of the actions, the oldest first."""
        screens = min(count, len(earlier))
        actions = count - screens
        prompt = act_prompt(
            style,
            goal=state.instruction,
            rules=state.task.rules,
            history=history[actions:],
            observation=context.observe(),
            earlier=earlier[screens:],
            reminder=state.now.reminder,
            shown=state.now.shown,
        )
        found: dict[Literal["screens", "history"], int] = {"screens": screens, "history": actions}
        return Fitted(prompt, {name: number for name, number in found.items() if number})

    whole = without(0)
    if not (style.compacts and isinstance(model, Measuring)):
        return whole
    answer = context.limits.max_new_tokens
    if not model.excess(whole.prompt, answer):
        return whole
    most = len(earlier) + max(len(history) - 1, 0)
    shortest = without(most)
    if not most or model.excess(shortest.prompt, answer):
        return whole
    fits = bisect_left(range(most), True, lo=1, key=lambda count: not model.excess(without(count).prompt, answer))
    return without(fits)
