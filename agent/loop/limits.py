"""The limits of one episode."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["LoopLimits"]


class LoopLimits(BaseModel):
    """Bounds on one episode's model calls.

    Attributes:
        attempts: The most model calls that a step may have. Its last action is then carried out, whatever the
            controllers want (except for one that refuses the action).
        garbled: So many answers in a row that hold no action end the episode.
        max_new_tokens: The most tokens of an answer.
        plan_tokens: The most tokens of a planner's or a reporter's answer.
        temperature: The sampling temperature of attempts; 0 decodes greedily.
        env_seconds: The deadline of one call of an environment that can't be put back, such as a device, in seconds;
            None for no deadline.
        seconds: The deadline of one model call, in seconds; None for no deadline.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    attempts: int = Field(default=4, ge=1)
    garbled: int = Field(default=3, ge=1)
    max_new_tokens: int = Field(default=128, ge=1)
    plan_tokens: int = Field(default=256, ge=1)
    temperature: float = Field(default=0.0, ge=0.0)
    seconds: float | None = Field(default=None, gt=0.0)
    env_seconds: float | None = Field(default=120.0, gt=0.0)
