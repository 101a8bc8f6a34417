"""What comes of a team's work: its turns, its messages, its answer; and the file that holds them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from homeostat.agent.events import Ending, Event
from homeostat.agent.teams.bus import Said
from homeostat.data_files import DataError, parse_json, read_json
from homeostat.errors import CheckpointError, ConfigError
from homeostat.private_files import make_private_folder, write_private

__all__ = ["TeamEnding", "TeamEvent", "TeamFolder", "TeamResult", "TeamTurn", "mean_mass"]

TeamEnding = Literal["answered", "finished", "silent", "budget", "asked", "paused"]
"""How a team's work ended.

- ``answered``: the leader answered in words, or a message held the word that ends the work.
- ``finished``: the fixed order was gone through as often as the team wants.
- ``silent``: the leader's turn ended without an answer and without another speaker.
- ``budget``: turns, tokens or seconds are used up.
- ``asked``: not an end: a controller of a member asked the user; resume with the answer.
- ``paused``: not an end: a signal stopped the turn; the work can be resumed.
"""


class TeamTurn(BaseModel):
    """One turn of a member.

    Attributes:
        number: The number of the turn, from 0.
        member: Who had the floor.
        said: The message that ended the turn; None where it ended without one.
        ended: How the episode of this turn ended.
        reason: Why it ended.
        steps: The number of its steps: tool calls, and the message.
        tokens: The tokens that were generated.
        prompt_tokens: The tokens of its prompts.
        seconds: How long it took.
        mass: The mean attention mass of each span of its prompts, in [0, 1]; other members' messages are the spans
            ``agent.NAME``. Empty where no attention was read.
        alarms: How often each sensor alarmed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    member: str
    said: Said | None
    ended: Ending
    reason: str = ""
    steps: int = 0
    tokens: int = 0
    prompt_tokens: int = 0
    seconds: float = 0.0
    mass: dict[str, float] = {}
    alarms: dict[str, int] = {}


@dataclass(frozen=True)
class TeamEvent:
    """An event of a member's turn.

    Attributes:
        turn: The number of the turn.
        member: Who has the floor.
        event: The event.
    """

    turn: int
    member: str
    event: Event


class TeamResult(BaseModel):
    """What came of a team's work.

    Attributes:
        goal: The user's request.
        ended: How the work ended, or that it waits or is paused.
        answer: The team's answer; None while there is none.
        turns: The turns.
        question: The question that waits for an answer, where ``ended`` is ``"asked"``.
        folder: The team's folder; None without one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    goal: str
    ended: TeamEnding
    answer: str | None
    turns: tuple[TeamTurn, ...]
    question: str | None = None
    folder: Path | None = None

    @property
    def said(self) -> tuple[Said, ...]:
        """All messages, in order."""
        return tuple(turn.said for turn in self.turns if turn.said is not None)

    @property
    def tokens(self) -> int:
        """The tokens that were generated in all turns."""
        return sum(turn.tokens for turn in self.turns)

    @property
    def seconds(self) -> float:
        """How long all turns took together."""
        return sum(turn.seconds for turn in self.turns)


class TeamFolder:
    """A team's folder: ``team.json``, ``turns.jsonl`` with one finished turn a line, and a run folder for each turn.

    Attributes:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        """Names the folder; nothing is read or written yet.

        Args:
            path: The folder.
        """
        self.path = path

    def create(self, facts: dict[str, Any]) -> None:
        """Makes the folder.

        Args:
            facts: What a resumed team has to know: its specification, the goal and the seed.

        Raises:
            ConfigError: It holds a team's work already, or can't be written.
        """
        if (self.path / "team.json").exists():
            raise ConfigError(
                f"folder {str(self.path)!r} already holds a team's work; resume it or give another folder"
            )
        try:
            make_private_folder(self.path)
            make_private_folder(self.path / "turns")
            write_private(self.path / "team.json", json.dumps(facts, indent=1).encode())
        except OSError as error:
            raise ConfigError(f"can't write the folder {str(self.path)!r}: {error.strerror}; give another") from None

    def facts(self) -> dict[str, Any]:
        """Reads what :meth:`create` wrote.

        Returns:
            The facts.

        Raises:
            CheckpointError: The folder holds no team's work, or a damaged one.
        """
        try:
            facts = read_json(self.path / "team.json")
        except DataError as error:
            raise CheckpointError(f"no team's work in {str(self.path)!r}: {error}; start it anew") from None
        if not isinstance(facts, dict) or {"spec", "goal", "seed"} - set(facts):
            raise CheckpointError(f"'team.json' in {str(self.path)!r} is damaged; start the work anew")
        return facts

    def turns(self) -> list[TeamTurn]:
        """Reads the finished turns. A partial last line, which a killed writer left, is cut off.

        Returns:
            The turns, in order.

        Raises:
            CheckpointError: A line is damaged.
        """
        path = self.path / "turns.jsonl"
        if not path.exists():
            return []
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            path.write_bytes(whole)
        try:
            return [TeamTurn.model_validate(parse_json(line)) for line in whole.decode("utf-8").splitlines()]
        except (DataError, ValidationError, UnicodeDecodeError):
            raise CheckpointError(f"'turns.jsonl' in {str(self.path)!r} is damaged; start the work anew") from None

    def add(self, turn: TeamTurn) -> None:
        """Appends a finished turn.

        Args:
            turn: The turn.
        """
        path = self.path / "turns.jsonl"
        if not path.exists():
            write_private(path, b"")
        with path.open("ab") as file:
            file.write(turn.model_dump_json().encode() + b"\n")

    def run(self, number: int, member: str) -> Path:
        """Names the run folder of a turn.

        Args:
            number: The number of the turn.
            member: Who has the floor.

        Returns:
            The folder, which may not exist yet.
        """
        return self.path / "turns" / f"{number:03d}-{member}"


def mean_mass(masses: Sequence[dict[str, float]]) -> dict[str, float]:
    """Averages the span masses of several attempts.

    Args:
        masses: For each attempt, its masses by span.

    Returns:
        The mean of each span over the attempts; a span that an attempt lacks counts as 0 there.
    """
    read = [mass for mass in masses if mass]
    names = dict.fromkeys(name for mass in read for name in mass)
    return {name: sum(mass.get(name, 0.0) for mass in read) / len(read) for name in names}
