"""A LangGraph node that answers with an agent: sensors read every answer, controllers may correct it.

graph = StateGraph(WatchedMessages)
graph.add_node("model", WatchedNode(agent, tools=[weather]))
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NotRequired

from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langgraph.graph import MessagesState

from homeostat.agent.agent import Agent
from homeostat.agent.frameworks.langchain_model import KEY, WatchedChatModel

__all__ = ["WatchedMessages", "WatchedNode"]


class WatchedMessages(MessagesState):
    """A graph's state with the messages, and what was measured of the model's answers.

    Attributes:
        homeostat: One record for each answer, oldest first: the fields of :attr:`Answered.data`.
    """

    homeostat: NotRequired[Annotated[list[dict[str, Any]], operator.add]]


class WatchedNode:
    """Answers the messages in the state. The graph carries the tool calls out, for example with a ``ToolNode``.

    A call that a controller refuses does not leave the node: the model is told the reason and answers again.

    Attributes:
        chat: The chat model that answers.
    """

    def __init__(
        self,
        agent: Agent,
        *,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool] = (),
        rules: Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        """Makes the node.

        Args:
            agent: The agent.
            tools: The tools that the model may call.
            rules: Rules, which stand behind the system message and which a ``Guard`` enforces.
            seed: The seed of sampling.
        """
        self.chat = WatchedChatModel(agent, rules=tuple(rules), seed=seed)
        self._bound = self.chat.bind_tools(tools) if tools else self.chat

    def __call__(self, state: Mapping[str, Any], config: RunnableConfig) -> dict[str, Any]:
        """Answers.

        Args:
            state: The graph's state, with ``"messages"``.
            config: The settings of the graph's run.

        Returns:
            The new message and its record.
        """
        messages: list[AnyMessage] = state["messages"]
        answer: AIMessage = self._bound.invoke(messages, config)
        return {"messages": [answer], "homeostat": [answer.response_metadata[KEY]]}
