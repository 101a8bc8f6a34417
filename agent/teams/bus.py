"""The message bus of a team: who said what to whom, and what each member sees of it in its prompt."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from homeostat.actions import Call
from homeostat.agent.teams.roles import TeamSpec
from homeostat.conversation import Conversation, Turn
from homeostat.sensors.chat.wording import fill

__all__ = ["ASK", "Said", "heard", "member_conversation"]

ASK = "ask_member"
"""The tool by which a leader instructs a member and gives it the floor."""


class Said(BaseModel):
    """One message on the bus.

    Attributes:
        by: The member who wrote it.
        text: What it wrote.
        to: The member who hears it; "" for all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str
    text: str
    to: str = ""


def heard(said: Sequence[Said], name: str) -> list[Said]:
    """Finds what a member knows of.

    Args:
        said: All messages, in order.
        name: The member's name.

    Returns:
        The messages that it wrote, that went to it, or that went to all.
    """
    return [one for one in said if one.to in ("", name) or one.by == name]


def member_conversation(spec: TeamSpec, name: str, said: Sequence[Said]) -> Conversation:
    """Shows the bus to a member.

    Its own messages are the assistant's turns; every other message is a user's turn. A leader sees its instructions as
    calls of ``ask_member``, and the members' answers as the results of these.

    Args:
        spec: The team.
        name: The member's name.
        said: All messages, in order.

    Returns:
        The conversation, without tools. Another member's message has the label ``agent.NAME``.

    Raises:
        UnknownName: The team has no such member.
    """
    turns: list[Turn] = []
    for one in heard(said, name):
        label = f"agent.{one.by}"
        if one.by == name and one.to:
            call = Call(tool=ASK, arguments={"name": one.to, "message": one.text})
            turns.append(Turn(role="assistant", calls=(call,)))
        elif one.by == name:
            turns.append(Turn(role="assistant", text=one.text))
        elif turns and turns[-1].calls and one.to == name:
            turns.append(Turn(role="tool", tool=ASK, text=one.text, label=label))
        else:
            text = fill(spec.wording.message, name=one.by, text=one.text).text
            turns.append(Turn(role="user", text=text, label=label))
    return Conversation(system=spec.system_text(name), turns=tuple(turns))
