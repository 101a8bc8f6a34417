"""LangChain middleware: it reads every answer of an agent's chat model, reminds, and refuses tool calls.

    watched = WatchMiddleware(Agent(TransformersModel.load(NAME), [AttentionDrift()], [Guard(), Remind()]))
    agent = create_agent(chat_model, tools, middleware=[watched])
    agent.invoke({"messages": [...]})["homeostat"]

Where the readings come from depends on the chat model. A :class:`WatchedChatModel` brings its own. Of any other chat
model, the answer is given to the local model of the middleware's agent, which measures the attention (see
:mod:`homeostat.agent.frameworks.forced`).
"""

from __future__ import annotations

import operator
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Annotated, Any, NotRequired

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.types import Command, interrupt

from homeostat.actions import Call
from homeostat.agent.agent import Agent
from homeostat.agent.frameworks.answering import Answered
from homeostat.agent.frameworks.chat_request import read_messages, read_tools
from homeostat.agent.frameworks.extras import missing
from homeostat.agent.frameworks.langchain_model import KEY, as_chat
from homeostat.agent.frameworks.watching import Moment, Watching
from homeostat.controllers.decisions import Ask, Decision, Proceed, Refuse, Reminder, Stop

try:
    from langchain.agents.middleware import AgentMiddleware, AgentState, ExtendedModelResponse, ModelRequest
    from langchain.agents.middleware.types import ModelResponse, ToolCallRequest
except ModuleNotFoundError as error:
    raise missing(error) from None

__all__ = ["WatchMiddleware", "WatchedAgentState"]

_Turns = Generator[ModelRequest[Any], ModelResponse[Any], ExtendedModelResponse[Any]]


class WatchedAgentState(AgentState[Any]):
    """The state of an agent with the middleware.

    Attributes:
        homeostat: One record for each turn of the model and each refused tool call, oldest first: the fields of
            :attr:`Answered.data`, and ``"step"``, the number of the turn.
    """

    homeostat: NotRequired[Annotated[list[dict[str, Any]], operator.add]]


class WatchMiddleware(AgentMiddleware[WatchedAgentState, Any, Any]):
    """Watches an agent of LangChain with our sensors, and corrects it with our controllers.

    After every model call the controllers decide. A reminder asks the model again. A question interrupts the graph,
    which needs a checkpointer and is resumed with the answer. A stop ends the agent. A tool call that a controller
    refuses is not carried out, and the model is told the reason. What only our own loop can do, such as steering or
    sampling, is left out with a line in the log; a :class:`WatchedChatModel` with these controllers does it.

    The controllers are not asked about an answer for which a :class:`WatchedChatModel` has asked its own.

    Attributes:
        watching: The agent's sensors and controllers, and the rules.
        state_schema: The graph's state.
    """

    state_schema = WatchedAgentState

    def __init__(self, agent: Agent, *, rules: Sequence[str] = ()) -> None:
        """Takes the parts of an agent.

        Args:
            agent: The agent. Sensors that need attention read a :class:`~homeostat.agent.TransformersModel`; with
                another model only the sensors that read text are used.
            rules: Rules that the controllers enforce. The model is told them by your own system prompt.
        """
        super().__init__()
        self.watching = Watching(agent, tuple(rules))

    def wrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], ModelResponse[Any]],
    ) -> ExtendedModelResponse[Any]:
        """Calls the model, reads the answer, and calls the model again where a controller reminds it.

        Args:
            request: The request.
            handler: Calls the model.

        Returns:
            The response that counts, with the record for the state.
        """
        turns = self._turns(request)
        try:
            asked = next(turns)
            while True:
                asked = turns.send(handler(asked))
        except StopIteration as done:
            response: ExtendedModelResponse[Any] = done.value
            return response

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ExtendedModelResponse[Any]:
        """Does the same as :meth:`wrap_model_call` in an asynchronous agent.

        Args:
            request: The request.
            handler: Calls the model.

        Returns:
            The response that counts, with the record for the state.
        """
        turns = self._turns(request)
        try:
            asked = next(turns)
            while True:
                asked = turns.send(await handler(asked))
        except StopIteration as done:
            response: ExtendedModelResponse[Any] = done.value
            return response

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]]
    ) -> ToolMessage | Command[Any]:
        """Carries a tool call out unless a controller refuses it.

        Args:
            request: The call.
            handler: Carries it out.

        Returns:
            The tool's result, or the reason for the refusal with a record for the state.
        """
        return self._refused(request) or handler(request)

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]]
    ) -> ToolMessage | Command[Any]:
        """Does the same as :meth:`wrap_tool_call` in an asynchronous agent.

        Args:
            request: The call.
            handler: Carries it out.

        Returns:
            The tool's result, or the reason for the refusal with a record for the state.
        """
        return self._refused(request) or await handler(request)

    def _turns(self, request: ModelRequest[Any]) -> _Turns:
        """Yields the requests to the model, is sent the responses, and returns the response that counts."""
        records = _records(request.state)
        if stopped := next((d["reason"] for r in records for d in r["decisions"] if d["kind"] == "stop"), ""):
            return _spoken(stopped, ())
        step, taken = _turns_so_far(request.state), list[Decision]()
        attempts = tokens = 0
        asked = request
        while True:
            response = yield asked
            moment = self._moment(asked, step, taken)
            answered, controlled = self._read(response, moment)
            attempts, tokens = attempts + answered.attempts, tokens + answered.tokens
            decision = Proceed() if controlled else self.watching.decide(answered, moment)
            taken += [] if isinstance(decision, Proceed) else [decision]
            whole = {"decisions": (*answered.decisions, *taken), "attempts": attempts, "tokens": tokens}
            record = {"step": step, **answered.model_copy(update=whole).data}
            match decision:
                case Reminder(text=text):
                    asked = _reminded(request, text)
                case Ask(question=question):
                    asked = _reminded(request, f"The user answered: {interrupt(question)}")
                case Stop(reason=reason) | Refuse(reason=reason):
                    return _spoken(reason, [record])
                case _:
                    return ExtendedModelResponse(response, Command(update={"homeostat": [record]}))

    def _moment(self, request: ModelRequest[Any], step: int, taken: Sequence[Decision]) -> Moment:
        described = [tool if isinstance(tool, dict) else convert_to_openai_tool(tool) for tool in request.tools]
        tools = read_tools([tool for tool in described if "function" in tool])  # not those of the model's provider
        system = [request.system_message] if request.system_message is not None else []
        read = read_messages(as_chat([*system, *request.messages]), tools, only_text=False)
        return Moment(read, step, _records(request.state), tuple(taken))

    def _read(self, response: ModelResponse[Any], moment: Moment) -> tuple[Answered, bool]:
        """What was measured of the response, and whether controllers were asked about it already."""
        message = next(m for m in reversed(response.result) if isinstance(m, AIMessage))
        calls = tuple(Call(tool=c["name"], arguments=c["args"], id=c["id"] or "") for c in message.tool_calls)
        brought = message.response_metadata.get(KEY)
        if brought is not None:
            answered = Answered.model_validate({**brought, "text": message.text, "calls": calls})
            return answered, answered.controlled
        answered = self.watching.read(message.text, calls, moment)
        if (usage := message.usage_metadata) is not None:
            counted = {"prompt_tokens": usage["input_tokens"], "tokens": usage["output_tokens"]}
            answered = answered.model_copy(update=counted)
        return answered, False

    def _refused(self, request: ToolCallRequest) -> Command[Any] | None:
        """The command that answers a refused call; None for a call that is allowed."""
        call = Call(tool=request.tool_call["name"], arguments=request.tool_call["args"])
        tools = read_tools([convert_to_openai_tool(request.tool)] if request.tool is not None else [])
        read = read_messages(as_chat(request.state["messages"]), tools, only_text=False)
        step = _turns_so_far(request.state) - 1  # the call belongs to the model's last turn
        refusal = self.watching.refusal(call, Moment(read, step, _records(request.state)))
        if refusal is None:
            return None
        identity = request.tool_call["id"] or ""
        told = ToolMessage(refusal.reason, tool_call_id=identity, name=call.tool, status="error")
        record = {"step": step, **Answered(finish="refused", decisions=(refusal,)).data}
        return Command(update={"messages": [told], "homeostat": [record]})


def _records(state: Any) -> list[dict[str, Any]]:
    return state.get("homeostat") or []


def _turns_so_far(state: Any) -> int:
    return sum(isinstance(message, AIMessage) for message in state["messages"])


def _reminded(request: ModelRequest[Any], text: str) -> ModelRequest[Any]:
    told = HumanMessage(text, additional_kwargs={"label": "reminder"})
    return request.override(messages=[*request.messages, told])


def _spoken(text: str, records: Sequence[dict[str, Any]]) -> ExtendedModelResponse[Any]:
    """A response in the place of the model's."""
    said = AIMessage(text, response_metadata={"finish_reason": "stopped"})
    return ExtendedModelResponse(ModelResponse([said]), Command(update={"homeostat": list(records)}))
