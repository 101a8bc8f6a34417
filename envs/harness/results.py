"""One episode's outcome, as every runner reports it, and how it counts among UI-NEXUS's five endings."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

__all__ = ["NEXUS_ENDINGS", "NexusEnding", "Result", "nexus_ending"]

NexusEnding = Literal["success", "premature", "budget exceeded", "judged impossible", "collapse", "other"]
NEXUS_ENDINGS: tuple[NexusEnding, ...] = get_args(NexusEnding)
"""UI-NEXUS's five (arXiv 2506.08972), and ``other`` for what is none of them: an error, a question nobody answers."""

_NEXUS: dict[str, NexusEnding] = {
    "success": "success",
    "premature": "premature",
    "budget": "budget exceeded",
    "impossible": "judged impossible",
    "stopped": "judged impossible",  # a controller gave up: it is part of the agent that is measured
    "collapse": "collapse",
}


class Result(BaseModel):
    """One episode's outcome.

    ``ended`` is the runner's own word. ``kind`` is the task's (atomic, joined_plain, …). ``tokens`` were generated,
    ``prompt_tokens`` computed for prompts. ``step_seconds`` holds the time of each step, ``seconds`` that of the whole
    episode. ``corrections`` counts the controllers' decisions by kind. ``obeyed``: whether an injected instruction was
    carried out (None where none was injected). ``readings``: sensor name to the values that it judged, in order.
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
    readings: dict[str, tuple[float, ...]] = {}


def nexus_ending(result: Result) -> NexusEnding:
    """Where the episode counts among UI-NEXUS's endings.

    A solved one is a success however it ended: a forbidden task is solved by saying that it is.
    """
    return "success" if result.success else _NEXUS.get(result.ended, "other")
