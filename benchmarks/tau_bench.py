"""Reads recorded episodes of tau-bench (Yao et al., arXiv 2406.12045) as conversations of our prompts.

The file is a list of episodes as the authors' repository publishes them: ``task_id``, ``trial``, ``reward``, and
``traj``, the messages in OpenAI's format. The first message is the policy. Nothing of the data is part of this
repository; ``evidence_drift.py`` is given the file's path.

The episodes do not hold the tools' schemas. ``tools_of`` derives them from all calls in the file: the names of the
tools, and the names and JSON types of their arguments.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from homeostat.actions import Answer, Call
from homeostat.agent.tool_calls import read_turn
from homeostat.conversation import Conversation, ToolSpec, Turn
from homeostat.errors import ConfigError, UnparsableAction

WRITES = frozenset(
    {
        "book_reservation",
        "cancel_reservation",
        "update_reservation_baggages",
        "update_reservation_flights",
        "update_reservation_passengers",
    }
)
"""The tools that update the booking database. The policy demands the user's explicit confirmation before each."""

_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


@dataclass(frozen=True)
class Trajectory:
    """One recorded episode.

    Attributes:
        name: The task and the trial, such as ``"12-0"``.
        task: The task's number. Trials of one task resemble each other.
        reward: 1 if the agent reached the task's goal, otherwise 0.
        policy: The text of the policy.
        goal: The user's first message.
        turns: The turns since.
    """

    name: str
    task: int
    reward: float
    policy: str
    goal: str
    turns: tuple[Turn, ...]

    @property
    def rules(self) -> str:
        """The first section of the policy: its general rules, in front of those of single requests."""
        return self.policy.partition("\n## ")[0].rstrip()

    @property
    def answers(self) -> list[int]:
        """The positions of the assistant's turns."""
        return [n for n, turn in enumerate(self.turns) if turn.role == "assistant"]

    def before(self, turn: int, tools: Sequence[ToolSpec]) -> Conversation:
        """Returns the conversation in front of a turn, given by its position."""
        return Conversation(system=self.policy, turns=self.turns[:turn], tools=tuple(tools))

    def confirmation(self) -> int | None:
        """Finds the turn in which the assistant asks the user to confirm the first update of the booking database.

        Returns:
            Its place among the assistant's turns, from 0; None if there is none. A call of an updating tool in its
            place breaks the policy.
        """
        for n, turn in enumerate(self.turns):
            if any(call.tool in WRITES for call in turn.calls):
                asked = n - 2
                if asked >= 0 and self.turns[n - 1].role == "user" and not self.turns[asked].calls:
                    return self.answers.index(asked)
                return None
        return None


def read_trajectories(path: Path) -> list[Trajectory]:
    """Reads all episodes of a file.

    Args:
        path: The JSON file.

    Returns:
        The episodes, in the file's order.

    Raises:
        ConfigError: The file is missing, or holds no such episodes.
    """
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        return [_trajectory(episode) for episode in given]
    except OSError as error:
        raise ConfigError(
            f"{str(path)!r} can't be read ({error.strerror}); pass tau-bench's file of episodes"
        ) from None
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ConfigError(f"{str(path)!r} holds no episodes of tau-bench ({error!r}); pass its JSON file") from None


def tools_of(trajectories: Sequence[Trajectory]) -> list[ToolSpec]:
    """Derives the tools from all calls.

    Args:
        trajectories: The episodes.

    Returns:
        The tools, by name.
    """
    seen: dict[str, dict[str, set[str]]] = {}
    count: dict[str, list[set[str]]] = {}
    for trajectory in trajectories:
        for call in (call for turn in trajectory.turns for call in turn.calls):
            types = seen.setdefault(call.tool, {})
            for name, value in call.arguments.items():
                types.setdefault(name, set()).add(_TYPES.get(type(value), "null"))
            count.setdefault(call.tool, []).append(set(call.arguments))
    tools = []
    for name in sorted(seen):
        properties: dict[str, Any] = {}
        for argument, types in seen[name].items():
            properties[argument] = {"type": next(iter(types)) if len(types) == 1 else sorted(types)}
        schema = {"type": "object", "properties": properties, "required": sorted(set.intersection(*count[name]))}
        tools.append(ToolSpec(name=name, parameters=schema, changes=name in WRITES or name == "send_certificate"))
    return tools


def chosen(
    trajectories: Sequence[Trajectory], turns: int, fits: Callable[[Trajectory], bool], count: int, seed: int = 0
) -> list[Trajectory]:
    """Draws episodes with enough turns, as many different tasks as possible first.

    Args:
        trajectories: The episodes.
        turns: The least number of the assistant's turns.
        fits: Whether an episode is short enough.
        count: How many are drawn.
        seed: The seed of the draw.

    Returns:
        The episodes. A smaller count returns the first of those that a larger count returns.
    """
    drawn = list(trajectories)
    random.Random(seed).shuffle(drawn)
    rounds: dict[int, int] = {}
    ranked = []
    for place, one in enumerate(drawn):
        if len(one.answers) >= turns and fits(one):
            ranked.append((rounds.setdefault(one.task, 0), place, one))
            rounds[one.task] += 1
    return [one for _, _, one in sorted(ranked, key=lambda row: row[:2])[:count]]


def verdict(text: str, tools: Sequence[ToolSpec]) -> dict[str, Any]:
    """What a written turn does: which tool it calls, whether the call is legal, and whether the turn breaks the policy.

    A call is legal if it names a tool of the list and has all of its required arguments and no others. ``breaks``
    counts what breaks the policy where the user has confirmed nothing: an updating call, several calls in a turn, or
    words beside a call.

    Args:
        text: The turn.
        tools: The tools that may be called.

    Returns:
        ``does`` (words, call or broken call), ``tool``, ``legal``, ``update`` and ``breaks``.
    """
    try:
        action: Any = read_turn(text, tools)
    except UnparsableAction:
        return {"does": "broken call", "tool": "", "legal": False, "update": False, "breaks": False}
    if isinstance(action, Answer):
        return {"does": "words", "tool": "", "legal": False, "update": False, "breaks": False}
    calls = [action] if isinstance(action, Call) else list(action.calls)
    update = any(call.tool in WRITES for call in calls)
    beside = bool(text.partition("<tool_call>")[0].strip()) and "<tool_call>" in text
    return {
        "does": "call",
        "tool": calls[0].tool,
        "legal": all(_legal(call, tools) for call in calls),
        "update": update,
        "breaks": update or len(calls) > 1 or beside,
    }


def _legal(call: Call, tools: Sequence[ToolSpec]) -> bool:
    for tool in tools:
        if tool.name == call.tool:
            known = set(tool.parameters["properties"])
            return set(tool.parameters["required"]) <= set(call.arguments) <= known
    return False


def _trajectory(episode: dict[str, Any]) -> Trajectory:
    policy, goal, *rest = episode["traj"]
    return Trajectory(
        name=f"{episode['task_id']}-{episode['trial']}",
        task=int(episode["task_id"]),
        reward=float(episode["reward"]),
        policy=policy["content"],
        goal=goal["content"],
        turns=tuple(_turn(message) for message in rest),
    )


def _turn(message: dict[str, Any]) -> Turn:
    text = message.get("content") or ""
    if message["role"] == "tool":
        return Turn(role="tool", text=text, tool=message.get("name", ""))
    calls = tuple(
        Call(tool=call["function"]["name"], arguments=json.loads(call["function"]["arguments"]))
        for call in message.get("tool_calls") or ()
    )
    return Turn(role=message["role"], text=text, calls=calls)
