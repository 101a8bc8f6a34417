"""Stock clients of OpenAI's API against a served model, unchanged but for their base URL."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from homeostat.controllers import Guard

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # the frameworks' own
    pytest.mark.filterwarnings("ignore:.*[Pp]ydantic.*"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # their clients are never closed
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
CHAT: list[Any] = [{"role": "user", "content": "How is the weather in Paris?"}]
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "look",
        "description": "Looks at the sky.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def talks(prompt: Any) -> str:
    """A model that looks once and then says what it saw."""
    last = prompt.messages[-1].parts[-1]
    tools = any(part.label == "tools" for message in prompt.messages for part in message.parts)
    if last.label.startswith("tool") or "grey" in last.text or not tools:
        return "It is grey in Paris."
    return '<tool_call>{"name": "look", "arguments": {"city": "Paris"}}</tool_call>'


@pytest.fixture(scope="module")
def url(serving: Any) -> Any:
    with serving.served(serving.Scripted(talks), [Guard()]) as running:
        yield running.url


@pytest.fixture(autouse=True)
def collected() -> Any:
    """Lets warnings about unclosed sockets come while they are ignored."""
    yield
    gc.collect()


def test_openai(url: str) -> None:
    from openai import NotFoundError, OpenAI

    with OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        answer = client.chat.completions.create(model="tiny", messages=CHAT)
        assert answer.choices[0].message.content == "It is grey in Paris."
        assert answer.model_extra is not None
        assert answer.model_extra["homeostat"]["ended"] == "answered"
        chunks = list(client.chat.completions.create(model="tiny", messages=CHAT, stream=True))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "It is grey in Paris."
        assert chunks[-1].choices[0].finish_reason == "stop"
        assert chunks[-1].model_extra is not None
        assert chunks[-1].model_extra["homeostat"]["streamed"] == "after the decision"
        called = client.chat.completions.create(model="tiny", messages=CHAT, tools=[TOOL])
        (call,) = called.choices[0].message.tool_calls or ()
        assert call.type == "function"
        assert (call.function.name, call.function.arguments) == ("look", '{"city": "Paris"}')
        with client.chat.completions.stream(model="tiny", messages=CHAT, tools=[TOOL]) as stream:
            final = stream.get_final_completion()
        assert final.choices[0].finish_reason == "tool_calls"
        assert [model.id for model in client.models.list()] == ["tiny"]
        with pytest.raises(NotFoundError, match="not served here"):
            client.chat.completions.create(model="other", messages=CHAT)


def test_openai_async(url: str) -> None:
    from openai import AsyncOpenAI

    async def both() -> tuple[str, str]:
        async with AsyncOpenAI(base_url=url, api_key="none") as client:
            answer = await client.chat.completions.create(model="tiny", messages=CHAT)
            text = ""
            async for chunk in await client.chat.completions.create(model="tiny", messages=CHAT, stream=True):
                text += chunk.choices[0].delta.content or ""
            return answer.choices[0].message.content or "", text

    assert asyncio.run(both()) == ("It is grey in Paris.",) * 2


def test_openai_streams_while_the_model_writes(serving: Any, tiny: Any) -> None:
    from openai import OpenAI

    with serving.served(tiny) as running, OpenAI(base_url=running.url, api_key="none") as client:
        whole = client.chat.completions.create(model="tiny", messages=CHAT, max_tokens=20)
        chunks = list(client.chat.completions.create(model="tiny", messages=CHAT, max_tokens=20, stream=True))
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content]
    assert "".join(pieces) == whole.choices[0].message.content
    assert len(pieces) > 3


def test_langchain(url: str) -> None:
    from langchain.agents import create_agent
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI

    @tool
    def look(city: str) -> str:
        """Looks at the sky."""
        return f"grey over {city}"

    model = ChatOpenAI(base_url=url, api_key="none", model="tiny")
    assert model.invoke("How is Paris?").content == "It is grey in Paris."
    assert "".join(str(chunk.content) for chunk in model.stream("How is Paris?")) == "It is grey in Paris."
    (call,) = model.bind_tools([look]).invoke("How is Paris?").tool_calls
    assert (call["name"], call["args"]) == ("look", {"city": "Paris"})
    agent = create_agent(model, [look])
    messages = agent.invoke({"messages": [{"role": "user", "content": "How is Paris?"}]})["messages"]
    assert [message.type for message in messages] == ["human", "ai", "tool", "ai"]
    assert messages[2].content == "grey over Paris"
    assert messages[3].content == "It is grey in Paris."


def test_pydantic_ai(url: str) -> None:
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    seen = []
    agent = Agent(OpenAIChatModel("tiny", provider=OpenAIProvider(base_url=url, api_key="none")))

    @agent.tool_plain
    def look(city: str) -> str:
        """Looks at the sky."""
        seen.append(city)
        return f"grey over {city}"

    async def run() -> tuple[str, str]:
        answer = await agent.run("How is Paris?")
        async with agent.run_stream("How is Paris?") as streamed:
            return answer.output, await streamed.get_output()

    assert asyncio.run(run()) == ("It is grey in Paris.",) * 2
    assert seen == ["Paris", "Paris"]


def test_smolagents(url: str, serving: Any) -> None:
    from smolagents import OpenAIServerModel, ToolCallingAgent, tool

    @tool
    def look(city: str) -> str:
        """Looks at the sky.

        Args:
            city: Where.
        """
        return f"grey over {city}"

    model = OpenAIServerModel(model_id="tiny", api_base=url, api_key="none")
    assert model([{"role": "user", "content": [{"type": "text", "text": "How is Paris?"}]}]).content == (
        "It is grey in Paris."
    )

    def uses_tools(prompt: Any) -> str:
        if any("grey over Paris" in part.text for message in prompt.messages for part in message.parts):
            return '<tool_call>{"name": "final_answer", "arguments": {"answer": "grey"}}</tool_call>'
        return '<tool_call>{"name": "look", "arguments": {"city": "Paris"}}</tool_call>'

    schema = frozenset(("text", "schema"))  # smolagents demands a tool call
    with serving.served(serving.Scripted(uses_tools, capabilities=schema)) as running:
        model = OpenAIServerModel(model_id="tiny", api_base=running.url, api_key="none")
        agent = ToolCallingAgent(tools=[look], model=model, max_steps=4, verbosity_level=0)
        assert agent.run("How is Paris?") == "grey"


def test_autogen(url: str) -> None:
    from autogen_agentchat.agents import AssistantAgent
    from autogen_ext.models.openai import OpenAIChatCompletionClient

    async def look(city: str) -> str:
        """Looks at the sky."""
        return f"grey over {city}"

    info: Any = {"vision": False, "function_calling": True, "json_output": True, "structured_output": True}
    info |= {"family": "unknown"}

    async def run() -> Any:
        client = OpenAIChatCompletionClient(model="tiny", base_url=url, api_key="none", model_info=info)
        agent = AssistantAgent("weather", client, tools=[look], reflect_on_tool_use=True)
        result = await agent.run(task="How is Paris?")
        await client.close()
        return result.messages

    messages = asyncio.run(run())
    assert messages[-1].content == "It is grey in Paris."
    assert any("grey over Paris" in str(message.content) for message in messages)
