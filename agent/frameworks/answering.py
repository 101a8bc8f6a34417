"""Answers a chat of another framework with an agent: its sensors read the answer, its controllers may correct it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from homeostat.actions import Answer, Call, Question, calls_of
from homeostat.agent.agent import Agent
from homeostat.agent.events import Decide, Event, Finish, Sense
from homeostat.agent.frameworks.chat_request import read_messages
from homeostat.agent.request_env import RequestEnv
from homeostat.agent.tool_calls import read_turn
from homeostat.controllers.decisions import Decision, Proceed, Refuse
from homeostat.conversation import ToolSpec
from homeostat.errors import UnparsableAction
from homeostat.sensors.readings import Reading

__all__ = ["Answered", "answer_chat", "arguments_text", "earlier_readings"]

_ANSWERS = 3  # the first, and further ones in the place of those that a controller refuses
Finished = Literal["stop", "length", "tool_calls", "question", "refused", "stopped"]
"""Why an answer ends: the model ended it, a limit did, it calls tools, it asks the user, a controller refused every
answer, or a controller stopped the agent.
"""


class Answered(BaseModel):
    """The assistant's next turn, with what was measured and decided.

    Attributes:
        text: What the assistant says; "" where it only calls tools. Where every answer was refused, or a controller
            stopped the agent or asks the user, this is the reason or the question.
        calls: The tools that it calls, each with an id. The framework carries them out.
        finish: Why the answer ends.
        readings: What the sensors read of this answer.
        decisions: Every decision of the controllers other than to proceed, oldest first.
        mass: The attention mass of every span, in [0, 1], averaged over the answer's tokens, the layers and the heads.
            Empty where no attention was read.
        attempts: The number of the model's answers, including those that were not used.
        prompt_tokens: The tokens of all prompts.
        tokens: The tokens that the model generated.
        seconds: How long it took, in seconds.
        controlled: Whether controllers were asked about it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = ""
    calls: tuple[Call, ...] = ()
    finish: Finished = "stop"
    readings: tuple[Reading, ...] = ()
    decisions: tuple[Decision, ...] = ()
    mass: dict[str, float] = {}
    attempts: int = 0
    prompt_tokens: int = 0
    tokens: int = 0
    seconds: float = 0.0
    controlled: bool = False

    @property
    def data(self) -> dict[str, Any]:
        """What the framework's user gets besides the answer: everything but its text and calls, as JSON data."""
        measured: dict[str, Any] = self.model_dump(mode="json", exclude={"text", "calls"})
        return measured


def answer_chat(
    agent: Agent,
    messages: Sequence[Mapping[str, Any]],
    *,
    tools: Sequence[ToolSpec] = (),
    rules: Sequence[str] = (),
    earlier: Sequence[Reading] = (),
    stop: Sequence[str] = (),
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
) -> Answered:
    """Answers a chat once, with the agent's own loop.

    The spans of the prompt come from the roles: ``system``, ``rules``, ``tools``, ``goal`` (the user's first message),
    ``user``, ``history``, ``tool.NAME`` and ``reminder``. A message's ``"label"`` replaces its own.

    Args:
        agent: The agent.
        messages: The chat in OpenAI's format.
        tools: The tools that the model may call.
        rules: Rules, which stand behind the system message and which a ``Guard`` enforces.
        earlier: The readings of earlier answers in the same chat, for sensors that compare.
        stop: Texts that end the answer. The model is not stopped by them: the text from the first one on is cut off.
        seed: The seed of sampling.
        settings: Limits that replace the agent's own, such as ``{"temperature": 0.7, "max_new_tokens": 300}``.

    Returns:
        The answer.

    Raises:
        ConfigError: The chat or a setting is invalid.
        ModelError: The model can't answer.
        ComponentError: A sensor or a controller failed.
    """
    request = read_messages(messages, tools)
    env = RequestEnv(request.conversation, checks="nothing")
    run = agent.limited(**(settings or {})).start(
        request.goal, env, seed=seed, rules=rules, earlier=earlier, max_steps=3
    )
    events = list(run)
    answered = _answered(env, events, tools, stop, agent.model.style.conversation.thinks)
    return answered.model_copy(update={"controlled": bool(agent.controllers)})


def earlier_readings(data: Sequence[Any]) -> tuple[Reading, ...]:
    """Reads the readings of earlier answers from what the framework kept of them.

    Args:
        data: What :attr:`Answered.data` was for each earlier answer, oldest first; anything else is ignored.

    Returns:
        The readings.
    """
    return tuple(
        Reading.model_validate(reading)
        for one in data
        if isinstance(one, Mapping)
        for reading in one.get("readings", ())
    )


def _answered(
    env: RequestEnv, events: Sequence[Event], tools: Sequence[ToolSpec], stop: Sequence[str], thinks: bool
) -> Answered:
    senses = [event for event in events if isinstance(event, Sense)]
    taken = tuple(e.decision for e in events if isinstance(e, Decide) and not isinstance(e.decision, Proceed))
    end = next(event for event in reversed(events) if isinstance(event, Finish))
    used = next((s for s in reversed(senses) if s.action == env.action), senses[-1] if senses else None)
    measured: dict[str, Any] = {
        "decisions": taken,
        "attempts": len(senses),
        "prompt_tokens": sum(sense.prompt_tokens for sense in senses),
        "tokens": end.tokens,
        "seconds": end.seconds,
    }
    if used is not None:
        measured |= {"readings": used.readings, "mass": used.mass}
    action = env.action
    if action is None or used is None:
        refused = [d.reason for d in taken if isinstance(d, Refuse)]
        if end.ended == "asked":
            return Answered(text=end.reason, finish="question", **measured)
        if end.ended == "stopped":
            return Answered(text=end.reason, finish="stopped", **measured)
        if refused:
            return Answered(text=f"refused: {refused[-1]}", finish="refused", **measured)
        said = _cut(used.text, stop) if used is not None else ""  # a marked call that can't be read
        return Answered(text=said, finish=used.finish if used is not None else "length", **measured)
    text = _cut(used.text, stop)
    if text != used.text and used.action == action:
        try:
            action = read_turn(text, tools, thinks=thinks)
        except UnparsableAction:
            action = Answer(text=text)
    if calls := calls_of(action):
        named = tuple(call if call.id else call.model_copy(update={"id": _new_id()}) for call in calls)
        return Answered(calls=named, finish="tool_calls", **measured)
    assert isinstance(action, Answer | Question)
    asks = isinstance(action, Question)
    return Answered(text=action.text, finish="question" if asks else used.finish, **measured)


def _cut(text: str, stop: Sequence[str]) -> str:
    ends = [text.index(one) for one in stop if one and one in text]
    return text[: min(ends)] if ends else text


def _new_id() -> str:
    return f"call_{uuid.uuid4().hex[:12]}"


def arguments_text(call: Call) -> str:
    """Writes a call's arguments as JSON.

    Args:
        call: The call.

    Returns:
        The JSON text.
    """
    return json.dumps(call.arguments, ensure_ascii=False)
