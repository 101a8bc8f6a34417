"""LangChain, LangGraph, smolagents and pydantic-ai over our models: readings, corrections and refusals arrive there."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from homeostat import Agent, TransformersModel
from homeostat.agent.frameworks import (
    PydanticAIModel,
    SmolagentsModel,
    StepReadings,
    WatchedChatModel,
    WatchedNode,
    WatchMiddleware,
    answer_chat,
)
from homeostat.agent.frameworks.chat_request import read_messages
from homeostat.controllers import Guard, Reminder
from homeostat.controllers.decisions import Ask, Decision, Proceed, Stop
from homeostat.conversation import ToolSpec
from homeostat.errors import ConfigError
from homeostat.sensors import AttentionDrift, Confidence, Reading
from homeostat.testing import ScriptedModel

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:smolagents"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]
LOOK = '<tool_call>{"name":"look","arguments":{"city":"Paris"}}</tool_call>'
SEND = '<tool_call>{"name":"send","arguments":{"to":"Anna"}}</tool_call>'
WHITE = frozenset(("text", "logprobs", "attention"))


def look(city: str) -> str:
    """Looks at the sky.

    Args:
        city: Where.
    """
    return f"grey over {city}"


def send(to: str) -> str:
    """Sends a message.

    Args:
        to: To whom.
    """
    raise AssertionError(f"the forbidden tool was called for {to}")


class Words:
    """A sensor that counts words and alarms where there are more than three; it reports how many readings it knew."""

    name = "words"
    needs = frozenset(("text",))

    def read(self, attempt: Any, context: Any) -> Reading:
        words = len(attempt.text.split())
        return Reading(
            sensor=self.name, value=words, threshold=3, alarm=words > 3, detail={"known": len(context.history)}
        )


class OnAlarm:
    """A controller that takes a given decision at an alarm."""

    name = "on_alarm"
    sensors = frozenset({"words"})

    def __init__(self, decision: Decision) -> None:
        self.decision = decision

    def decide(self, readings: Any, context: Any) -> Decision:
        return self.decision if any(reading.alarm for reading in readings) else Proceed()


BRIEF = OnAlarm(Reminder(text="Be brief.", cause="words"))


def labels(prompt: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for message in prompt.messages:
        for part in message.parts:
            found[part.label] = found.get(part.label, "") + part.text
    return found


@pytest.fixture(scope="module")
def tiny(chat_tools: Any) -> TransformersModel:
    """A random text model of two layers."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = chat_tools.make_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        initializer_range=0.3,
    )
    return TransformersModel(LlamaForCausalLM(config).eval(), tokenizer, name="tiny")


def test_a_chat_is_answered_with_spans_by_role() -> None:
    model = ScriptedModel(["Grey it is."], capabilities=WHITE, mass={"goal": 0.5, "tool.look": 0.25})
    chat = [
        {"role": "system", "content": "You know the weather."},
        {"role": "user", "content": "How is Paris?"},
        {
            "role": "assistant",
            "tool_calls": [{"id": "a", "function": {"name": "look", "arguments": '{"city": "Paris"}'}}],
        },
        {"role": "tool", "tool_call_id": "a", "content": "grey"},
        {"role": "user", "content": [{"type": "text", "text": "And now?"}], "label": "question"},
    ]
    answered = answer_chat(Agent(model, [Words()]), chat, tools=[ToolSpec(name="look")], rules=["be kind"])
    assert (answered.text, answered.finish, answered.controlled) == ("Grey it is.", "stop", False)
    assert answered.mass == pytest.approx({"goal": 0.5, "tool.look": 0.25, "output": 0.0})
    assert [(reading.sensor, reading.value) for reading in answered.readings] == [("words", 3.0)]
    spans = labels(model.prompts[0])
    assert spans["system"] == "You know the weather."
    assert "be kind" in spans["rules"]
    assert spans["goal"] == "How is Paris?"
    assert "grey" in spans["tool.look"]
    assert '"city": "Paris"' in spans["history"]
    assert spans["question"] == "And now?"


@pytest.mark.parametrize(
    ("chat", "word"),
    [
        ([], "begin"),
        ([{"role": "assistant", "content": "hello"}, {"role": "user", "content": "hi"}], "begin"),
        ([{"role": "user", "content": " "}], "empty"),
        ([{"role": "critic", "content": "hm"}], "'critic'"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}], "'image_url'"),
        (
            [
                {"role": "user", "content": "a"},
                {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]},
            ],
            "message 1",
        ),
    ],
)
def test_a_chat_that_cannot_be_read_is_named(chat: list[dict[str, Any]], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        read_messages(chat)


def test_a_refused_call_is_answered_again_and_never_leaves() -> None:
    model = ScriptedModel([SEND, "I may not."])
    tools = [ToolSpec(name="send", description="Sends a message.")]
    chat = [{"role": "user", "content": "Tell Anna."}]
    answered = answer_chat(Agent(model, [], [Guard()]), chat, tools=tools, rules=["never send a message"])
    assert (answered.text, answered.calls, answered.attempts) == ("I may not.", (), 2)
    assert [decision.kind for decision in answered.decisions] == ["refuse"]
    always = ScriptedModel([SEND])
    answered = answer_chat(Agent(always, [], [Guard()]), chat, tools=tools, rules=["never send a message"])
    assert (answered.finish, answered.calls, answered.attempts) == ("refused", (), 3)
    assert "never send a message" in answered.text


@pytest.mark.parametrize(
    ("decision", "finish", "text"),
    [(Ask(question="Really?"), "question", "Really?"), (Stop(reason="enough"), "stopped", "enough")],
)
def test_questions_and_stops_are_told(decision: Decision, finish: str, text: str) -> None:
    agent = Agent(ScriptedModel(["far too many words here"]), [Words()], [OnAlarm(decision)])
    answered = answer_chat(agent, [{"role": "user", "content": "Go"}])
    assert (answered.finish, answered.text) == (finish, text)


def test_stop_texts_cut_the_answer_before_it_is_read() -> None:
    agent = Agent(ScriptedModel([f"I look.\nObservation: {LOOK}"]))
    chat = [{"role": "user", "content": "Go"}]
    answered = answer_chat(agent, chat, tools=[ToolSpec(name="look")], stop=["Observation:"])
    assert (answered.text, answered.calls) == ("I look.", ())


def test_a_langchain_agent_uses_our_chat_model() -> None:
    from langchain.agents import create_agent

    model = ScriptedModel([LOOK, "It is grey there."], capabilities=WHITE)
    chat = WatchedChatModel(Agent(model, [Words()]), settings={"max_new_tokens": 77})
    done = create_agent(chat, [look], system_prompt="You know the weather.").invoke(
        {"messages": [{"role": "user", "content": "How is Paris?"}]}
    )
    assert done["messages"][-1].content == "It is grey there."
    assert [m.type for m in done["messages"]] == ["human", "ai", "tool", "ai"]
    measured = done["messages"][-1].response_metadata["homeostat"]
    assert measured["readings"][0]["value"] == 4
    assert measured["readings"][0]["detail"] == {"known": 1}  # the reading of the first answer of this chat
    assert set(measured["mass"]) == {"goal", "screen", "output"}
    assert done["messages"][-1].usage_metadata["input_tokens"] == 10
    assert "grey over Paris" in labels(model.prompts[1])["tool.look"]
    assert {call["max_new_tokens"] for call in model.calls} == {77}


def test_langchain_streams_and_awaits_the_chat_model() -> None:
    chat = WatchedChatModel(Agent(ScriptedModel(["Yes."]), [Words()]))
    assert "".join(chunk.content for chunk in chat.stream("Is it?")) == "Yes."
    assert asyncio.run(chat.ainvoke("Is it?")).response_metadata["homeostat"]["readings"][0]["value"] == 1


class Silent(WatchedChatModel):
    """A stranger's chat model: its messages hold no readings."""

    def _generate(self, *given: Any, **more: Any) -> Any:
        result = super()._generate(*given, **more)
        result.generations[0].message.response_metadata = {}
        return result


def middle(
    model: Any, controllers: list[Any], *, rules: tuple[str, ...] = (), strange: bool = True, **more: Any
) -> Any:
    from langchain.agents import create_agent

    chat = (Silent if strange else WatchedChatModel)(Agent(model, [Words()]))
    watched = WatchMiddleware(Agent(model, [Words()], controllers), rules=rules)
    return create_agent(chat, [look, send], middleware=[watched], **more)


ASKED = {"messages": [{"role": "user", "content": "How is Paris?"}]}


@pytest.mark.parametrize("strange", [True, False])
def test_the_middleware_reads_every_answer_and_reminds(strange: bool) -> None:
    model = ScriptedModel([LOOK, "far too many words here", "Grey."])
    done = middle(model, [BRIEF], strange=strange).invoke(ASKED)
    assert done["messages"][-1].content == "Grey."
    assert labels(model.prompts[2])["reminder"] == "Be brief."
    assert [r["step"] for r in done["homeostat"]] == [0, 1]
    assert [d["kind"] for d in done["homeostat"][1]["decisions"]] == ["remind"]
    assert done["homeostat"][1]["readings"][0]["value"] == 1
    assert done["homeostat"][1]["attempts"] == 2


def test_the_middleware_works_in_an_asynchronous_agent() -> None:
    model = ScriptedModel([SEND, "far too many words here", "No."])
    done = asyncio.run(middle(model, [Guard(), BRIEF], rules=("never send a message",)).ainvoke(ASKED))
    assert done["messages"][-1].content == "No."
    assert done["messages"][2].status == "error"


def test_the_middleware_refuses_tool_calls() -> None:
    model = ScriptedModel([SEND, "I may not."])
    done = middle(model, [Guard()], rules=("never send a message",)).invoke(ASKED)
    refused = done["messages"][2]
    assert (refused.type, refused.name, refused.status) == ("tool", "send", "error")
    assert "never send a message" in refused.content
    assert [r["finish"] for r in done["homeostat"]] == ["tool_calls", "refused", "stop"]
    assert done["homeostat"][1]["decisions"][0]["by"] == "guard"


def test_the_middleware_lets_images_pass() -> None:
    from langchain.agents import create_agent
    from langchain_core.language_models import FakeListChatModel

    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    asked = {"messages": [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]}]}
    watched = WatchMiddleware(Agent(ScriptedModel([""]), [Words()]))
    done = create_agent(FakeListChatModel(responses=["A cat."]), middleware=[watched]).invoke(asked)
    assert done["homeostat"][0]["readings"][0]["value"] == 2


def test_a_stop_ends_the_langchain_agent() -> None:
    model = ScriptedModel(["far too many words here", "never reached"])
    done = middle(model, [OnAlarm(Stop(reason="enough"))]).invoke(ASKED)
    assert done["messages"][-1].content == "enough"
    assert len(model.prompts) == 1


def test_a_question_interrupts_the_graph_and_is_resumed() -> None:
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.types import Command

    model = ScriptedModel(lambda prompt: "Grey." if "reminder" in labels(prompt) else "far too many words here")
    graph = middle(model, [OnAlarm(Ask(question="Shorter?"))], checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    waiting = graph.invoke(ASKED, config)
    assert waiting["__interrupt__"][0].value == "Shorter?"
    done = graph.invoke(Command(resume="yes"), config)
    assert done["messages"][-1].content == "Grey."
    assert labels(model.prompts[-1])["reminder"] == "The user answered: yes"


def test_the_middleware_measures_a_strangers_answer_on_the_local_model(tiny: TransformersModel) -> None:
    from langchain.agents import create_agent
    from langchain_core.language_models import FakeListChatModel

    sensors = [AttentionDrift(), Confidence()]
    graph = create_agent(FakeListChatModel(responses=["open it"]), middleware=[WatchMiddleware(Agent(tiny, sensors))])
    record = graph.invoke(ASKED)["homeostat"][0]
    prompt = read_prompt(tiny, "How is Paris?")
    tokens = tiny.renderer.tokenizer("open it", add_special_tokens=False)["input_ids"]
    mass = tiny.read(prompt, tokens).mass.mean(axis=(0, 1, 2))
    assert sum(record["mass"].values()) <= 1.0 + 1e-5
    assert record["mass"]["goal"] == pytest.approx(
        float(mass[tiny.read(prompt, tokens).labels.index("goal")]), abs=1e-6
    )
    scores = tiny.score(prompt, tokens)
    mean = float(np.mean([scores[n, token] for n, token in enumerate(tokens)]))
    assert {r["sensor"] for r in record["readings"]} == {"attention_drift", "confidence"}
    assert any(np.isclose(r["value"], np.exp(mean), atol=1e-4) or r["detail"] for r in record["readings"])


def read_prompt(model: TransformersModel, goal: str) -> Any:
    from homeostat.agent.prompts import conversation_prompt
    from homeostat.conversation import Conversation

    style = model.style.conversation
    return conversation_prompt(style, goal=goal, rules=(), conversation=Conversation())


def test_a_langgraph_node_keeps_the_records_in_the_state() -> None:
    from langgraph.graph import END, START, StateGraph
    from langgraph.prebuilt import ToolNode, tools_condition

    from homeostat.agent.frameworks.langgraph_node import WatchedMessages

    model = ScriptedModel([SEND, LOOK, "Grey."])
    node = WatchedNode(Agent(model, [Words()], [Guard()]), tools=[look, send], rules=["never send a message"])
    graph = StateGraph(WatchedMessages)
    graph.add_node("model", node)
    graph.add_node("tools", ToolNode([look, send]))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition, ["tools", END])
    graph.add_edge("tools", "model")
    done = graph.compile().invoke({"messages": [("user", "How is Paris?")]})
    assert done["messages"][-1].content == "Grey."
    assert [record["attempts"] for record in done["homeostat"]] == [2, 1]
    assert done["homeostat"][0]["decisions"][0]["kind"] == "refuse"


def smol(model: Any, controllers: list[Any] | None = None, **more: Any) -> tuple[Any, StepReadings, SmolagentsModel]:
    from smolagents import LogLevel, Tool, ToolCallingAgent

    class Look(Tool):
        name, description, output_type = "look", "Looks at the sky.", "string"
        inputs = {"city": {"type": "string", "description": "Where."}}  # noqa: RUF012

        def forward(self, city: str) -> str:
            return look(city)

    readings, ours = StepReadings(), SmolagentsModel(Agent(model, [Words()], controllers or []), **more)
    agent = ToolCallingAgent([Look()], model=ours, step_callbacks=[readings], verbosity_level=LogLevel.OFF, max_steps=4)
    return agent, readings, ours


def test_a_smolagents_agent_uses_our_model() -> None:
    model = ScriptedModel([LOOK, "It is grey there."])
    agent, readings, _ = smol(model)
    assert agent.run("How is Paris?") == "It is grey there."
    assert [readings.steps[n]["readings"][0]["value"] for n in (1, 2)] == [len(LOOK.split()), 4]
    assert readings.steps[2]["readings"][0]["detail"] == {"known": 1}
    assert agent.memory.steps[1].homeostat == readings.steps[1]
    assert agent.memory.steps[1].token_usage.output_tokens == 2
    assert "grey over Paris" in labels(model.prompts[1])["tool"]
    assert agent.model.to_dict()["model_id"] == "scripted"


def test_a_controller_stops_a_smolagents_agent() -> None:
    model = ScriptedModel(["far too many words here"])
    agent, readings, _ = smol(model, [OnAlarm(Stop(reason="enough"))])
    assert agent.run("How is Paris?") == "enough"
    assert readings.steps[1]["finish"] == "stopped"
    assert len(model.prompts) == 1


def test_a_smolagents_code_agent_uses_our_model() -> None:
    from smolagents import CodeAgent, LogLevel

    model = ScriptedModel(["Thought: easy\n<code>\nfinal_answer(6 * 7)\n</code>\nObservation: 43"])
    ours = SmolagentsModel(Agent(model, [Words()]))
    agent = CodeAgent([], model=ours, verbosity_level=LogLevel.OFF, max_steps=2)
    assert agent.run("What is 6 times 7?") == 42
    assert ours.answers[0].readings[0].value == len(model.lines[0].split())


def test_a_pydantic_ai_agent_uses_our_model() -> None:
    import pydantic_ai

    model = ScriptedModel([LOOK, "It is grey there."], capabilities=WHITE)
    agent = pydantic_ai.Agent(
        PydanticAIModel(Agent(model, [Words()])), instructions="You know the weather.", tools=[look]
    )
    result = asyncio.run(agent.run("How is Paris?", model_settings={"max_tokens": 55, "temperature": 0.5}))
    assert result.output == "It is grey there."
    last = result.all_messages()[-1]
    assert last.provider_details["homeostat"]["readings"][0]["detail"] == {"known": 1}
    assert last.provider_details["homeostat"]["mass"]["goal"] == pytest.approx(0.3)
    assert (result.usage.input_tokens, result.usage.output_tokens) == (20, 4)
    assert "You know the weather." in labels(model.prompts[0])["system"]
    assert "grey over Paris" in labels(model.prompts[1])["tool.look"]
    assert (model.calls[0]["max_new_tokens"], model.calls[0]["temperature"]) == (55, 0.5)


def test_pydantic_ai_gets_structured_output_and_streams() -> None:
    import pydantic_ai
    from pydantic import BaseModel

    class Weather(BaseModel):
        sky: str

    wanted = json.dumps({"name": "final_result", "arguments": {"sky": "grey"}})
    model = ScriptedModel([f"<tool_call>{wanted}</tool_call>"])
    agent = pydantic_ai.Agent(PydanticAIModel(Agent(model)), output_type=Weather)
    assert asyncio.run(agent.run("How is Paris?")).output == Weather(sky="grey")

    async def streamed() -> list[str]:
        plain = pydantic_ai.Agent(PydanticAIModel(Agent(ScriptedModel(["Grey it is."]))))
        async with plain.run_stream("How is Paris?") as result:
            return [text async for text in result.stream_text()]

    assert asyncio.run(streamed())[-1] == "Grey it is."


@pytest.mark.parametrize("framework", ["langchain", "smolagents", "pydantic_ai"])
def test_a_local_model_answers_in_every_framework(framework: str, tiny: TransformersModel) -> None:
    agent = Agent(tiny, [AttentionDrift(), Confidence()]).limited(max_new_tokens=6)
    if framework == "langchain":
        data = WatchedChatModel(agent).invoke("open the settings").response_metadata["homeostat"]
    elif framework == "smolagents":
        from smolagents.models import ChatMessage, MessageRole

        message = ChatMessage(MessageRole.USER, [{"type": "text", "text": "open the settings"}])
        data = SmolagentsModel(agent).generate([message]).raw.data
    else:
        import pydantic_ai

        result = asyncio.run(pydantic_ai.Agent(PydanticAIModel(agent), retries=0).run("open the settings"))
        data = result.all_messages()[-1].provider_details["homeostat"]
    own = agent.model.generate(read_prompt(tiny, "open the settings"), max_new_tokens=6)[0]
    assert own.spans is not None
    expected = own.spans.of("goal").mean()
    assert data["mass"]["goal"] == pytest.approx(float(expected), abs=1e-5)
    assert data["tokens"] == len(own.tokens)
    assert [reading["sensor"] for reading in data["readings"]] == ["attention_drift", "confidence"]


def test_the_pages_code_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "design" / "frameworks.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    exec(compile(code, "frameworks.md", "exec"), {})
    assert capsys.readouterr().out == "Rome is in Italy. repetition\n"


def test_a_missing_framework_is_named() -> None:
    code = (
        "import sys; sys.modules['smolagents'] = sys.modules['smolagents.memory'] = None\n"
        "from homeostat.agent.frameworks import SmolagentsModel"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "needs smolagents" in done.stderr.splitlines()[-1]
    assert "pip install 'homeostat[frameworks]'" in done.stderr.splitlines()[-1]
