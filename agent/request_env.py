"""``RequestEnv``: the environment of one request, of a server's client or of another framework.

Whoever asks calls the tools. So the episode ends with the first action that no controller refuses: an answer, a
question, or tool calls.
"""

from __future__ import annotations

from typing import Any, Literal

from homeostat.actions import Action, Answer, Call, Calls, Question, action_from_dict, calls_of
from homeostat.conversation import Conversation
from homeostat.envs.core import TaskInfo
from homeostat.envs.tools.arguments import misfit
from homeostat.errors import ActionError, UnknownName
from homeostat.observation import Observation

__all__ = ["Checks", "RequestEnv"]

Checks = Literal["nothing", "names", "arguments"]
"""What is checked of a call: nothing, that the tool is known, or also that the arguments fit the tool's schema."""


class RequestEnv:
    """A chat that waits for the assistant's turn.

    A call is not made here but returned. A call that the checks refuse stays in a chat of messages, with the reason as
    its result, so that the model can correct itself.

    Attributes:
        restores: Always True: nothing outside is touched.
        action: What the assistant's turn is; None while there is none.
        misfit: The last calls of known tools whose arguments don't fit; None without such calls.
        problem: Why the last turn was not taken; "" where it was.
    """

    restores = True

    def __init__(self, conversation: Conversation, *, checks: Checks = "arguments") -> None:
        """Begins before the assistant's turn.

        Args:
            conversation: The chat and the tools.
            checks: Which calls are refused: none, those of unknown tools, or also those whose arguments don't fit.
        """
        self._conversation, self._checks = conversation, checks
        self._tools = {tool.name: tool for tool in conversation.tools}
        self.action: Action | None = None
        self.misfit: Action | None = None
        self.problem = ""

    def reset_task(self, task: str | None = None, *, seed: int | None = None) -> TaskInfo:
        """Forgets the assistant's turn. There are no tasks."""
        if task is not None:
            raise UnknownName.of("task", task, ())
        self.action = self.misfit = None
        return TaskInfo(name="request", goal="", seed=seed or 0, optimal_steps=0, max_steps=1)

    def observe(self) -> Observation:
        """Returns the chat."""
        return Observation(conversation=self._conversation)

    def act(self, action: Action) -> None:
        """Takes the assistant's turn.

        Raises:
            ActionError: The checks refuse a call, or the action is one on a screen.
        """
        self.problem = self._problem(action)
        if self.problem:
            self._conversation = self._conversation.model_copy(update={"chat": self._told(action)})
            raise ActionError(self.problem)
        self.action = action

    @property
    def ended(self) -> str:
        """The reason why the episode is over; "" while it goes on."""
        return "the assistant answered" if self.action is not None else ""

    def success(self) -> bool:
        """Whether the assistant has taken its turn."""
        return self.action is not None

    def snapshot(self) -> dict[str, Any]:
        """The assistant's turn."""
        return {"action": self.action.model_dump(mode="json") if self.action is not None else None}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Puts the assistant's turn back."""
        self.action = action_from_dict(snapshot["action"]) if snapshot["action"] is not None else None

    def _problem(self, action: Action) -> str:
        if isinstance(action, Answer | Question):
            return ""
        calls = calls_of(action)
        if not isinstance(action, Call | Calls):
            return f"{action.kind!r} is no action of a conversation; call a tool, or answer"
        if self._checks == "nothing":
            return ""
        if unknown := next((call.tool for call in calls if call.tool not in self._tools), None):
            return str(UnknownName.of("tool", unknown, self._tools))
        if self._checks == "names":
            return ""
        found = next((problem for call in calls if (problem := self._misfit(call))), "")
        if found:
            self.misfit = action
        return found

    def _told(self, action: Action) -> tuple[dict[str, Any], ...]:
        """The chat with calls that can't be made, and why."""
        chat = list(self._conversation.chat)
        calls: list[dict[str, Any]] = []
        results: list[dict[str, Any]] = []
        for call in calls_of(action):
            name = f"fail{len(chat) + len(calls):05d}"  # nine characters, as some templates demand
            calls.append({"type": "function", "id": name, "function": {"name": call.tool, "arguments": call.arguments}})
            told = {"role": "tool", "tool_call_id": name, "name": call.tool, "label": f"tool.{call.tool}"}
            results.append({**told, "content": f"error: {self.problem}"})
        said = {"role": "assistant", "content": None, "tool_calls": calls, "label": "history"}
        return (*chat, said, *results) if calls else tuple(chat)

    def _misfit(self, call: Call) -> str:
        wrong = misfit(self._tools[call.tool].parameters, call.arguments)
        return f"the arguments of {call.tool!r} don't fit: {wrong}" if wrong else ""
