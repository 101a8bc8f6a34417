"""Conversations: the turns of users, of the assistant and of tools, and what is known of each tool."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from homeostat.actions import Call

__all__ = ["Conversation", "ToolSpec", "Turn"]


_SYSTEM = ("system", "developer")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ToolSpec(_Frozen):
    """What an agent knows of a tool.

    Attributes:
        name: The tool's name.
        description: What it does, for the model.
        parameters: The JSON schema of its arguments, an object.
        repeatable: Whether calling it twice with the same arguments has the same effect as calling it once. A call that
            a crash interrupted is made again only then.
        changes: Whether it may change something, unlike a tool that only reads.
    """

    name: str = Field(min_length=1)
    description: str = ""
    parameters: dict[str, Any] = {"type": "object", "properties": {}}
    repeatable: bool = False
    changes: bool = True

    def as_openai(self) -> dict[str, Any]:
        """Returns the tool in OpenAI's format, which chat templates read, too."""
        described = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": described}


class Turn(_Frozen):
    """One turn of a conversation.

    Attributes:
        role: Who speaks.
        text: What is said, or a tool's result.
        calls: The tools that the assistant calls in this turn.
        tool: For a tool's result: the tool's name.
        call: For a tool's result: the id of the call; "" without one.
        label: The label of the turn's span in the prompt; "" takes ``user``, ``history`` (for the assistant) or
            ``tool.NAME``.
    """

    role: Literal["user", "assistant", "tool"]
    text: str = ""
    calls: tuple[Call, ...] = ()
    tool: str = ""
    call: str = ""
    label: str = ""

    @property
    def span(self) -> str:
        """The label of the turn's span in the prompt."""
        named = f"tool.{self.tool}" if self.tool else "tool"
        return self.label or {"user": "user", "assistant": "history", "tool": named}[self.role]


class Conversation(_Frozen):
    """A conversation so far.

    Attributes:
        system: What stands in the system message; "" takes the model's own wording.
        turns: The turns after the user's first one, which is the goal.
        tools: The tools that may be called.
        chat: Messages in OpenAI's format that stand in the prompt as they are, in place of the system message and the
            first request, such as those of a request to a server. Empty where the agent words the conversation itself.
    """

    system: str = ""
    turns: tuple[Turn, ...] = ()
    tools: tuple[ToolSpec, ...] = ()
    chat: tuple[dict[str, Any], ...] = ()

    @property
    def frame(self) -> Conversation | None:
        """The conversation without its turns; None where a message holds more than text, such as an image."""
        contents = (message.get("content") for message in self.chat)
        if not all(_is_text(content) for content in contents):
            return None
        return self.model_copy(update={"turns": ()})

    @property
    def instructions(self) -> str:
        """What the system message says, without the rules and tools that the agent adds; "" if nothing is known."""
        if self.system or not self.chat:
            return self.system
        told = [_texts(message.get("content")) for message in self.chat if message.get("role") in _SYSTEM]
        return "\n".join(text for text in told if text)


def _is_text(content: Any) -> bool:
    """Whether a message's content is text alone."""
    if isinstance(content, list | tuple):
        return all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in content)
    return content is None or isinstance(content, str)


def _texts(content: Any) -> str:
    """The text of a message's content, which is a text or a list of parts."""
    if isinstance(content, str):
        return content.strip()
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return "\n".join(text.strip() for text in texts if isinstance(text, str) and text.strip())
