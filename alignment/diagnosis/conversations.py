"""Reads recorded conversations of tool-calling agents, such as the published runs of tau-bench.

tau-bench (Yao et al., arXiv 2406.12045; MIT) publishes lists of ``{task_id, trial, reward, traj}``; ``traj`` is a chat
in OpenAI's format whose system message is the policy. Nothing in it is a pair of conflicting instructions, so it is no
set for :func:`~homeostat.alignment.diagnose`. It serves for readings over many turns: each turn of the assistant gives
the prompt that it answered, a reading of each turn gives a trajectory, and
:func:`homeostat.sensors.trajectories.fit_trajectories` asks whether trajectories return to an equilibrium.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from homeostat.alignment.conflicts.public_rows import Row
from homeostat.alignment.rows import read_rows
from homeostat.data_files import DataError, StrPath, parse_json
from homeostat.errors import ConfigError
from homeostat.sensors.chat.messages import Message, Part, Prompt

__all__ = ["Conversation", "Turn", "read_conversations", "trajectories"]


@dataclass(frozen=True)
class Turn:
    """One turn of the assistant.

    Attributes:
        number: The number of the turn, from 0.
        prompt: The chat before it.
        answer: What the assistant wrote; for a turn that only calls a tool, the call as JSON with ``name`` and
            ``arguments``.
    """

    number: int
    prompt: Prompt
    answer: str


@dataclass(frozen=True)
class Conversation:
    """A recorded conversation.

    Attributes:
        task: The task's name.
        trial: The number of the trial of this task.
        reward: What the environment gave for it.
        prompt: The whole chat.
    """

    task: str
    trial: int
    reward: float
    prompt: Prompt

    def turns(self) -> Iterator[Turn]:
        """Takes the conversation apart.

        Yields:
            The turns of the assistant, in order.
        """
        messages, number = self.prompt.messages, 0
        for n, message in enumerate(messages):
            if message.role == "assistant":
                yield Turn(number, Prompt(messages[:n]), _answer(message))
                number += 1


def _answer(message: Message) -> str:
    said = "".join(part.text for part in message.parts)
    calls = [call.get("function") or {} for call in message.extra.get("tool_calls") or ()]
    return said or "\n".join(
        json.dumps({"name": call.get("name"), "arguments": _arguments(call.get("arguments"))}) for call in calls
    )


def _arguments(given: Any) -> Any:
    """OpenAI's format has arguments as JSON text, other formats as an object."""
    try:
        return parse_json(given) if isinstance(given, str) else given
    except DataError:
        return given


def read_conversations(path: StrPath) -> list[Conversation]:
    """Reads a file of tau-bench.

    Args:
        path: The file, with a list of ``{task_id, trial, reward, traj}``.

    Returns:
        The conversations, in order.

    Raises:
        ConfigError: The file can't be read, has no rows, or a row has another form.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"no conversations at {str(path)!r}; give a .json file of tau-bench")
    rows = [Row(fields, f"{path.name} row {n}", n) for n, fields in enumerate(read_rows(path), start=1)]
    if not rows:
        raise ConfigError(f"{str(path)!r} holds no rows")
    return [_conversation(row) for row in rows]


def _conversation(row: Row) -> Conversation:
    chat = row.need("traj", list)
    if not all(isinstance(message, Mapping) for message in chat):
        raise ConfigError(f"{row.where}, field 'traj': it must be a list of messages")
    try:
        messages = [_filled(one, given) for one, given in zip(Prompt.from_chat(chat).messages, chat, strict=True)]
    except ConfigError as error:
        raise ConfigError(f"{row.where}, field 'traj': {error}") from None
    task, trial, reward = row.need("task_id", (int, str)), row.need("trial", int), row.need("reward", (int, float))
    return Conversation(str(task), trial, float(reward), Prompt(tuple(messages)))


def _filled(message: Message, given: Mapping[str, Any]) -> Message:
    """Gives a message without content an empty text, because many chat templates need one."""
    return message if message.parts else Message(message.role, (Part(str(given["role"]), ""),), message.extra)


def trajectories(
    conversations: Sequence[Conversation], read: Callable[[Turn], float | None], *, least_turns: int = 4
) -> list[list[float]]:
    """Reads every turn of many conversations.

    Args:
        conversations: The conversations.
        read: Reads one turn, for example with a sensor; None if there is no reading.
        least_turns: Conversations with fewer readings are left out.

    Returns:
        The readings of each conversation, in order, for :func:`homeostat.sensors.trajectories.fit_trajectories`.
    """
    found = []
    for conversation in conversations:
        values = [value for turn in conversation.turns() if (value := read(turn)) is not None]
        if len(values) >= least_turns:
            found.append(values)
    return found
