"""``SimulatedUser``: a model that plays the user of a conversation.

It sees the conversation from the other side: the assistant's turns are what it is told, its own earlier turns are what
it has said. Tool calls and their results are no part of what a user sees. The wording is ours; users that a model plays
were introduced for tool-calling agents by τ-bench (Yao et al., arXiv 2406.12045, section 3).

Three habits of small models are mended: a turn that repeats an earlier one is drawn once more, by sampling, from a
prompt that says so; a turn ends before a sentence that it has said already; and one that the token limit cut off ends
with its last whole sentence.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from homeostat.agent.models.protocol import Model
from homeostat.conversation import Turn
from homeostat.errors import CallInterrupted, ConfigError
from homeostat.sensors.chat.messages import Message, Part, Prompt
from homeostat.sensors.chat.wording import Wording, fill

__all__ = ["SimulatedUser"]

_SYSTEM = (
    "You play a user who talks to an assistant. Stay in your role, and never speak as the assistant. Write only your "
    "next message, in one or two sentences.\nYour role: {role}"
)
_ENDING = "\nOnce you have what you want, write only [END]."
_BEGIN = "Begin the conversation: write your first message to the assistant."
_END = re.compile(r"\[END\]", re.IGNORECASE)
_SENTENCES = re.compile(r".*[.!?…。！？][\"'”’)]*(?=\s|$)", re.DOTALL)
_BETWEEN = re.compile(r"(?<=[.!?…。！？\"'”’)])\s+")
_AGAIN = "\n(You have said this before: {said} Say something new instead.)"
_HOT = 1.0
"""The least temperature at which a turn that repeats an earlier one is drawn again."""
_SHORT = 5
"""Turns of so many words, such as *yes, please*, may be repeated."""
_THINKING = re.compile(r"^\s*(?:<think>)?(?:(?!<think>).)*?</think>", re.DOTALL)


class SimulatedUser:
    """A user whom a model plays; pass it to :class:`~homeostat.envs.tools.ChatEnv`.

        user = SimulatedUser(other_model, "You want to book a table for two, and you are in a hurry.")
        env = ChatEnv(user)
        agent.run(env.opening(), env)

    Attributes:
        model: The model.
        role: The role.
        turns: The most turns of the user.
    """

    def __init__(
        self,
        model: Model,
        role: str,
        *,
        turns: int = 8,
        temperature: float = 0.0,
        max_new_tokens: int = 128,
        seconds: float | None = 60.0,
        seed: int = 0,
    ) -> None:
        """Creates the user.

        Args:
            model: Any model: the agent's own one, another one, or one on a server.
            role: Who the user is, and what the user wants.
            turns: The most turns; the conversation ends after them.
            temperature: The sampling temperature; 0 decodes greedily, but for a turn that would repeat an earlier one.
            max_new_tokens: The most tokens of a turn.
            seconds: The most seconds of a turn; None for no bound.
            seed: Makes sampling repeatable.

        Raises:
            ConfigError: The role is empty, or there is no turn.
        """
        if not role.strip():
            raise ConfigError(f"role {role!r} is empty; say who the user is and what the user wants")
        if turns < 1:
            raise ConfigError(f"turns={turns} leaves nothing to say; give at least 1")
        self.model, self.role, self.turns = model, role, turns
        self._heat, self._most, self._seconds, self._seed = temperature, max_new_tokens, seconds, seed

    def __call__(self, turns: Sequence[Turn]) -> str | None:
        """Says the next turn.

        Args:
            turns: The conversation so far.

        Returns:
            The user's next turn; None once the user has what it wants, or has had all turns.

        Raises:
            ModelError: The model can't answer.
            CallInterrupted: The call was cut short, by its deadline or a signal, before anything was said.
        """
        number = sum(turn.role == "user" for turn in turns)
        if number >= self.turns:
            return None
        said = self._said(self.prompt(turns), number, self._heat)
        repeated = any(turn.text == said for turn in turns if turn.role == "user")
        if repeated and len(said.split()) > _SHORT:
            said = self._said(self.prompt(turns, repeated=said), number, max(self._heat, _HOT))
        return said or None

    def _said(self, prompt: Prompt, number: int, heat: float) -> str:
        """What the model says; "" once it ends the conversation."""
        found = self.model.generate(
            prompt,
            temperature=heat,
            max_new_tokens=self._most,
            watch=False,
            deadline=None if self._seconds is None else time.monotonic() + self._seconds,
            seed=(self._seed + number) & 0x7FFFFFFF,
        )[0]
        if found.finish == "length" and not found.text.strip():
            raise CallInterrupted(
                f"the user that {self.model.name!r} plays was cut short; resume, or give more seconds"
            )
        said, *more = _END.split(_THINKING.sub("", found.text, count=1), maxsplit=1)
        whole = _SENTENCES.match(said) if found.finish == "length" and not more else None
        return _without_repeats(whole[0] if whole is not None else said)

    def prompt(self, turns: Sequence[Turn], repeated: str = "") -> Prompt:
        """Builds the prompt for the user's next turn.

        Args:
            turns: The conversation so far.
            repeated: What the user was about to say once more; "" for nothing.

        Returns:
            The prompt. Its spans are ``system``, ``history`` (what the user has said) and ``user`` (what the assistant
            has).
        """
        # Told of the end before its first turn, a small model ends the conversation at once.
        messages = [Message("system", (fill(_SYSTEM + (_ENDING if turns else ""), role=self.role).part("system"),))]
        messages.append(Message("user", (Wording.own(_BEGIN).part("template"),)))
        for turn in turns:
            if turn.role == "user":
                messages.append(Message("assistant", (Part("history", turn.text),)))
            elif turn.role == "assistant" and turn.text:
                messages.append(Message("user", (Part("user", turn.text),)))
        if repeated:
            told = fill(_AGAIN, said=repeated).part("template")
            messages[-1] = Message(messages[-1].role, (*messages[-1].parts, told))
        return Prompt(tuple(messages))


def _without_repeats(text: str) -> str:
    """A text up to the first sentence that it has said already."""
    seen: set[str] = set()
    begin = 0
    for gap in (*_BETWEEN.finditer(text), None):
        sentence = text[begin : gap.start() if gap is not None else None].strip()
        if sentence in seen:
            return text[:begin].strip()
        seen.add(sentence)
        begin = gap.end() if gap is not None else begin
    return text.strip()
