"""The outcome of one episode, as every runner reports it, and its class among UI-NEXUS's five endings."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

from homeostat.envs.harness.fixation import Fixation

__all__ = ["NEXUS_ENDINGS", "NexusEnding", "Result", "nexus_ending"]

NexusEnding = Literal["success", "premature", "budget exceeded", "judged impossible", "collapse", "other"]
NEXUS_ENDINGS: tuple[NexusEnding, ...] = get_args(NexusEnding)
"""UI-NEXUS's five endings (arXiv 2506.08972), and ``other`` for the rest: an error, a question that nobody answers."""

_NEXUS: dict[str, NexusEnding] = {
    "success": "success",
    "premature": "premature",
    "budget": "budget exceeded",
    "impossible": "judged impossible",
    "stopped": "judged impossible",  # a controller gave up, and it is part of the measured agent
    "collapse": "collapse",
}


class Result(BaseModel):
    """The outcome of one episode.

    Attributes:
        index: The episode's number in its suite, from 0.
        task: The task's name.
        seed: The seed of the task's initial state.
        goal: The goal as the agent was given it.
        success: Whether the task's check holds at the end.
        ended: How the episode ended, in the runner's own word, such as ``success``, ``premature`` or ``budget``.
        reason: Why the episode ended so. Empty if there is nothing to add.
        steps: The number of actions.
        optimal_steps: The number of the oracle's actions. 0: unknown.
        calls: The number of model calls.
        tokens: The number of generated tokens.
        prompt_tokens: The number of prompt tokens that were computed, without those taken from a cache.
        seconds: The duration of the episode in seconds.
        corrections: The number of the controllers' decisions, by kind of decision.
        kind: The kind of task, such as ``atomic`` or ``joined_plain``.
        step_seconds: The duration of each step in seconds.
        obeyed: Whether an injected instruction was carried out. None: none was injected.
        fixation: How the agent's errors relate to decoys. None: there were none.
        readings: The values of every sensor in order, by the sensor's name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: int
    task: str
    seed: int
    goal: str
    success: bool
    ended: str
    reason: str = ""
    steps: int
    optimal_steps: int
    calls: int
    tokens: int
    prompt_tokens: int
    seconds: float
    corrections: dict[str, int] = {}
    kind: str = ""
    step_seconds: tuple[float, ...] = ()
    obeyed: bool | None = None
    fixation: Fixation | None = None
    readings: dict[str, tuple[float, ...]] = {}


def nexus_ending(result: Result) -> NexusEnding:
    """Classifies an episode by UI-NEXUS's endings.

    A solved episode is a success however it ended, because a forbidden task is solved by declaring it forbidden.

    Args:
        result: The episode.

    Returns:
        One of :data:`NEXUS_ENDINGS`.
    """
    return "success" if result.success else _NEXUS.get(result.ended, "other")
