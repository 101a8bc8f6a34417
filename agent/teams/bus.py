"""The message bus of a team: who said what to whom, and what each member sees of it in its prompt."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from homeostat.agent.teams.roles import TeamSpec
from homeostat.conversation import Conversation, ToolSpec, Turn
from homeostat.sensors.chat.wording import fill

__all__ = ["Said", "heard", "member_conversation"]


class Said(BaseModel):
    """One message on the bus.

    Attributes:
        by: The member who wrote it.
        text: What it wrote.
        to: The members who hear it; empty for all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str
    text: str
    to: tuple[str, ...] = ()


def heard(said: Sequence[Said], name: str) -> list[Said]:
    """Finds what a member knows of.

    Args:
        said: All messages, in order.
        name: The member's name.

    Returns:
        The messages that it wrote, that went to it, or that went to all.
    """
    return [one for one in said if not one.to or name in one.to or one.by == name]


def member_conversation(
    spec: TeamSpec, name: str, said: Sequence[Said], tools: Sequence[ToolSpec] = ()
) -> Conversation:
    """Shows the bus to a member: its own messages are the assistant's turns, every other one is a user's turn.

    Args:
        spec: The team.
        name: The member's name.
        said: All messages, in order.
        tools: The tools that the member may call.

    Returns:
        The conversation. Another member's message has the label ``agent.NAME``.

    Raises:
        UnknownName: The team has no such member.
    """
    turns = []
    for one in heard(said, name):
        if one.by == name:
            turns.append(Turn(role="assistant", text=one.text))
        else:
            text = fill(spec.wording.message, name=one.by, text=one.text).text
            turns.append(Turn(role="user", text=text, label=f"agent.{one.by}"))
    return Conversation(system=spec.system_text(name), turns=tuple(turns), tools=tuple(tools))
