"""Turn-taking: who speaks next, when the work is over, and which message ended a turn.

All of it follows from the finished turns alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from homeostat.actions import Answer, Question
from homeostat.agent.events import Act, Event
from homeostat.agent.teams.bus import Said
from homeostat.agent.teams.results import TeamEnding, TeamTurn
from homeostat.agent.teams.roles import TeamSpec
from homeostat.agent.teams.seat import asked_member

__all__ = ["ending", "message_of", "next_speaker"]

_NO_ANSWER = "(no answer: {reason})"


def next_speaker(spec: TeamSpec, turns: Sequence[TeamTurn]) -> str:
    """Says who has the floor.

    Args:
        spec: The team.
        turns: The finished turns.

    Returns:
        The next in the fixed order; with a leader, the member whom it asked last, else the leader.
    """
    if not spec.leader:
        return spec.speakers[len(turns) % len(spec.speakers)]
    last = turns[-1].said if turns else None
    return last.to if last is not None and last.by == spec.leader else spec.leader


def ending(spec: TeamSpec, turns: Sequence[TeamTurn], seconds: float) -> TeamEnding | None:
    """Says whether the work is over before the next turn, and how.

    Args:
        spec: The team.
        turns: The finished turns.
        seconds: How long the team has worked.

    Returns:
        How it ended; None while it goes on.
    """
    last, limits = turns[-1] if turns else None, spec.limits
    if last is not None and last.member == spec.leader and (last.said is None or not last.said.to):
        return "silent" if last.said is None else "answered"
    if last is not None and last.said is not None and _ends(spec, last.said):
        return "answered"
    if not spec.leader and len(turns) >= spec.rounds * len(spec.speakers):
        return "finished"
    used_up = limits.tokens is not None and sum(turn.tokens for turn in turns) >= limits.tokens
    late = limits.seconds is not None and seconds >= limits.seconds
    return "budget" if used_up or late or len(turns) >= limits.turns else None


def message_of(spec: TeamSpec, member: str, events: Sequence[Event], reason: str) -> Said | None:
    """Finds the message that ended a turn.

    Args:
        spec: The team.
        member: Who had the floor.
        events: The events of the turn.
        reason: Why the turn ended.

    Returns:
        The message; None where there is none. A leader who waits for an answer is told why there is none.
    """
    to = spec.leader if member != spec.leader else ""
    for event in reversed(events):
        if not isinstance(event, Act) or event.outcome != "done":
            continue
        if isinstance(event.action, Answer | Question):
            return Said(by=member, text=event.action.text, to=to)
        if member == spec.leader and (call := asked_member(event.action)) is not None:
            return Said(by=member, text=str(call.arguments["message"]), to=str(call.arguments["name"]))
    return Said(by=member, text=_NO_ANSWER.format(reason=reason), to=to) if to else None


def _ends(spec: TeamSpec, said: Said) -> bool:
    """Whether a message holds the word that ends the work, said by a member who may end it."""
    return bool(spec.until) and spec.until in said.text and said.by in (spec.enders or (said.by,))
