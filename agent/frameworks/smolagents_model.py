"""A smolagents model over an agent, and a step callback that collects what was measured.

readings = StepReadings()
agent = ToolCallingAgent(tools=[...], model=SmolagentsModel(agent), step_callbacks=[readings])
agent.run("…")
readings.steps[1]["readings"]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from homeostat.agent.agent import Agent
from homeostat.agent.frameworks.answering import Answered, answer_chat, earlier_readings
from homeostat.agent.frameworks.chat_request import read_tools
from homeostat.agent.frameworks.extras import missing
from homeostat.errors import ConfigError

try:
    from smolagents.memory import ActionStep
    from smolagents.models import (
        ChatMessage,
        ChatMessageToolCall,
        ChatMessageToolCallFunction,
        MessageRole,
        Model,
        get_tool_json_schema,
    )
    from smolagents.monitoring import TokenUsage
except ModuleNotFoundError as error:
    raise missing(error) from None

__all__ = ["SmolagentsModel", "StepReadings"]

_FINAL = "final_answer"
_ROLES = {
    MessageRole.SYSTEM: ("system", ""),
    MessageRole.USER: ("user", ""),
    MessageRole.ASSISTANT: ("assistant", ""),
    MessageRole.TOOL_CALL: ("assistant", ""),
    MessageRole.TOOL_RESPONSE: ("user", "tool"),  # its text says that it is an observation
}
"""For each role of smolagents, the role in the chat and the label of the span."""


class SmolagentsModel(Model):  # type: ignore[misc]
    """A model for smolagents' agents, with the agent's loop inside.

    Every message has the :class:`Answered` in ``raw``. An answer without a tool call counts as a call of
    ``final_answer`` where that tool is offered; so does the reason where a controller refused every answer. Sensors
    that compare find the readings of the model's earlier answers since :meth:`forget`.

    Attributes:
        agent: The agent.
        rules: Rules, which stand behind the system message and which a ``Guard`` enforces.
        answers: What was answered since :meth:`forget`, oldest first.
    """

    def __init__(self, agent: Agent, *, rules: Sequence[str] = (), **settings: Any) -> None:
        """Wraps an agent.

        Args:
            agent: The agent.
            rules: Rules, which stand behind the system message and which a ``Guard`` enforces.
            settings: Limits that replace the agent's own, such as ``max_new_tokens=300``.
        """
        super().__init__(model_id=agent.model.name)
        self.agent, self.rules, self._settings = agent, tuple(rules), settings
        self.answers: list[Answered] = []

    def forget(self) -> None:
        """Starts a new chat: the readings of earlier answers are left out from now on."""
        self.answers = []

    def generate(
        self,
        messages: Sequence[ChatMessage | Mapping[str, Any]],
        stop_sequences: Sequence[str] | None = None,
        response_format: Mapping[str, Any] | None = None,
        tools_to_call_from: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> ChatMessage:
        """Answers the messages.

        Args:
            messages: The messages.
            stop_sequences: Texts that end the answer; they are cut off.
            response_format: A schema of the answer, which is not supported.
            tools_to_call_from: The tools that the model may call.
            kwargs: Further settings: ``temperature``, ``max_tokens`` and ``max_new_tokens`` count.

        Returns:
            The answer.

        Raises:
            ConfigError: A message is invalid, or a schema is asked for.
            ModelError: The model can't answer.
        """
        if response_format is not None:
            raise ConfigError(
                "response_format is not supported by this model; set use_structured_outputs_internally=False"
            )
        described = [get_tool_json_schema(tool) for tool in tools_to_call_from or ()]
        answered = answer_chat(
            self.agent,
            [_message(ChatMessage.from_dict(m) if isinstance(m, dict) else m) for m in messages],
            tools=read_tools(described),
            rules=self.rules,
            earlier=earlier_readings([one.data for one in self.answers]),
            stop=tuple(stop_sequences or ()),
            settings=self._settings | _limits(kwargs),
        )
        self.answers.append(answered)
        named = {tool["function"]["name"] for tool in described}
        given = [(call.tool, call.arguments, call.id) for call in answered.calls]
        if not given and _FINAL in named:
            given = [(_FINAL, {"answer": answered.text}, f"call_{len(self.answers)}")]
        calls = [
            ChatMessageToolCall(
                ChatMessageToolCallFunction(name=name, arguments=arguments), id=identity, type="function"
            )
            for name, arguments, identity in given
        ]
        return ChatMessage(
            role=MessageRole.ASSISTANT,
            content=answered.text,
            tool_calls=calls or None,
            raw=answered,
            token_usage=TokenUsage(input_tokens=answered.prompt_tokens, output_tokens=answered.tokens),
        )


class StepReadings:
    """A step callback: collects what was measured in each step, and ends an agent that a controller stopped.

    Attributes:
        steps: By step number, the fields of :attr:`Answered.data`. The same data are the step's attribute
            ``homeostat``.
    """

    def __init__(self) -> None:
        self.steps: dict[int, dict[str, Any]] = {}

    def __call__(self, step: ActionStep, agent: Any = None) -> None:
        """Takes note of one step.

        Args:
            step: The step.
            agent: The agent of smolagents.
        """
        message = step.model_output_message
        if message is None or not isinstance(message.raw, Answered):
            return
        step.homeostat = message.raw.data
        self.steps[step.step_number] = message.raw.data
        if message.raw.finish == "stopped" and agent is not None:
            agent.interrupt()


def _message(message: ChatMessage) -> dict[str, Any]:
    role, label = _ROLES[MessageRole(message.role)]
    return {"role": role, "content": message.content, "label": label}


def _limits(given: Mapping[str, Any]) -> dict[str, Any]:
    names = {"temperature": "temperature", "max_tokens": "max_new_tokens", "max_new_tokens": "max_new_tokens"}
    return {names[key]: value for key, value in given.items() if key in names and value is not None}
