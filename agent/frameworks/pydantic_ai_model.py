"""A pydantic-ai model over an agent: sensors read every answer, controllers may correct it.

agent = pydantic_ai.Agent(PydanticAIModel(Agent(TransformersModel.load(NAME), [AttentionDrift()], [Guard()])))
result = agent.run_sync("Where is Rome?")
result.all_messages()[-1].provider_details["homeostat"]["readings"]
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from homeostat.agent.agent import Agent
from homeostat.agent.frameworks.answering import Answered, answer_chat, arguments_text, earlier_readings
from homeostat.agent.frameworks.chat_request import read_tools
from homeostat.agent.frameworks.extras import missing
from homeostat.errors import ConfigError

try:
    from pydantic_ai import RunContext
    from pydantic_ai.messages import (
        ModelMessage,
        ModelRequest,
        ModelResponse,
        ModelResponsePart,
        ModelResponseStreamEvent,
        RetryPromptPart,
        SystemPromptPart,
        TextContent,
        TextPart,
        ToolCallPart,
        ToolReturnPart,
        UserPromptPart,
    )
    from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
    from pydantic_ai.settings import ModelSettings
    from pydantic_ai.usage import RequestUsage
except ModuleNotFoundError as error:
    raise missing(error) from None

__all__ = ["PydanticAIModel"]

_KEY = "homeostat"


class PydanticAIModel(Model[Any]):
    """A model for pydantic-ai's agents, with the agent's loop inside.

    Every :class:`~pydantic_ai.messages.ModelResponse` has the readings, the decisions and the attention on every span
    in ``provider_details["homeostat"]`` (:attr:`Answered.data`). Sensors that compare find the readings of the earlier
    responses of the chat there. A streamed response comes as a whole, because the controllers decide on whole answers.

    Attributes:
        agent: The agent.
        rules: Rules, which stand behind the instructions and which a ``Guard`` enforces.
    """

    def __init__(self, agent: Agent, *, rules: Sequence[str] = (), settings: ModelSettings | None = None) -> None:
        """Wraps an agent.

        Args:
            agent: The agent.
            rules: Rules, which stand behind the instructions and which a ``Guard`` enforces.
            settings: Settings of every request. ``temperature``, ``max_tokens``, ``seed`` and ``stop_sequences`` count.
        """
        super().__init__(settings=settings)
        self.agent, self.rules = agent, tuple(rules)

    @property
    def model_name(self) -> str:
        """The name of the agent's model."""
        return self.agent.model.name

    @property
    def system(self) -> str:
        """The provider, ``"homeostat"``."""
        return "homeostat"

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Answers a request in a thread, so that the event loop stays free.

        Args:
            messages: The chat.
            model_settings: The settings of the request.
            model_request_parameters: The tools and the kind of output.

        Returns:
            The response.

        Raises:
            ConfigError: The chat holds something else than text.
            ModelError: The model can't answer.
        """
        settings, parameters = self.prepare_request(model_settings, model_request_parameters)
        return _response(await asyncio.to_thread(self._answer, messages, settings, parameters), self.model_name)

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """Answers a request, and then streams the whole answer.

        Args:
            messages: The chat.
            model_settings: The settings of the request.
            model_request_parameters: The tools and the kind of output.
            run_context: The run, which is not used.

        Yields:
            The stream.
        """
        settings, parameters = self.prepare_request(model_settings, model_request_parameters)
        answered = await asyncio.to_thread(self._answer, messages, settings, parameters)
        yield _Whole(parameters, _response(answered, self.model_name))

    def _answer(
        self, messages: list[ModelMessage], settings: ModelSettings | None, parameters: ModelRequestParameters
    ) -> Answered:
        given: Mapping[str, Any] = settings or {}
        offered = [*parameters.declared_function_tools, *parameters.output_tools]
        described = [
            {"name": tool.name, "description": tool.description, "parameters": tool.parameters_json_schema}
            for tool in offered
        ]
        instructions = [part.content for part in self._get_instruction_parts(messages, parameters) or ()]
        system = [{"role": "system", "content": text} for text in instructions]
        limits = {"temperature": given.get("temperature"), "max_new_tokens": given.get("max_tokens")}
        before = [(m.provider_details or {}).get(_KEY) for m in messages if isinstance(m, ModelResponse)]
        return answer_chat(
            self.agent,
            [*system, *(message for one in messages for message in _chat(one))],
            tools=read_tools([{"type": "function", "function": one} for one in described]),
            rules=self.rules,
            earlier=earlier_readings(before),
            stop=given.get("stop_sequences") or (),
            seed=given.get("seed") or 0,
            settings={name: value for name, value in limits.items() if value is not None},
        )


@dataclass
class _Whole(StreamedResponse):
    """A response that is complete already, as a stream of one event for each part."""

    response: ModelResponse
    _begun: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        self._usage = self.response.usage
        self.provider_details = self.response.provider_details

    async def _get_event_iterator(self) -> AsyncIterator[ModelResponseStreamEvent]:
        for number, part in enumerate(self.response.parts):
            if isinstance(part, ToolCallPart):
                yield self._parts_manager.handle_tool_call_part(
                    vendor_part_id=number,
                    tool_name=part.tool_name,
                    args=part.args_as_json_str(),
                    tool_call_id=part.tool_call_id,
                )
            elif isinstance(part, TextPart):
                for event in self._parts_manager.handle_text_delta(vendor_part_id=number, content=part.content):
                    yield event

    @property
    def model_name(self) -> str:
        return self.response.model_name or ""

    @property
    def provider_name(self) -> str:
        return "homeostat"

    @property
    def provider_url(self) -> str | None:
        return None

    @property
    def timestamp(self) -> datetime:
        return self._begun


def _response(answered: Answered, name: str) -> ModelResponse:
    parts: list[ModelResponsePart] = [TextPart(answered.text)] if answered.text or not answered.calls else []
    parts += [ToolCallPart(call.tool, arguments_text(call), tool_call_id=call.id) for call in answered.calls]
    return ModelResponse(
        parts=parts,
        usage=RequestUsage(input_tokens=answered.prompt_tokens, output_tokens=answered.tokens),
        model_name=name,
        provider_name="homeostat",
        provider_details={_KEY: answered.data},
    )


def _chat(message: ModelMessage) -> Iterator[dict[str, Any]]:
    """One message of pydantic-ai as messages in OpenAI's format."""
    if isinstance(message, ModelResponse):
        calls = [
            {"id": part.tool_call_id, "function": {"name": part.tool_name, "arguments": part.args_as_json_str()}}
            for part in message.parts
            if isinstance(part, ToolCallPart)
        ]
        said = "\n".join(part.content for part in message.parts if isinstance(part, TextPart))
        yield {"role": "assistant", "content": said, "tool_calls": calls}
        return
    assert isinstance(message, ModelRequest)
    for part in message.parts:
        if isinstance(part, SystemPromptPart):
            yield {"role": "system", "content": part.content}
        elif isinstance(part, UserPromptPart):
            yield {"role": "user", "content": _user_text(part)}
        elif isinstance(part, ToolReturnPart):
            result = part.model_response_str()
            yield {"role": "tool", "tool_call_id": part.tool_call_id, "name": part.tool_name, "content": result}
        elif isinstance(part, RetryPromptPart):
            yield {"role": "user", "content": part.model_response()}


def _user_text(part: UserPromptPart) -> str:
    if isinstance(part.content, str):
        return part.content
    texts = []
    for item in part.content:
        if not isinstance(item, str | TextContent):
            raise ConfigError(f"the prompt holds a {type(item).__name__}; only texts are supported here")
        texts.append(item if isinstance(item, str) else item.content)
    return "\n".join(texts)
