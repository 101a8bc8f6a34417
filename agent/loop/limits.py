"""The limits of one episode."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["LoopLimits"]


class LoopLimits(BaseModel):
    """Bounds on one episode: its calls, its tokens and its time.

    Attributes:
        attempts: The most model calls that a step may have. Its last action is then carried out, whatever the
            controllers want (except for one that refuses the action).
        garbled: So many answers in a row that hold no action end the episode.
        max_new_tokens: The most tokens of an answer.
        plan_tokens: The most tokens of a planner's or a reporter's answer.
        temperature: The sampling temperature of attempts; 0 decodes greedily.
        constrained: Whether a turn of a conversation with tools is held to the tools' JSON schema, with a model that
            can decode under one. It is then one call with arguments that fit, or an answer; never several calls.
        env_seconds: The deadline of one call of an environment that can't be put back, such as a device, in seconds;
            None for no deadline.
        seconds: The deadline of one model call, in seconds; None for no deadline. A call that is not done by then
            returns what it has, which may be no token at all.
        tokens: The most tokens that the models may generate in the episode, in all calls together; None for no bound.
            The episode then ends as ``"budget"``.
        episode_seconds: The most wall-clock seconds of the episode; None for no bound. A model call that is running
            then ends too, and the episode ends as ``"budget"``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    attempts: int = Field(default=4, ge=1)
    garbled: int = Field(default=3, ge=1)
    max_new_tokens: int = Field(default=128, ge=1)
    plan_tokens: int = Field(default=256, ge=1)
    temperature: float = Field(default=0.0, ge=0.0)
    constrained: bool = False
    seconds: float | None = Field(default=None, gt=0.0)
    env_seconds: float | None = Field(default=120.0, gt=0.0)
    tokens: int | None = Field(default=None, ge=1)
    episode_seconds: float | None = Field(default=None, gt=0.0)

    def exhausted(self, tokens: int, seconds: float) -> str:
        """Says which budget of the episode is used up.

        Args:
            tokens: The tokens that were generated so far.
            seconds: The seconds that the episode has run.

        Returns:
            The reason, such as ``all 500 tokens were used``; "" where something of every budget is left.
        """
        if self.tokens is not None and tokens >= self.tokens:
            return f"all {self.tokens} tokens were used"
        if self.episode_seconds is not None and seconds >= self.episode_seconds:
            return f"all {self.episode_seconds:g} s were used"
        return ""
