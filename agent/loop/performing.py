"""Carries an action out exactly once, also where the process dies in the middle of it.

Before the environment is touched, the checkpoint that led to the action and an intent are on disk; after it, the
outcome is. A resumed run finds what its predecessor left. An environment that can be put back simply repeats the step.
Any other one is observed again, and where the screen can't tell whether the action was carried out, the user is asked.
If there is nobody to ask, the episode ends as ``uncertain``: an action is never carried out twice on a guess.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal

from homeostat.actions import Action
from homeostat.agent.loop.context import RunContext
from homeostat.agent.loop.intents import Intent
from homeostat.agent.loop.replies import said_yes
from homeostat.agent.loop.state import EpisodeState
from homeostat.errors import ActionError

__all__ = ["Outcome", "perform", "settle"]


@dataclass(frozen=True)
class Outcome:
    """What came of an action.

    Attributes:
        error: Why the environment refused it; "" where it was carried out.
        settled: How a resumed run knows that its predecessor carried the action out: ``"recorded"`` by the predecessor
            itself, ``"changed"`` as the screen has changed, ``"asked"`` of the user. "" for an action of this process.
        uncertain: Why nobody knows whether it was carried out; "" otherwise.
    """

    error: str = ""
    settled: Literal["", "recorded", "changed", "asked"] = ""
    uncertain: str = ""


def perform(action: Action, state: EpisodeState, context: RunContext) -> Outcome:
    """Carries an action out, between an intent and its outcome.

    Args:
        action: The action.
        state: The episode's state.
        context: The parts that the run works with.

    Returns:
        The outcome.

    Raises:
        CheckpointError: The checkpoint or the intent can't be written. Nothing was carried out then.
        EnvError: The environment failed, or did not return in time.
        ComponentError: The environment raised an error that is none of its contract's.
    """
    context.calls.wait(state.emitted)
    intent = None
    if context.intents is not None:
        intent = context.intents.begin(state.step, action, context.observe().fingerprint)
    error = ""
    try:
        with context.telemetry.act(action) if context.telemetry is not None else nullcontext():
            context.env.act(action)
    except ActionError as refused:
        error = str(refused)
    if context.intents is not None and intent is not None:
        context.intents.close_intent(intent, error)
    return Outcome(error=error)


def settle(state: EpisodeState, context: RunContext) -> Outcome | None:
    """Finds out what came of an action that a predecessor of this process may have carried out.

    Args:
        state: The episode's state.
        context: The parts that the run works with.

    Returns:
        The outcome; None where the step's action is still to be carried out.
    """
    intent, context.unsettled = context.unsettled, None
    if intent is None or intent.step != state.step or context.env.repeatable(intent.action):
        return None
    if intent.outcome != "open":
        return Outcome(error=intent.error, settled="recorded")
    if context.observe().fingerprint != intent.screen:
        return Outcome(settled="changed")
    return _asked(intent, context)


def _asked(intent: Intent, context: RunContext) -> Outcome | None:
    """The user's word for it; None where the action was not carried out."""
    what = f"step {intent.step + 1} ({intent.action.model_dump_json(exclude_defaults=True)})"
    doubt = f"the run was interrupted in {what}, and the screen does not tell whether it was carried out"
    if context.on_ask is None:
        return Outcome(uncertain=doubt)
    answer = context.on_ask(f"{doubt}. Was it? Answer yes or no.")
    done = said_yes(answer)
    if done is None:
        return Outcome(uncertain=f"{doubt}; the answer was {answer.strip()[:80]!r}")
    return Outcome(settled="asked") if done else None
