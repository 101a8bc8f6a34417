"""One turn of a team's member as an environment: the bus so far, the member's own tools, and handing the floor over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from homeostat.actions import Action, Call, calls_of
from homeostat.agent.teams.bus import ASK
from homeostat.conversation import Conversation, ToolSpec
from homeostat.envs.core import TaskInfo
from homeostat.envs.tools import Tool, ToolEnv
from homeostat.errors import ActionError
from homeostat.observation import Observation

__all__ = ["Seat", "ask_spec", "asked_member"]


def asked_member(action: Action | None) -> Call | None:
    """Finds the call by which a leader gives the floor to a member.

    Args:
        action: An action that was carried out; None for none.

    Returns:
        The call of ``ask_member``; None if the action holds none.
    """
    return next((call for call in calls_of(action) if call.tool == ASK), None)


class Seat:
    """The environment of one turn.

    The episode ends when the member answers in words, or when a leader gives the floor to somebody.

    Attributes:
        restores: Always False: what a tool did can't be put back.
    """

    restores = False

    def __init__(self, tools: Sequence[Tool], bus: Conversation, *, may_ask: Sequence[str] = ()) -> None:
        """Builds the environment.

        Args:
            tools: The tools that the member may call.
            bus: The conversation before this turn, with the member's system message.
            may_ask: The members to whom it may give the floor; empty for a member that is no leader.

        Raises:
            ConfigError: A tool has the name ``ask_member``, which is the leader's own.
        """
        self._bus, self._may_ask = bus, tuple(may_ask)
        self._floor = ""
        own = [Tool(ask_spec(self._may_ask), self._hand_over)] if may_ask else []
        self._inner = ToolEnv([*tools, *own], system=bus.system)

    def reset_task(self, task: str | None = None, *, seed: int | None = None) -> TaskInfo:
        """Starts the turn; there are no tasks."""
        self._floor = ""
        return self._inner.reset_task(task, seed=seed)

    def observe(self) -> Observation:
        """Returns the bus and, behind it, what the member has done in this turn."""
        seen = self._inner.observe().conversation or Conversation()
        return Observation(conversation=seen.model_copy(update={"turns": (*self._bus.turns, *seen.turns)}))

    def act(self, action: Action) -> None:
        """Calls tools, gives the floor to a member, or ends the turn with a message.

        Raises:
            ActionError: A tool is unknown, its arguments don't fit, or it failed.
        """
        self._inner.act(action)

    def repeatable(self, action: Action) -> bool:
        """Tells whether every tool that an action calls may be called twice.

        Args:
            action: The action.

        Returns:
            Whether twice has the same effect as once.
        """
        return self._inner.repeatable(action)

    @property
    def ended(self) -> str:
        """The reason why the turn is over; "" while it goes on."""
        return f"the floor was given to {self._floor}" if self._floor else self._inner.ended

    def success(self) -> bool:
        """Always False: nothing judges a turn."""
        return False

    def snapshot(self) -> dict[str, Any]:
        """The turn so far. What the tools did is not part of it."""
        return {"floor": self._floor, "turn": self._inner.snapshot()}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Restores the turn. The world that the tools act on stays as it is."""
        self._floor = snapshot["floor"]
        self._inner.restore(snapshot["turn"])

    def _hand_over(self, arguments: dict[str, Any]) -> str:
        if self._floor:
            raise ActionError(f"the floor was already given to {self._floor!r}; ask one member in a turn")
        self._floor = arguments["name"]
        return f"{self._floor} answers next"


def ask_spec(members: Sequence[str]) -> ToolSpec:
    """Describes the leader's tool.

    Args:
        members: The members to whom the floor may be given.

    Returns:
        What the leader is told about ``ask_member``.
    """
    properties = {
        "name": {"type": "string", "enum": list(members), "description": "The member who speaks next."},
        "message": {"type": "string", "minLength": 1, "description": "What the member is to do."},
    }
    schema = {"type": "object", "properties": properties, "required": ["name", "message"]}
    described = "Gives an instruction to a member of the team, who answers. Answer in words to end the work."
    return ToolSpec(name=ASK, description=described, parameters=schema, repeatable=True, changes=False)
