"""Spans by the GenAI conventions, read back from OpenTelemetry's in-memory exporter; and the standard logger."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from homeostat import Agent
from homeostat.controllers import Guard, Reminder
from homeostat.controllers.decisions import Decision, Proceed, Sample
from homeostat.envs.tools import ToolEnv, tool
from homeostat.errors import ModelError
from homeostat.sensors import Reading
from homeostat.testing import ScriptedModel

trace = pytest.importorskip("opentelemetry.trace")
pytest.importorskip("opentelemetry.sdk")
SWITCH = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
LOOK = '<tool_call>{"name":"look","arguments":{"city":"Paris"}}</tool_call>'
SEND = '<tool_call>{"name":"send","arguments":{"to":"Anna"}}</tool_call>'
TOKEN = "sk-proj-" + "a1B2" * 10


class Words:
    """Counts words; alarms above three."""

    name = "words"
    needs = frozenset(("text",))

    def read(self, attempt: Any, context: Any) -> Reading:
        words = len(attempt.text.split())
        return Reading(sensor=self.name, value=words, threshold=3, alarm=words > 3, reason=f"said {attempt.text}")


class OnAlarm:
    """Takes a decision at an alarm."""

    name = "on_alarm"
    sensors = frozenset({"words"})

    def __init__(self, decision: Decision) -> None:
        self.decision = decision

    def decide(self, readings: Any, context: Any) -> Decision:
        alarmed = any(reading.alarm for reading in readings)
        return self.decision if alarmed and context.phase == "attempt" else Proceed()


@tool(changes=False)
def look(city: str) -> str:
    """Looks at the sky."""
    with trace.get_tracer("theirs").start_as_current_span("satellite"):
        return f"grey over {city}, {TOKEN}"


def send(to: str) -> str:
    """Sends a message."""
    raise OSError(f"no route to {to}")


@pytest.fixture(scope="module")
def exporter() -> Iterator[Any]:
    """The process's tracer provider can be set once only, so all tests of this file share it."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trace, "_TRACER_PROVIDER", provider)
        yield memory
    provider.shutdown()


@pytest.fixture
def spans(exporter: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The spans since the test began, by name, in the order of their ends."""
    exporter.clear()
    monkeypatch.delenv(SWITCH, raising=False)

    def found(name: str) -> list[Any]:
        return [span for span in exporter.get_finished_spans() if span.name == name]

    return found


def watched(lines: Any, *controllers: Any, **more: Any) -> Agent:
    model = ScriptedModel(lines, capabilities=frozenset(("text", "attention")), mass={"goal": 0.25}, name="tiny")
    return Agent(model, [Words()], controllers, name="clerk", **more)


def everything(exporter: Any) -> str:
    return json.dumps([json.loads(span.to_json()) for span in exporter.get_finished_spans()])


def test_a_run_is_a_tree_of_spans(spans: Any, exporter: Any) -> None:
    env = ToolEnv([look, send])
    agent = watched([LOOK, "far too many words here", "Grey."], OnAlarm(Reminder(text="Be brief.", cause="words:long")))
    with trace.get_tracer("app").start_as_current_span("request") as request:
        episode = agent.run("How is Paris?", env, seed=7)
    (root,) = spans("invoke_agent clerk")
    assert root.parent.span_id == request.get_span_context().span_id
    known = dict(root.attributes)
    assert known["gen_ai.operation.name"] == "invoke_agent"
    assert known["gen_ai.agent.name"] == "clerk"
    assert known["gen_ai.conversation.id"] == episode.run
    assert known["homeostat.ended"] == "finished"
    assert (known["gen_ai.usage.output_tokens"], known["homeostat.steps"]) == (episode.tokens, 2)
    assert [event.name for event in root.events] == ["homeostat.decision"]
    assert dict(root.events[0].attributes) == {
        "homeostat.step": 1,
        "homeostat.attempt": 0,
        "homeostat.controller": "on_alarm",
        "homeostat.decision": "remind",
        "homeostat.cause": "words",
    }
    chats = spans("chat tiny")
    assert len(chats) == 3
    for chat in chats:
        assert chat.parent.span_id == root.context.span_id
        assert chat.kind is trace.SpanKind.CLIENT
        assert root.start_time <= chat.start_time <= chat.end_time <= root.end_time
    said = dict(chats[1].attributes)
    assert said["gen_ai.operation.name"] == "chat"
    assert said["gen_ai.request.model"] == said["gen_ai.response.model"] == "tiny"
    assert (said["gen_ai.usage.input_tokens"], said["gen_ai.usage.output_tokens"]) == (10, 2)
    assert said["gen_ai.usage.cache_read.input_tokens"] == 4
    assert said["gen_ai.response.finish_reasons"] == ("stop",)
    assert said["gen_ai.request.max_tokens"] == 128
    assert said["homeostat.attention.goal"] == 0.25
    (reading,) = chats[1].events
    assert reading.name == "gen_ai.evaluation.result"
    assert dict(reading.attributes) == {
        "gen_ai.evaluation.name": "words",
        "gen_ai.evaluation.score.value": 5.0,
        "gen_ai.evaluation.score.label": "alarm",
    }
    assert reading.timestamp == chats[1].end_time
    (called,) = spans("execute_tool look")
    assert called.parent.span_id == root.context.span_id
    assert dict(called.attributes) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "look",
        "gen_ai.tool.type": "function",
    }
    (inner,) = spans("satellite")
    assert inner.parent.span_id == called.context.span_id


@pytest.mark.parametrize("asked", [False, True])
def test_prompts_and_results_stand_in_spans_only_if_asked_for(
    asked: bool, spans: Any, exporter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if asked:
        monkeypatch.setenv(SWITCH, "true")
    agent = watched([LOOK, SEND, "It is grey in Paris."], Guard())
    agent.run(f"How is Paris? {TOKEN}", ToolEnv([look, send]), rules=["never send a message"])
    text = everything(exporter)
    assert TOKEN not in text
    for word in ("Paris", "never send", "Anna", "It is grey", "said "):
        assert (word in text) is asked, word
    if asked:
        chat = spans("chat tiny")[0]
        messages = json.loads(chat.attributes["gen_ai.input.messages"])
        assert [message["role"] for message in messages] == ["system", "user"]
        assert messages[1]["parts"][0]["type"] == "text"
        said = json.loads(chat.attributes["gen_ai.output.messages"])
        assert said == [{"role": "assistant", "parts": [{"type": "text", "content": LOOK}], "finish_reason": "stop"}]
        called = spans("execute_tool look")[0]
        assert json.loads(called.attributes["gen_ai.tool.call.arguments"]) == {"city": "Paris"}
        assert called.attributes["gen_ai.tool.call.result"].startswith("grey over Paris, ")


def test_every_candidate_of_a_sample_is_an_evaluation(spans: Any) -> None:
    agent = watched(["far too many words here", "short", "shorter"], OnAlarm(Sample(n=2)))
    agent.run("Go", ToolEnv([]))
    first, second = spans("chat tiny")[:2]
    assert "gen_ai.request.choice.count" not in first.attributes
    assert second.attributes["gen_ai.request.choice.count"] == 2
    assert second.attributes["gen_ai.response.finish_reasons"] == ("stop", "stop")
    assert [event.attributes["homeostat.candidate"] for event in second.events] == [1, 2]


def test_the_planner_works_in_a_span_of_its_own(spans: Any) -> None:
    from homeostat.controllers import Decompose

    plan = '{"subtasks": [{"goal": "say hello"}]}'
    agent = watched(["Hello."], Decompose(conversations=True), planner=ScriptedModel([plan], name="thinker"))
    agent.run("greet and leave", ToolEnv([]))
    (planned,) = spans("plan")
    (root,) = spans("invoke_agent clerk")
    assert planned.parent.span_id == root.context.span_id
    assert planned.attributes["gen_ai.operation.name"] == "plan"
    assert spans("chat thinker")[0].parent.span_id == planned.context.span_id


def test_failures_are_told_without_their_words(spans: Any, exporter: Any) -> None:
    def fails(number: int) -> None:
        if number == 2:
            raise ModelError("the prompt 'secret plan' can't be rendered")

    model = ScriptedModel([SEND], on_call=fails, name="tiny")
    with pytest.raises(ModelError):
        Agent(model).run("Tell Anna.", ToolEnv([send]))
    (called,) = spans("execute_tool send")
    assert called.status.status_code is trace.StatusCode.ERROR
    assert called.attributes["error.type"] == "ActionError"
    for span in (spans("chat tiny")[1], spans("invoke_agent homeostat")[0]):
        assert span.status.status_code is trace.StatusCode.ERROR
        assert span.attributes["error.type"] == "ModelError"
    assert "secret" not in everything(exporter)
    assert "Anna" not in everything(exporter)


def test_actions_on_a_screen_are_tools_too(spans: Any, tools: Any, lamp: Any) -> None:
    model = ScriptedModel([tools.call("click", coordinate=[6, 8]), tools.call("terminate", status="success")])
    episode = Agent(model).run(lamp.reset_task("lamp_on"), lamp)
    (clicked,) = spans("execute_tool click")
    (root,) = spans("invoke_agent homeostat")
    assert clicked.parent.span_id == root.context.span_id
    assert root.attributes["homeostat.success"] is episode.success is True
    assert root.attributes["homeostat.task"] == "lamp_on"
    assert not spans("execute_tool terminate")


def test_a_resumed_run_is_linked_to_its_first_part(spans: Any, tmp_path: Path) -> None:
    env = ToolEnv([look])
    run = watched([LOOK]).start("How is Paris?", env, run_folder=tmp_path / "run")
    for event in run:
        if event.kind == "act":
            run.close()
    (first,) = spans("invoke_agent clerk")
    assert first.attributes["homeostat.ended"] == "closed"
    assert first.status.status_code is trace.StatusCode.UNSET
    assert watched(["Grey."]).resume(tmp_path / "run", ToolEnv([look])).result.ended == "finished"
    first, second = spans("invoke_agent clerk")
    assert [link.context.span_id for link in second.links] == [first.context.span_id]
    assert second.links[0].context.trace_id == first.context.trace_id
    assert second.attributes["homeostat.resumed"] is True
    assert second.attributes["gen_ai.conversation.id"] == first.attributes["gen_ai.conversation.id"] == "run"
    (tmp_path / "run" / "traceparent").write_text("nonsense")
    watched(["Grey."]).resume(tmp_path / "run", ToolEnv([look]))


def test_an_asynchronous_run_finds_its_parent(spans: Any) -> None:
    async def main() -> Any:
        with trace.get_tracer("app").start_as_current_span("request") as request:
            await watched([LOOK, "Grey."]).start("How is Paris?", ToolEnv([look]))
            return request.get_span_context().span_id

    parent = asyncio.run(main())
    assert spans("invoke_agent clerk")[0].parent.span_id == parent
    assert spans("execute_tool look")[0].parent.span_id == spans("invoke_agent clerk")[0].context.span_id


def test_the_iterating_code_keeps_its_own_span(spans: Any) -> None:
    with trace.get_tracer("app").start_as_current_span("request") as request:
        for _ in watched([LOOK, "Grey."]).start("How is Paris?", ToolEnv([look])):
            assert trace.get_current_span() is request


def test_an_environment_in_a_thread_of_its_own_finds_its_parent(spans: Any) -> None:
    class Device(ToolEnv):
        restores = False

    watched([LOOK, "Grey."]).run("How is Paris?", Device([look]))
    assert spans("satellite")[0].parent.span_id == spans("execute_tool look")[0].context.span_id
    assert spans("execute_tool look")[0].parent.span_id == spans("invoke_agent clerk")[0].context.span_id


FREE = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(f"no module {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
from homeostat import Agent
from homeostat.envs.tools import ToolEnv
from homeostat.testing import ScriptedModel

def look(city: str) -> str:
    return city

lines = ['<tool_call>{"name":"look","arguments":{"city":"Paris"}}</tool_call>', "Grey."]
print(Agent(ScriptedModel(lines)).run("Go", ToolEnv([look])).ended)
assert not any(name.partition(".")[0] == "opentelemetry" for name in sys.modules)
"""


def test_it_runs_without_opentelemetry_and_prints_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", FREE], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("finished\n", "")


def test_the_logger_tells_names_and_numbers(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="homeostat"):
        agent = watched(["far too many words here", "Grey."], OnAlarm(Reminder(text="Be brief.")))
        agent.run("How is Paris?", ToolEnv([look]))
    lines = [record.getMessage() for record in caplog.records if record.name == "homeostat.run"]
    assert any("alarm of words (5)" in line for line in lines)
    assert any("on_alarm decides to remind" in line for line in lines)
    assert any("ended as finished after 1 steps" in line for line in lines)
    assert not any(word in line for line in lines for word in ("Paris", "far too", "Grey", "Be brief"))
    assert not logging.getLogger("homeostat").handlers
