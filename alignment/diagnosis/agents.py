"""Lets an agent, with its sensors and controllers, answer the prompts of cases: each is one turn of a chat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from homeostat.actions import Answer, Question
from homeostat.agent.agent import Agent
from homeostat.agent.events import Sense
from homeostat.agent.loop.episode import Episode
from homeostat.agent.prompts import labelled_parts
from homeostat.agent.request_env import RequestEnv
from homeostat.conversation import Conversation, ToolSpec
from homeostat.data_files import StrPath
from homeostat.envs.core import TaskInfo
from homeostat.errors import ConfigError
from homeostat.sensors.chat.messages import Prompt

__all__ = ["agent_answers", "chat_of"]

_SEED = 0


def agent_answers(
    agent: Agent,
    prompts: Sequence[Prompt],
    *,
    batch: int = 8,
    on_end: Callable[[int, Episode], None] = lambda number, episode: None,
    traces: StrPath | None = None,
) -> list[str]:
    """Answers prompts by the agent's loop, several at a time.

    Args:
        agent: The agent.
        prompts: The prompts, without images.
        batch: The most prompts at a time.
        on_end: Called with the number of each prompt and its episode, when it is answered.
        traces: The folder for a trace of each answer, from which ``homeostat mine`` makes preference pairs; None keeps
            none.

    Returns:
        The text of each answer; of an answer that a controller replaced, the last one. "" where there is none.

    Raises:
        ConfigError: A prompt has an image, or is no chat, or the folder already holds traces.
        HomeostatError: The model, a sensor or a controller failed.
    """
    episodes = []
    for prompt in prompts:
        chat = chat_of(prompt)
        tools = tuple(_tool(tool) for tool in prompt.tools)
        goal = "\n".join(labelled_parts(chat, "goal") or labelled_parts(chat, "user"))
        rules = tuple(labelled_parts(chat, "rules"))
        task = TaskInfo(name="case", goal=goal, rules=rules, seed=_SEED, optimal_steps=0, max_steps=1)
        episodes.append((task, RequestEnv(Conversation(chat=chat, tools=tools), checks="nothing")))
    said: dict[int, str] = {}
    agent.run_many(episodes, batch=batch, seed=_SEED, run_folder=traces, on_end=on_end, on_event=_listening(said))
    found = []
    for number, (_, env) in enumerate(episodes):
        action = env.action
        found.append(action.text if isinstance(action, Answer | Question) else said.get(number, ""))
    return found


def chat_of(prompt: Prompt) -> tuple[dict[str, Any], ...]:
    """Writes a prompt as messages in OpenAI's format, with the labels of its parts.

    Args:
        prompt: The prompt.

    Returns:
        The messages.

    Raises:
        ConfigError: The prompt has an image, or is no chat.
    """
    if prompt.plain:
        raise ConfigError("a plain text is no chat; an agent answers chats")
    chat = []
    for message in prompt.messages:
        if any(part.image is not None for part in message.parts):
            raise ConfigError("the prompt has an image, which an agent's chat can't hold; leave the controllers out")
        parts = [{"type": "text", "text": part.text, "label": part.label} for part in message.parts if part.text]
        nothing = None if message.extra.get("tool_calls") else ""  # a system message may be empty
        chat.append({"role": message.role, "content": parts or nothing, **message.extra})
    return tuple(chat)


def _tool(schema: Any) -> ToolSpec:
    described = schema.get("function", schema)
    more = {"parameters": described["parameters"]} if described.get("parameters") else {}
    return ToolSpec(name=described["name"], description=described.get("description", ""), **more)


def _listening(said: dict[int, str]) -> Callable[[int, Any], None]:
    """Notes the text of each episode's last attempt."""

    def note(number: int, event: Any) -> None:
        if isinstance(event, Sense):
            said[number] = event.text.strip()

    return note
