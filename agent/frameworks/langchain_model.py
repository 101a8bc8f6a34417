"""A LangChain chat model over an agent: every answer is read by its sensors and may be corrected by its controllers.

chat = WatchedChatModel(agent=Agent(TransformersModel.load(NAME), [AttentionDrift()], [Guard(), Remind()]))
message = chat.invoke("Where is Rome?")
message.response_metadata["homeostat"]["readings"]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, convert_to_openai_messages
from langchain_core.messages.tool import tool_call
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field

from homeostat.agent.agent import Agent
from homeostat.agent.frameworks.answering import Answered, answer_chat, earlier_readings
from homeostat.agent.frameworks.chat_request import read_tools

__all__ = ["KEY", "WatchedChatModel", "as_chat"]

KEY = "homeostat"
"""The key of a message's ``response_metadata`` under which the readings stand."""


class WatchedChatModel(BaseChatModel):
    """A chat model for LangChain and LangGraph over an agent's model, with the agent's loop inside.

    Every :class:`~langchain_core.messages.AIMessage` has the readings, the decisions and the attention on every span in
    ``response_metadata["homeostat"]`` (:attr:`Answered.data`). Sensors that compare find the readings of the earlier
    messages of the chat there. A message's ``additional_kwargs["label"]`` is the label of its span.

    Attributes:
        agent: The agent.
        rules: Rules, which stand behind the system message and which a ``Guard`` enforces.
        seed: The seed of sampling.
        settings: Limits that replace the agent's own, such as ``{"max_new_tokens": 300}``.
    """

    agent: Any = Field(repr=False)
    rules: tuple[str, ...] = ()
    seed: int = 0
    settings: dict[str, Any] = Field(default_factory=dict)

    def __init__(self, agent: Agent, **settings: Any) -> None:
        """Wraps an agent.

        Args:
            agent: The agent. Its planner and its environment play no part here.
            settings: The other attributes, and those of LangChain's ``BaseChatModel``.
        """
        super().__init__(**{"agent": agent, **settings})

    @property
    def _llm_type(self) -> str:
        return "homeostat"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return {"model_name": self.agent.model.name, "rules": self.rules, "seed": self.seed, **self.settings}

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Binds tools to the model.

        Args:
            tools: The tools.
            tool_choice: ``"none"`` hides the tools. Any other value leaves the choice to the model: a call can't be
                enforced.
            kwargs: Further settings of the call.

        Returns:
            The model with the tools.
        """
        described = [] if tool_choice == "none" else [convert_to_openai_tool(tool) for tool in tools]
        return self.bind(tools=described, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        answered = answer_chat(
            self.agent,
            as_chat(messages),
            tools=read_tools(kwargs.get("tools") or ()),
            rules=self.rules,
            earlier=earlier_readings([message.response_metadata.get(KEY) for message in messages]),
            stop=stop or (),
            seed=kwargs.get("seed", self.seed),
            settings=self.settings | _limits(kwargs),
        )
        message = _message(answered, self.agent.model.name)
        return ChatResult(generations=[ChatGeneration(message=message)])


def as_chat(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """Converts LangChain's messages to OpenAI's format.

    Args:
        messages: The messages. ``additional_kwargs["label"]`` becomes the label of the message's span.

    Returns:
        The chat.
    """
    chat: list[dict[str, Any]] = convert_to_openai_messages(list(messages))
    for message, given in zip(chat, messages, strict=True):
        if label := given.additional_kwargs.get("label"):
            message["label"] = label
    return chat


def _message(answered: Answered, name: str) -> AIMessage:
    return AIMessage(
        content=answered.text,
        tool_calls=[tool_call(name=call.tool, args=call.arguments, id=call.id) for call in answered.calls],
        response_metadata={"model_name": name, "finish_reason": answered.finish, KEY: answered.data},
        usage_metadata={
            "input_tokens": answered.prompt_tokens,
            "output_tokens": answered.tokens,
            "total_tokens": answered.prompt_tokens + answered.tokens,
        },
    )


def _limits(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of one call under the names of the loop's limits."""
    names = {"temperature": "temperature", "max_tokens": "max_new_tokens", "max_new_tokens": "max_new_tokens"}
    return {names[key]: value for key, value in given.items() if key in names and value is not None}
