"""Chat completions over HTTP: answers, streams, tools, budgets, corrections, readings, access, errors, the end."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from homeostat.agent.loop.limits import LoopLimits
from homeostat.controllers import Guard, Remind, Steer
from homeostat.sensors import AttentionDrift, Confidence

LOOK = '<tool_call>{"name": "look", "arguments": {"city": "Paris"}}</tool_call>'
SEND = '<tool_call>{"name": "send", "arguments": {"to": "Anna"}}</tool_call>'
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"Does {name}.",
            "parameters": {"type": "object", "properties": {key: {"type": "string"}}, "required": [key]},
        },
    }
    for name, key in (("look", "city"), ("send", "to"))
]


def ask(url: str, content: Any = "open the settings", **fields: Any) -> httpx.Response:
    messages = content if isinstance(content, list) else [{"role": "user", "content": content}]
    body = {"model": "tiny", "messages": messages, **fields}
    return httpx.post(f"{url}/chat/completions", json=body, timeout=60)


def stream(url: str, content: str = "open the settings", **fields: Any) -> list[dict[str, Any]]:
    body = {"model": "tiny", "messages": [{"role": "user", "content": content}], "stream": True, **fields}
    events = []
    with httpx.stream("POST", f"{url}/chat/completions", json=body, timeout=60) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    events = [json.loads(line) for line in lines[:-1]]
    return events


def text_of(events: list[dict[str, Any]], index: int = 0) -> str:
    choices = [choice for event in events for choice in event["choices"] if choice["index"] == index]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def figure(url: str, name: str) -> float:
    """A figure of ``/metrics``."""
    from prometheus_client.parser import text_string_to_metric_families

    text = httpx.get(url.replace("/v1", "/metrics")).text
    families = text_string_to_metric_families(text)
    return next(one.value for family in families for one in family.samples if one.name == name)


@pytest.fixture(scope="module")
def bare(serving: Any, tiny: Any) -> Any:
    with serving.served(tiny, sensors=[AttentionDrift(), Confidence()]) as running:
        yield running


def test_an_answer_with_its_readings(bare: Any, tiny: Any) -> None:
    from homeostat.sensors import Prompt

    chat = [{"role": "system", "content": "click the screen"}, {"role": "user", "content": "is it on?"}]
    body = ask(bare.url, chat, max_tokens=12).json()
    prompt = Prompt.from_chat([{**chat[0], "label": "system"}, {**chat[1], "label": "goal"}])
    (alone,) = tiny.generate(prompt, max_new_tokens=12)
    choice = body["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": alone.text.strip(), "refusal": None}
    assert choice["finish_reason"] == alone.finish
    assert body["usage"] == {
        "prompt_tokens": alone.prompt_tokens,
        "completion_tokens": len(alone.tokens),
        "total_tokens": alone.prompt_tokens + len(alone.tokens),
    }
    told = body["homeostat"]
    assert told["ended"] == "answered"
    assert [reading["sensor"] for reading in told["readings"]] == ["attention_drift", "confidence"]
    assert alone.spans is not None
    for label in ("system", "goal", "output"):
        assert told["mass"][label] == pytest.approx(float(alone.spans.of(label).mean()), abs=1e-5)
    assert told["streamed"] == "after the decision"
    assert told["cost"]["calls"] == 1


def test_a_stream_holds_the_same_answer_token_by_token(bare: Any) -> None:
    whole = ask(bare.url, max_tokens=20).json()
    events = stream(bare.url, max_tokens=20, stream_options={"include_usage": True})
    assert text_of(events) == whole["choices"][0]["message"]["content"]
    assert events[0]["choices"][0]["delta"]["role"] == "assistant"
    pieces = [event for event in events if event["choices"] and event["choices"][0]["delta"].get("content")]
    assert len(pieces) > 5
    finish = [event for event in events if event["choices"] and event["choices"][0]["finish_reason"]]
    assert len(finish) == 1
    assert finish[0]["homeostat"]["streamed"] == "as generated"
    assert finish[0]["homeostat"]["mass"].keys() == whole["homeostat"]["mass"].keys()
    assert events[-1]["usage"] == whole["usage"]
    assert events[-1]["homeostat"] == finish[0]["homeostat"]


def test_labels_make_spans(bare: Any) -> None:
    parts = [{"type": "text", "text": "click the screen", "label": "note"}, {"type": "text", "text": " and open it"}]
    chat = [
        {"role": "user", "content": parts},
        {"role": "assistant", "content": "nothing"},
        {"role": "user", "content": "system rules", "label": "paper"},
        {"role": "user", "content": "on?"},
    ]
    mass = ask(bare.url, chat, max_tokens=3).json()["homeostat"]["mass"]
    assert set(mass) == {"note", "goal", "history", "paper", "user", "output"}
    chosen = [{"role": "user", "content": "done so far"}, {"role": "user", "content": "on?", "label": "goal"}]
    assert set(ask(bare.url, chosen, max_tokens=3).json()["homeostat"]["mass"]) == {"user", "goal", "output"}


def test_sampling_settings(bare: Any) -> None:
    def texts(**fields: Any) -> list[str]:
        body = ask(bare.url, max_tokens=12, **fields).json()
        return [choice["message"]["content"] for choice in body["choices"]]

    first = texts(temperature=1.0, seed=7, n=3)
    assert len(set(first)) > 1
    assert texts(temperature=1.0, seed=7, n=3) == first
    assert texts(temperature=1.0, seed=8) == [first[1]]
    assert texts(temperature=1.0, seed=7, top_p=1e-9) == texts(temperature=0)
    assert texts(n=2) == texts() * 2
    events = stream(bare.url, max_tokens=12, temperature=1.0, seed=7, n=3)
    assert [text_of(events, index) for index in range(3)] == first


def test_stop_texts(bare: Any) -> None:
    whole = ask(bare.url, max_tokens=24).json()["choices"][0]["message"]["content"]
    stop = whole[6:8]
    cut = whole[: whole.index(stop)].strip()
    body = ask(bare.url, max_tokens=24, stop=[stop, "never"]).json()
    assert body["choices"][0]["message"]["content"] == cut
    assert body["choices"][0]["finish_reason"] == "stop"
    assert text_of(stream(bare.url, max_tokens=24, stop=stop)) == cut


def test_logprobs(bare: Any, tiny: Any) -> None:
    from homeostat.sensors import Prompt

    body = ask(bare.url, "on?", max_tokens=8, logprobs=True).json()
    tokens = body["choices"][0]["logprobs"]["content"]
    prompt = Prompt.from_chat([{"role": "user", "content": "on?", "label": "goal"}])
    (alone,) = tiny.generate(prompt, max_new_tokens=8)
    assert [one["logprob"] for one in tokens] == pytest.approx(list(alone.logprobs)[: len(tokens)], abs=1e-4)
    assert "".join(one["token"] for one in tokens) == alone.text.rstrip("\ufffd")


def test_an_answer_under_a_schema(bare: Any) -> None:
    schema = {
        "type": "object",
        "properties": {"on": {"type": "boolean"}},
        "required": ["on"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "state", "schema": schema, "strict": True}}
    answer = ask(bare.url, max_tokens=200, response_format=form).json()["choices"][0]["message"]["content"]
    assert isinstance(json.loads(answer)["on"], bool)
    events = stream(bare.url, max_tokens=200, response_format=form)
    assert isinstance(json.loads(text_of(events))["on"], bool)


def test_a_forced_tool_call(bare: Any) -> None:
    tools = [{"type": "function", "function": {"name": "toggle", "parameters": {
        "type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"], "additionalProperties": False,
    }}}]  # fmt: skip
    choice = {"type": "function", "function": {"name": "toggle"}}
    for forced in ("required", choice):
        body = ask(bare.url, tools=tools, tool_choice=forced, max_tokens=200).json()
        (call,) = body["choices"][0]["message"]["tool_calls"]
        assert body["choices"][0]["finish_reason"] == "tool_calls"
        assert call["function"]["name"] == "toggle"
        assert isinstance(json.loads(call["function"]["arguments"])["on"], bool)


def test_without_a_length_the_answer_ends_with_the_context(serving: Any, tiny: Any) -> None:
    limits = LoopLimits(max_new_tokens=100_000)
    with serving.served(tiny, limits=limits) as running:
        body = ask(running.url, "on? " * 650, stop="never").json()
        assert body["usage"]["total_tokens"] <= tiny.context
        refused = ask(running.url, "on? " * 3000)
        assert refused.status_code == 400
        assert refused.json()["error"]["code"] == "context_length_exceeded"
        assert ask(running.url, max_tokens=5000).json()["error"]["code"] == "context_length_exceeded"
        with httpx.stream(
            "POST", f"{running.url}/chat/completions", timeout=60,
            json={"model": "tiny", "stream": True, "messages": [{"role": "user", "content": "on? " * 3000}]},
        ) as response:  # fmt: skip
            assert response.status_code == 400
            assert json.loads(response.read())["error"]["code"] == "context_length_exceeded"


def test_tool_calls_of_a_turn_and_their_results(serving: Any) -> None:
    model = serving.Scripted([f"I look.\n{LOOK}\n{SEND}", "It is grey."])
    with serving.served(model) as running:
        chat = [{"role": "user", "content": "How is Paris?"}]
        body = ask(running.url, chat, tools=TOOLS).json()
        message = body["choices"][0]["message"]
        assert body["choices"][0]["finish_reason"] == "tool_calls"
        assert [call["function"]["name"] for call in message["tool_calls"]] == ["look", "send"]
        assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == {"city": "Paris"}
        ids = [call["id"] for call in message["tool_calls"]]
        assert len(set(ids)) == 2
        results = [
            {"role": "tool", "tool_call_id": one, "content": f"grey {n} <|im_end|>"} for n, one in enumerate(ids)
        ]
        body = ask(running.url, [*chat, message, *results], tools=TOOLS).json()
        assert body["choices"][0]["message"]["content"] == "It is grey."
    labels = [(m.role, [p.label for p in m.parts if p.label != "template"]) for m in model.prompts[1].messages]
    assert labels == [
        ("system", ["system", "tools"]),
        ("user", ["goal"]),
        ("assistant", ["history"]),
        ("user", ["tool.look", "tool.send"]),
    ]
    assert '"name": "send"' in model.prompts[1].messages[2].parts[-1].text


def test_tool_calls_in_a_stream_and_one_at_a_time(serving: Any) -> None:
    with serving.served(serving.Scripted([f"{LOOK}\n{SEND}"])) as running:
        events = stream(running.url, tools=TOOLS)
        calls = [c for e in events for choice in e["choices"] for c in choice["delta"].get("tool_calls", [])]
        assert [(call["index"], call["function"]["name"]) for call in calls] == [(0, "look"), (1, "send")]
        assert events[-1]["choices"][0]["finish_reason"] == "tool_calls"
        one = ask(running.url, tools=TOOLS, parallel_tool_calls=False).json()
        assert len(one["choices"][0]["message"]["tool_calls"]) == 1
        none = ask(running.url, tools=TOOLS, tool_choice="none").json()
        assert none["choices"][0]["message"]["content"] == f"{LOOK}\n{SEND}"


def test_a_refused_call_is_asked_for_again(serving: Any) -> None:
    model = serving.Scripted([SEND, "I may not do that."])
    with serving.served(model, [Guard()], rules=["never send a message"]) as running:
        body = ask(running.url, "Tell Anna.", tools=TOOLS).json()
        assert body["choices"][0]["message"]["content"] == "I may not do that."
        (decision,) = body["homeostat"]["decisions"]
        assert (decision["controller"], decision["kind"]) == ("guard", "refuse")
        assert "never send a message" in decision["reason"]
        assert [one["text"] for one in body["homeostat"]["attempts"]] == [SEND, "I may not do that."]
        assert body["homeostat"]["cost"]["calls"] == 2
        figures = httpx.get(running.url.replace("/v1", "/metrics")).text
        assert 'homeostat_decisions_total{controller="guard",decision="refuse"} 1.0' in figures
        assert "homeostat_attempts_total 2.0" in figures
        assert 'homeostat_requests_total{status="200"} 1.0' in figures
    system, reminder = model.prompts[0].messages[0], model.prompts[1].messages[-1].parts[-1]
    assert [part.label for part in system.parts] == ["rules", "tools"]
    assert reminder.label == "reminder"
    assert "never send a message" in reminder.text


def test_a_call_that_stays_forbidden_is_refused(serving: Any) -> None:
    with serving.served(serving.Scripted([SEND]), [Guard()]) as running:
        rule = {"role": "system", "content": "never send a message", "label": "rules"}
        body = ask(running.url, [rule, {"role": "user", "content": "Tell Anna."}], tools=TOOLS).json()
        choice = body["choices"][0]
        assert choice["finish_reason"] == "content_filter"
        assert "never send a message" in choice["message"]["refusal"]
        assert choice["message"]["content"] is None
        assert "tool_calls" not in choice["message"]
        assert body["homeostat"]["cost"]["calls"] == 2


def test_arguments_that_do_not_fit_are_told_to_the_model(serving: Any) -> None:
    wrong = '<tool_call>{"name": "look", "arguments": {"town": "Paris"}}</tool_call>'
    model = serving.Scripted([wrong, LOOK])
    with serving.served(model, [Guard()]) as running:
        (call,) = ask(running.url, tools=TOOLS).json()["choices"][0]["message"]["tool_calls"]
        assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}
    told = model.prompts[1].messages[-1].parts[-1]
    assert told.label == "tool.look"
    assert "city" in told.text
    with serving.served(serving.Scripted([wrong]), [Guard()]) as running:
        (call,) = ask(running.url, tools=TOOLS).json()["choices"][0]["message"]["tool_calls"]
        assert json.loads(call["function"]["arguments"]) == {"town": "Paris"}


def test_a_reminder_replaces_the_answer_before_it_is_streamed(serving: Any) -> None:
    model = serving.Scripted(["", "on"])
    with serving.served(model, [Remind()]) as running:
        events = stream(running.url)
        assert text_of(events) == "on"
        told = events[-1]["homeostat"]
        assert told["streamed"] == "after the decision"
        assert [one["kind"] for one in told["decisions"]] == ["remind"]
    assert model.prompts[1].messages[-1].parts[-1].label == "reminder"


def test_the_budget_of_a_request(serving: Any) -> None:
    model = serving.Scripted([""])
    with serving.served(model, [Remind(cooldown=1, lasts=1, budget=50)], retries=0) as running:
        whole = ask(running.url).json()
        assert whole["homeostat"]["cost"]["calls"] == 2
        small = ask(running.url, homeostat={"attempts": 1}).json()
        assert small["homeostat"]["cost"]["calls"] == 1
        assert small["choices"][0]["message"]["content"] == ""


def test_steering_reaches_the_model(serving: Any, tiny: Any) -> None:
    plain, steered = (
        serving.served(tiny, controllers, sensors=[AttentionDrift()])
        for controllers in ([], [Steer.instaboost_spans()])
    )
    with plain as one, steered as other:
        before, after = (ask(running.url, max_tokens=4).json()["homeostat"] for running in (one, other))
    assert after["mass"]["goal"] > before["mass"]["goal"]
    assert after["decisions"]


def test_a_sensor_that_the_model_cannot_feed_is_named(serving: Any) -> None:
    with serving.served(serving.Scripted(["on"]), sensors=[AttentionDrift()]) as running:
        assert "attention" in ask(running.url).json()["homeostat"]["sensors_left_out"]["attention_drift"]


def test_requests_at_the_same_time_share_batches(bare: Any) -> None:
    def batches() -> tuple[float, float]:
        return figure(bare.url, "homeostat_batch_rows_count"), figure(bare.url, "homeostat_batch_rows_sum")

    words = ["open", "on?", "click the screen", "nothing", "is it done", "settings"]
    alone = [ask(bare.url, one, max_tokens=20).json()["choices"][0]["message"]["content"] for one in words]
    count, rows = batches()
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda one: ask(bare.url, one, max_tokens=20).json(), words))
    assert [body["choices"][0]["message"]["content"] for body in found] == alone
    later, more = batches()
    assert more - rows == 6
    assert later - count < 6


def test_models_health_and_unknown_paths(bare: Any) -> None:
    listed = httpx.get(f"{bare.url}/models").json()["data"]
    assert [(one["id"], one["object"], one["max_model_len"]) for one in listed] == [("tiny", "model", 2048)]
    assert httpx.get(f"{bare.url}/models/tiny").json() == listed[0]
    root = bare.url.replace("/v1", "")
    assert httpx.get(f"{root}/health").json() == {"status": "ok"}
    for response in (
        httpx.get(f"{bare.url}/models/other"),
        httpx.get(f"{root}/nothing"),
        httpx.get(f"{bare.url}/chat/completions"),
        ask(bare.url, model="other"),
    ):
        assert response.status_code in (404, 405)
        assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    assert ask(bare.url, model="other").json()["error"]["code"] == "model_not_found"


def test_the_key_is_asked_for(serving: Any) -> None:
    with serving.served(serving.Scripted(["on"]), api_key="a-good-long-key") as running:
        assert ask(running.url).json()["error"]["code"] == "invalid_api_key"
        body = {"model": "tiny", "messages": [{"role": "user", "content": "on?"}]}
        for key, status in (("a-good-long-kex", 401), ("ä", 401), ("a-good-long-key", 200)):
            headers = {b"Authorization": f"Bearer {key}".encode("latin-1")}
            found = httpx.post(f"{running.url}/chat/completions", json=body, headers=headers)
            assert found.status_code == status
        assert httpx.get(running.url.replace("/v1", "/health")).status_code == 200
        assert httpx.get(running.url.replace("/v1", "/metrics")).status_code == 401


def test_a_client_that_goes_away_is_cancelled(serving: Any, tiny: Any) -> None:
    limits = LoopLimits(max_new_tokens=1800)
    with serving.served(tiny, limits=limits) as running:
        service = running.service
        # Greedy, because a sampled answer may end at its first token.
        body = {"model": "tiny", "messages": [{"role": "user", "content": "on?"}], "temperature": 0}
        path = f"{running.url}/chat/completions"
        for streams in (False, True):
            before = figure(running.url, "homeostat_completion_tokens_total")
            with httpx.Client(timeout=httpx.Timeout(10, read=None if streams else 0.15)) as client:
                if streams:
                    with client.stream("POST", path, json={**body, "stream": True}) as response:
                        assert next(response.iter_lines()).startswith("data: ")
                else:
                    with pytest.raises(httpx.ReadTimeout):
                        client.post(path, json=body)
            until = time.monotonic() + 10
            while service.active and time.monotonic() < until:
                time.sleep(0.01)
            assert service.active == 0
            after = figure(running.url, "homeostat_completion_tokens_total")
            assert after == before  # it did not come to its end


def test_more_than_the_queue_holds_is_refused(serving: Any) -> None:
    go = threading.Event()
    model = serving.Scripted(["on"], on_call=lambda number: go.wait(10))
    with serving.served(model, most=2) as running, ThreadPoolExecutor(2) as pool:
        taken = [pool.submit(ask, running.url) for _ in range(2)]
        until = time.monotonic() + 10
        while running.service.active < 2 and time.monotonic() < until:
            time.sleep(0.01)
        refused = ask(running.url)
        go.set()
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
        assert [one.result().status_code for one in taken] == [200, 200]
        assert ask(running.url).status_code == 200


def test_a_failing_model_is_a_server_error(serving: Any) -> None:
    def on_call(number: int) -> None:
        if number == 1:
            raise RuntimeError("broken weights at /secret/path")

    with serving.served(serving.Scripted(["on"], on_call)) as running:
        failed = ask(running.url)
        assert failed.status_code == 500
        assert failed.json()["error"]["type"] == "server_error"
        assert ask(running.url).status_code == 200


def test_the_end_gives_errors_and_nothing_hangs(serving: Any) -> None:
    running_call, go = threading.Event(), threading.Event()

    def on_call(number: int) -> None:
        running_call.set()
        go.wait(3)

    with serving.served(serving.Scripted(["on"], on_call)) as running, ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(ask, running.url) for _ in range(3)]
        assert running_call.wait(10)
        until = time.monotonic() + 10
        while running.service.active < 3 and time.monotonic() < until:
            time.sleep(0.01)
        running.server.should_exit = True
        for call in calls:
            response = call.result(20)
            assert response.status_code == 503
            assert response.json()["error"]["type"] == "server_error"
        go.set()
