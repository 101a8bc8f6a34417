"""Requests that are none: each gets an error in OpenAI's form, and the server goes on."""

from __future__ import annotations

import json
import random
from typing import Any

import httpx
import pytest

GOOD: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "on?"}]}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
JUNK: list[Any] = [None, True, -1, 0, 1e400, "", "x", [], {}, [None], {"a": [1]}, [[["deep"]]], "\ud800", 2**70]


def wrong_bodies() -> list[bytes]:
    """Bodies, most of which are invalid: cut, mixed up, with fields of other types, nested deeply, too long."""
    rng, bodies = random.Random(0), []
    fields = ["messages", "model", "n", "stop", "seed", "temperature", "top_p", "max_tokens", "tools", "tool_choice"]
    fields += ["response_format", "logprobs", "top_logprobs", "stream_options", "homeostat", "logit_bias", "functions"]
    fields += ["frequency_penalty", "presence_penalty", "max_completion_tokens", "stream"]
    for field in fields:
        bodies += [json.dumps({**GOOD, field: junk}).encode() for junk in rng.sample(JUNK, 6)]
    for key in ("role", "content", "label", "tool_calls", "name", "tool_call_id"):
        for role in ("user", "assistant", "tool", "system"):
            for junk in rng.sample(JUNK, 3):
                bodies.append(json.dumps({**GOOD, "messages": [{"role": role, "content": "a", key: junk}]}).encode())
    parts: list[Any] = [{"type": "text"}, {"type": "image_url", "image_url": {"url": "http://127.0.0.1/x.png"}}]
    parts += [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}, {"type": "text", "text": 3}]
    parts += [{"type": "input_audio", "input_audio": {}}, "text", 5, None]
    bodies += [json.dumps({**GOOD, "messages": [{"role": "user", "content": [part]}]}).encode() for part in parts]
    functions: list[Any] = [{}, {"name": ""}, {"name": "a b"}, {"name": "a", "parameters": {"type": "nothing"}}, 3]
    bodies += [json.dumps({**GOOD, "tools": [{"type": "function", "function": one}]}).encode() for one in functions]
    bodies.append(json.dumps({**GOOD, "tools": [TOOL, TOOL]}).encode())
    bodies.append(json.dumps({**GOOD, "tools": [TOOL], "tool_choice": {"function": {"name": "other"}}}).encode())
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": 5}}}
    bodies.append(json.dumps({**GOOD, "response_format": schema}).encode())
    whole = json.dumps(GOOD).encode()
    bodies += [whole[:n] for n in range(0, len(whole), 7)]
    bodies += [bytes(rng.randrange(256) for _ in range(n)) for n in (1, 10, 100, 1000)]
    bodies += [b"[" * 100_000, b'{"a":' * 50_000, b"null", b"3", b'"text"', b"[]", b"\xff\xfe" + whole]
    bodies.append(
        b'{"model": "tiny", "messages": ' + b'[{"role": "user", "content": ' + b"[" * 900 + b"]" * 900 + b"}]}"
    )
    return bodies


@pytest.mark.parametrize("kind", ["scripted", "tiny"])
def test_malformed_requests_leave_it_serving(serving: Any, tiny: Any, kind: str) -> None:
    bodies = wrong_bodies()
    assert len(bodies) > 200
    model = serving.Scripted(["on"]) if kind == "scripted" else tiny
    with serving.served(model) as running, httpx.Client(timeout=30) as client:
        url, headers = f"{running.url}/chat/completions", {"Content-Type": "application/json"}
        refused = 0
        for body in bodies if kind == "scripted" else bodies[::6]:
            response = client.post(url, content=body, headers=headers)
            if response.status_code == 200:  # junk that is no junk for this field
                continue
            refused += 1
            assert response.status_code in (400, 404), (response.status_code, response.text, body[:300])
            error = response.json()["error"]
            assert set(error) == {"message", "type", "param", "code"}
            assert error["message"]
            assert "\n" not in error["message"]
        assert refused > (150 if kind == "scripted" else 30)
        for headers in ({"Content-Type": "text/plain"}, {}):
            assert client.post(url, content=b"hello", headers=headers).status_code == 400
        large = client.post(url, content=b" " * (33 * 2**20), headers={"Content-Type": "application/json"})
        assert large.status_code == 413
        assert large.json()["error"]["type"] == "invalid_request_error"
        assert client.post(url, json=GOOD).json()["choices"][0]["finish_reason"] in ("stop", "length")


@pytest.mark.parametrize(
    ("field", "value", "param"),
    [
        ("temperature", 3, "temperature"),
        ("n", 0, "n"),
        ("top_logprobs", 5, "top_logprobs"),
        ("frequency_penalty", 0.5, "frequency_penalty"),
        ("functions", [], "functions"),
        ("max_tokens", "many", "max_tokens"),
        ("homeostat", {"second": 3}, "homeostat.second"),
        ("messages", [], "messages"),
    ],
)
def test_the_error_names_the_field(serving: Any, field: str, value: Any, param: str) -> None:
    with serving.served(serving.Scripted(["on"])) as running:
        response = httpx.post(f"{running.url}/chat/completions", json={**GOOD, field: value})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
    assert param.rpartition(".")[2] in response.json()["error"]["message"]
