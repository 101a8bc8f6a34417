"""``ChatModel`` against a small server that speaks the protocol: answers, tools, log-probabilities, and failures."""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from homeostat import Agent
from homeostat.actions import Answer, Call, Calls
from homeostat.agent import ChatModel, LoopLimits, Model, read_trace
from homeostat.agent.events import Act
from homeostat.agent.models.any_model import load_model
from homeostat.agent.tool_calls import read_turn
from homeostat.controllers import Decompose, Remind
from homeostat.conversation import ToolSpec
from homeostat.envs.tools import ChatEnv, ToolEnv
from homeostat.errors import ConfigError, ModelError, PromptTooLong
from homeostat.sensors import Confidence, Message, Part, Prompt
from homeostat.sensors.rubric import DIMENSIONS, GENERIC, ask_scores, parse_scores
from homeostat.testing import ScriptedModel

PROMPT = Prompt((Message("system", (Part("system", "Be brief."),)), Message("user", (Part("goal", "Hello"),))))
Make = Callable[..., ChatModel]


@pytest.fixture
def make(chat_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    made: list[ChatModel] = []

    def build(model: str = "tiny", **settings: Any) -> ChatModel:
        made.append(ChatModel(model, base_url=chat_server.url, **settings))
        return made[-1]

    yield build
    for model in made:
        model.close()


def test_a_prompt_is_sent_and_the_answer_comes_back(chat_server: Any, make: Make) -> None:
    model = make()
    assert isinstance(model, Model)
    found = model.generate(PROMPT, max_new_tokens=7, seed=5, temperature=0.5)
    assert [attempt.text for attempt in found] == ["answer 0"]
    assert (found[0].prompt_tokens, found[0].cost, found[0].finish) == (11, 3, "stop")
    sent = chat_server.requests[0]
    assert sent["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    assert (sent["model"], sent["max_tokens"], sent["seed"], sent["temperature"]) == ("tiny", 7, 5, 0.5)


def test_log_probabilities_tokens_and_margins_are_read(chat_server: Any, make: Make) -> None:
    def token(text: str, own: float, other: float) -> dict[str, Any]:
        tops = [{"token": text, "logprob": own}, {"token": "?", "logprob": other}]
        return {"token": text, "logprob": own, "top_logprobs": tops}

    told = {"content": [token("ha", -0.1, -3.0), token("ha", -0.5, -1.0), token("!", -9999.0, -2.0)]}
    chat_server.answer = lambda request, number: chat_server.completion("haha!", logprobs=told)
    attempt = make().generate(PROMPT)[0]
    assert attempt.logprobs == (-0.1, -0.5, -9999.0)
    assert attempt.pieces == ("ha", "ha", "!")
    assert attempt.tokens == (0, 0, 1)
    assert attempt.margin[0] == pytest.approx(math.exp(-0.1) - math.exp(-3.0))
    assert chat_server.requests[0]["logprobs"] is True
    make(logprobs=False).generate(PROMPT)
    assert "logprobs" not in chat_server.requests[-1]


LONE = b'{"choices": [{"message": {"content": "\\ud800"}}]}'
NASTY = {"text": 'a "b" </tool_call><tool_call>{"name": "look"} \n é <think>x</think>', "n": 2**40, "deep": {"a": [1]}}


@pytest.mark.parametrize("said", ["", "Let me look."])
def test_tool_calls_are_handed_on_exactly(chat_server: Any, make: Make, said: str) -> None:
    calls = [
        {"id": "x1", "type": "function", "function": {"name": "look", "arguments": json.dumps(NASTY)}},
        {"id": "x2", "type": "function", "function": {"name": "look", "arguments": ""}},
    ]
    message = {"role": "assistant", "content": said or None, "tool_calls": calls}
    chat_server.answer = lambda request, number: chat_server.completion(message, finish_reason="tool_calls")
    text = make().generate(PROMPT)[0].text
    tools = (ToolSpec(name="look"),)
    assert read_turn(text, tools) == Calls(calls=(Call(tool="look", arguments=NASTY), Call(tool="look")))


def test_a_conversation_with_tools_travels_in_the_servers_own_format(chat_server: Any, make: Make) -> None:
    def look(city: str) -> str:
        """Looks at the sky."""
        return f"grey over {city}"

    def answer(request: dict[str, Any], number: int) -> Any:
        if number:
            return "It is grey."
        call = {"id": "x1", "type": "function", "function": {"name": "look", "arguments": '{"city": "Paris"}'}}
        return chat_server.completion({"role": "assistant", "content": None, "tool_calls": [call]})

    chat_server.answer = answer
    events = list(Agent(make(), controllers=[]).start("How is Paris?", ToolEnv([look])))
    assert [event.action for event in events if isinstance(event, Act)] == [
        Call(tool="look", arguments={"city": "Paris"}),
        Answer(text="It is grey."),
    ]
    first, second = chat_server.requests
    assert first["tools"][0]["function"]["name"] == "look"
    assert [m["role"] for m in second["messages"]] == ["system", "user", "assistant", "tool"]
    sent = second["messages"][2]
    assert sent["content"] is None
    assert json.loads(sent["tool_calls"][0]["function"]["arguments"]) == {"city": "Paris"}
    assert second["messages"][3]["tool_call_id"] == sent["tool_calls"][0]["id"]
    assert second["messages"][3]["content"] == "grey over Paris"


def test_arguments_that_are_no_json_are_told_to_the_model(chat_server: Any, make: Make) -> None:
    def answer(request: dict[str, Any], number: int) -> Any:
        call = {"id": "x1", "type": "function", "function": {"name": "look", "arguments": '{"city": '}}
        return chat_server.completion({"role": "assistant", "tool_calls": [call]}) if not number else "Sorry."

    chat_server.answer = answer
    events = list(Agent(make(), controllers=[]).start("Look.", ToolEnv([])))
    assert [event.outcome for event in events if isinstance(event, Act)][-1] == "done"


def test_images_and_schemas_are_sent(chat_server: Any, make: Make) -> None:
    prompt = Prompt((Message("user", (Part("goal", "What?"), Part("screen", image=np.zeros((2, 3, 3), np.uint8)))),))
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    make().generate(prompt, schema=schema)
    sent = chat_server.requests[0]
    text, image = sent["messages"][0]["content"]
    assert text == {"type": "text", "text": "What?"}
    assert image["image_url"]["url"].startswith("data:image/png;base64,")
    assert sent["response_format"]["json_schema"]["schema"] == schema


def test_several_answers_are_drawn_also_from_a_server_that_gives_one(chat_server: Any, make: Make) -> None:
    chat_server.answer = lambda request, number: chat_server.completion(*(f"{number}.{k}" for k in range(request["n"])))
    assert [a.text for a in make().generate(PROMPT, n=3, temperature=1.0)] == ["0.0", "0.1", "0.2"]
    chat_server.requests.clear()
    chat_server.answer = lambda request, number: f"{request['seed']}"
    assert [a.text for a in make().generate(PROMPT, n=3, temperature=1.0, seed=7)] == ["7", "8", "9"]
    chat_server.requests.clear()
    assert len({a.text for a in make().generate(PROMPT, n=3, seed=7)}) == len(chat_server.requests) == 1


def test_a_busy_server_is_asked_again(chat_server: Any, make: Make) -> None:
    chat_server.answer = lambda request, number: (429, {"error": {"message": "slow"}}) if number < 2 else "at last"
    assert make().generate(PROMPT)[0].text == "at last"
    assert len(chat_server.requests) == 3


def test_a_server_that_keeps_failing_ends_the_run_which_can_be_resumed(
    chat_server: Any, make: Make, tmp_path: Any
) -> None:
    chat_server.answer = lambda request, number: (500, {"error": {"message": "out of\nmemory"}})
    folder = tmp_path / "run"
    with pytest.raises(ModelError, match=r"500 \(out of memory\).*3 times.*resume") as caught:
        Agent(make(retries=2), controllers=[]).run("Hello", ToolEnv([]), run_folder=folder)
    assert "\n" not in str(caught.value)
    assert len(chat_server.requests) == 3
    chat_server.answer = lambda request, number: "Hello!"
    episode = Agent(make(), controllers=[]).resume(folder, ToolEnv([])).result
    assert episode.ended == "finished"
    assert episode.tokens == 3
    assert sum(event.cost for event in read_trace(folder).events if event.kind == "sense") == 3


@pytest.mark.parametrize(
    ("status", "message", "error", "word"),
    [
        (401, "Incorrect API key provided: sk-verysecretkey0123456789", ModelError, "OPENAI_API_KEY"),
        (404, "no model 'tiny'", ModelError, "name"),
        (400, "This model's maximum context length is 4096 tokens, max_tokens is 9", PromptTooLong, "4096"),
        (400, "auto tool choice requires a parser", ModelError, "tools=False"),
    ],
)
def test_a_refusal_is_one_line_with_the_fix_and_without_the_key(
    chat_server: Any, make: Make, status: int, message: str, error: type[Exception], word: str
) -> None:
    chat_server.answer = lambda request, number: (status, {"error": {"message": message}})
    with pytest.raises(error, match=word) as caught:
        make(api_key="sk-verysecretkey0123456789").generate(PROMPT)
    assert "secretkey" not in str(caught.value)
    assert len(chat_server.requests) == 1


def test_what_a_server_does_not_take_is_left_out_with_a_warning(
    chat_server: Any, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(request: dict[str, Any], number: int) -> Any:
        for name in ("temperature", "max_tokens", "logprobs"):
            if name in request:
                return 400, {"error": {"message": f"Unsupported parameter: '{name}'", "param": name}}
        return "fine"

    chat_server.answer = answer
    model = make()
    assert model.generate(PROMPT, max_new_tokens=9)[0].text == "fine"
    assert model.left_out == {"temperature", "max_tokens", "logprobs"}
    assert chat_server.requests[-1]["max_completion_tokens"] == 9
    assert sum("left out" in record.message for record in caplog.records) == 3
    before = len(chat_server.requests)
    model.generate(PROMPT)
    assert len(chat_server.requests) == before + 1


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b'{"choices": []}', b'{"choices": [{"message": 3}]}', b'{"choices"', b"\xff", b"", LONE]
)
def test_what_is_no_completion_is_refused_in_one_line(chat_server: Any, make: Make, body: bytes) -> None:
    chat_server.answer = lambda request, number: (200, body)
    with pytest.raises(ModelError, match="tiny") as caught:
        make(retries=0).generate(PROMPT)
    assert "\n" not in str(caught.value)


def test_a_refusal_is_an_answer(chat_server: Any, make: Make) -> None:
    refusal = {"role": "assistant", "content": None, "refusal": "I can't."}
    chat_server.answer = lambda request, number: chat_server.completion(refusal)
    assert make().generate(PROMPT)[0].text == "I can't."


def test_a_slow_server_meets_the_deadline_and_a_time_out_is_an_error(chat_server: Any, make: Make) -> None:
    def slow(request: dict[str, Any], number: int) -> str:
        time.sleep(1.0)
        return "too late"

    chat_server.answer = slow
    found = make().generate(PROMPT, deadline=time.monotonic() + 0.2)
    assert [(a.text, a.finish) for a in found] == [("", "length")]
    with pytest.raises(ModelError, match="in time"):
        make(retries=0, seconds=0.2).generate(PROMPT)


def test_a_call_can_be_interrupted(chat_server: Any, make: Make) -> None:
    started = threading.Event()

    def slow(request: dict[str, Any], number: int) -> str:
        started.set()
        time.sleep(2.0)
        return "too late"

    chat_server.answer = slow
    model = make()
    threading.Thread(target=lambda: (started.wait(5), model.interrupt()), daemon=True).start()
    assert model.generate(PROMPT)[0].finish == "length"


def test_a_server_that_is_not_there(make: Make) -> None:
    model = ChatModel("tiny", base_url="http://127.0.0.1:9", retries=0)
    with pytest.raises(ModelError, match=r"127\.0\.0\.1:9/v1 can't be reached.*start it"):
        model.generate(PROMPT)
    model.close()


def test_models_are_found_by_address_and_by_name(chat_server: Any) -> None:
    named = [load_model(chat_server.url), load_model(f"{chat_server.url}/v1/#big")]
    named.append(load_model("openai:other", base_url=chat_server.url))
    assert [model.name for model in named] == ["openai:tiny", "openai:big", "openai:other"]
    chat_server.models = ["a", "b"]
    with pytest.raises(ModelError, match=r"a, b.*#NAME"):
        load_model(chat_server.url)
    for model in named:
        assert isinstance(model, ChatModel)
        model.close()


@pytest.mark.parametrize(
    ("name", "base_url", "word"),
    [
        ("openai:", None, "openai:NAME"),
        ("openai:x", "localhost:8000", "http://"),
        ("openai:x", "http://me:secretword@host", "OPENAI_API_KEY"),
        ("http://host?key=1", None, "query"),
        ("http://host", "http://host", "base_url"),
        ("http://", None, "address"),
    ],
)
def test_a_wrong_name_or_address_is_refused(name: str, base_url: str | None, word: str) -> None:
    with pytest.raises(ConfigError, match=word) as caught:
        load_model(name, base_url=base_url)
    assert "secretword" not in str(caught.value)


def test_options_for_weights_are_refused_for_a_server() -> None:
    with pytest.raises(ConfigError, match="device='cuda'"):
        load_model("openai:x", device="cuda")


def test_the_key_reaches_the_server_and_nothing_else(chat_server: Any, make: Make, tmp_path: Any) -> None:
    model = make(api_key="top-secret-key")
    Agent(model, controllers=[Remind()]).run("Hello", ToolEnv([]), run_folder=tmp_path / "run")
    assert chat_server.keys == ["Bearer top-secret-key"]
    assert "top-secret" not in repr(model) + repr(vars(read_trace(tmp_path / "run")))
    for file in (tmp_path / "run").rglob("*"):
        if file.is_file():
            assert b"top-secret-key" not in file.read_bytes()


def test_confidence_reads_a_server_and_says_when_it_can_not(chat_server: Any, make: Make) -> None:
    told = {"content": [{"token": "ok", "logprob": -0.2}]}
    chat_server.answer = lambda request, number: chat_server.completion("ok", **({} if number else {"logprobs": told}))
    sensed = []
    for _ in range(2):
        events = Agent(make(), [Confidence()], []).start("Hello", ToolEnv([]))
        sensed += [reading for event in events if event.kind == "sense" for reading in event.readings]
    assert [reading.judged for reading in sensed] == [True, False]
    assert sensed[0].value == pytest.approx(math.exp(-0.2), abs=0.2)


def test_a_server_judges(chat_server: Any, make: Make) -> None:
    scores = {name: {"score": value} for name, value in zip(DIMENSIONS, (4, 3.5, 5, 2), strict=True)}
    chat_server.answer = lambda request, number: json.dumps(scores)
    found = parse_scores(ask_scores(make(), "a clerk", "Help me.", "No.", GENERIC))
    assert found is not None
    assert found.as_dict() == {"GA": 4, "RC": 3.5, "KBA": 5, "CC": 2}


def test_a_server_plans(chat_server: Any, make: Make) -> None:
    plan = {"parts": [{"instruction": "Say hello."}, {"instruction": "Say goodbye."}]}
    chat_server.answer = lambda request, number: json.dumps(plan)
    executor = ScriptedModel(["Hello!"])
    events = list(
        Agent(executor, controllers=[Decompose(conversations=True)], planner=make()).start(
            "Say hello, then goodbye.", ToolEnv([])
        )
    )
    assert events[0].kind == "start"
    assert events[0].planner == "openai:tiny"
    plans = [event.plan for event in events if event.kind == "plan"]
    assert plans[0] is not None
    assert [subtask.instruction for subtask in plans[0].subtasks] == ["Say hello.", "Say goodbye."]
    assert chat_server.requests[0]["response_format"]["type"] == "json_schema"
    assert "logprobs" in chat_server.requests[0]


def test_a_long_chat_is_shortened_to_the_context_that_the_server_tells(chat_server: Any, make: Make) -> None:
    def counted(request: dict[str, Any]) -> int:
        """The server's own count: a token for every five characters, and four for each message."""
        return sum(len(m["content"]) // 5 + 4 for m in request["messages"])

    def answer(request: dict[str, Any], number: int) -> Any:
        if counted(request) + request["max_tokens"] > 300:
            return 400, {"error": {"message": "This model's maximum context length is 300 tokens"}}
        usage = {"prompt_tokens": counted(request), "completion_tokens": 20}
        return chat_server.completion(f"{number} " + "word " * 18) | {"usage": usage}

    chat_server.answer, chat_server.described = answer, {"max_model_len": 300}
    model = make(logprobs=False)
    env = ChatEnv([f"turn {n}" for n in range(20)], system="You help.", rules=["be brief"])
    events = list(Agent(model, limits=LoopLimits(max_new_tokens=30)).start(env.opening(), env))
    assert model.context == 300
    assert len(chat_server.requests) == 20
    last = chat_server.requests[-1]
    assert last["messages"][0]["content"] == "You help.\nRules:\nbe brief"
    assert last["messages"][1]["content"].startswith("turn 0")
    assert last["messages"][-1]["content"] == "turn 19"
    assert counted(last) > 200
    assert [event.dropped for event in events if event.kind == "sense"][-1]["turns"] > 0


@pytest.mark.parametrize(
    ("described", "tokens"),
    [({"context_length": 9}, 9), ({"meta": {"n_ctx": 8}}, 8), ({"max_model_len": True}, None), ({"meta": 3}, None)],
)
def test_servers_tell_their_context_in_several_ways(
    chat_server: Any, make: Make, described: dict[str, Any], tokens: int | None
) -> None:
    chat_server.described = described
    model = make()
    assert (model.excess(PROMPT, 10) > 0) is (tokens is not None)
    assert model.context == tokens


def test_a_missing_client_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ConfigError, match=r"homeostat\[openai\]"):
        ChatModel("x")
