"""``ChatEnv``: a conversation with a user who goes on talking.

The goal is the user's first turn. After every answer or question of the assistant the user is asked for the next turn;
the episode ends when the user has no more to say. Tools are optional, as in :class:`~homeostat.envs.tools.ToolEnv`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from homeostat.actions import Action, Answer, Question
from homeostat.conversation import Turn
from homeostat.envs.core import TaskInfo
from homeostat.envs.tools.env import ToolEnv
from homeostat.errors import ConfigError, EnvError

__all__ = ["QUIT", "ChatEnv", "User"]

QUIT = "/quit"
"""What a user says to end the conversation."""

User = Callable[[Sequence[Turn]], str | None]
"""Gives the user's next turn, from all turns so far; None ends the conversation."""


class ChatEnv(ToolEnv):
    """An environment in which the user answers.

        env = ChatEnv(["Where is Paris?", "And Rome?"])
        episode = agent.run(env.opening(), env)

    Attributes:
        tools: The tools, by name.
    """

    def __init__(
        self,
        user: User | Sequence[str],
        tools: Sequence[Any] = (),
        *,
        system: str = "",
        rules: Sequence[str] = (),
        longest_result: int = 4000,
    ) -> None:
        """Builds the environment.

        Args:
            user: The user's turns in order, or a function that gives the next one from the turns so far, such as a
                :class:`~homeostat.agent.SimulatedUser`. None, or ``/quit``, ends the conversation. A function that
                waits for a person needs an agent with ``LoopLimits(env_seconds=None)``.
            tools: The tools that the assistant may call (see :class:`~homeostat.envs.tools.ToolEnv`).
            system: The system message; "" takes the model's own wording.
            rules: The rules of the conversation, in words.
            longest_result: The most characters of a tool's result that the model is shown.

        Raises:
            ConfigError: The user is a single text, a turn is empty, or a tool is invalid.
        """
        super().__init__(tools, rules=rules, system=system, longest_result=longest_result)
        self._user = user if callable(user) else _list(user)
        self._opening, self._opened, self._left = "", False, False

    def opening(self) -> str:
        """Asks the user for the first turn, which is the goal that the agent is started with.

        Returns:
            The turn.

        Raises:
            EnvError: The user has nothing to say.
        """
        said = self._said(())
        if said is None:
            raise EnvError("the user has nothing to say; give the conversation at least one turn")
        self._opening, self._opened = said, True
        return said

    def reset_task(self, task: str | None = None, *, seed: int | None = None) -> TaskInfo:
        """Starts a conversation. The turn that :meth:`opening` has just returned belongs to it."""
        info = super().reset_task(task, seed=seed)
        self._opening = self._opening if self._opened else ""
        self._opened = self._left = False
        return info

    def act(self, action: Action) -> None:
        """Tells the user something and takes the user's next turn, or calls tools.

        Raises:
            ActionError: As in :meth:`ToolEnv.act`.
        """
        if not isinstance(action, Answer | Question):
            super().act(action)
            return
        told = Turn(role="assistant", text=action.text)
        reply = self._said((*self.turns, told))
        if reply is None:
            self._say(told)
            self._left = True
        else:
            self._say(told, Turn(role="user", text=reply))

    @property
    def turns(self) -> tuple[Turn, ...]:
        """Every turn so far. The first one is missing where the agent was started with a goal of its own."""
        opening = (Turn(role="user", text=self._opening),) if self._opening else ()
        return (*opening, *self._turns)

    @property
    def ended(self) -> str:
        """The reason why the conversation is over; "" while it goes on."""
        return "the user ended the conversation" if self._left else ""

    def repeatable(self, action: Action) -> bool:
        """Tells whether an action may be carried out again. A user whose reply a crash lost can be asked again.

        Args:
            action: The action.

        Returns:
            True for answers and questions, and for calls of tools that may be called twice.
        """
        return isinstance(action, Answer | Question) or super().repeatable(action)

    def snapshot(self) -> dict[str, Any]:
        """The conversation."""
        return {**super().snapshot(), "opening": self._opening, "left": self._left}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Restores the conversation."""
        super().restore(snapshot)
        self._opening, self._left = snapshot["opening"], snapshot["left"]

    def _said(self, turns: Sequence[Turn]) -> str | None:
        said = self._user(turns)
        return None if said is None or said.strip() in ("", QUIT) else said


def _list(turns: Sequence[str]) -> User:
    """A user who says one turn after the other. The conversation tells which is next, also after a resume."""
    if isinstance(turns, str) or not all(isinstance(turn, str) and turn.strip() for turn in turns):
        raise ConfigError(f"user turns {turns!r} are no list of texts; pass a list without empty ones, or a function")
    listed = tuple(turns)

    def user(so_far: Sequence[Turn]) -> str | None:
        number = sum(turn.role == "user" for turn in so_far)
        return listed[number] if number < len(listed) else None

    return user
