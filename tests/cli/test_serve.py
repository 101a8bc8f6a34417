"""``homeostat serve`` as a process: options that can't be, a crash under load and a new start, SIGTERM under load."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from homeostat.cli.root import app

CHAT = [{"role": "user", "content": "open the settings"}]


@pytest.fixture(scope="module")
def folder(chat_tools: Any, tmp_path_factory: Any) -> Path:
    """A tiny random model, saved."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = chat_tools.make_tokenizer()
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        initializer_range=0.3,
        max_position_embeddings=8192,
    )
    path = Path(tmp_path_factory.mktemp("models")) / "little"
    Qwen3ForCausalLM(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@contextmanager
def process(folder: Path, port: int = 0) -> Iterator[tuple[Any, str]]:
    command = [sys.executable, "-c", "from homeostat.cli.root import main; main()", "serve"]
    command += ["--model", str(folder), "--port", str(port)]
    command += ["--controllers", "none", "--grace", "0.5"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = running.stdout.readline() if running.stdout is not None else ""
        assert "serving little at http://127.0.0.1:" in line, running.stderr and running.stderr.read()
        yield running, line.split()[3].rstrip(";")
    finally:
        running.kill()
        running.communicate()


def load(url: str, clients: int, asked: threading.Barrier, *, streams: bool) -> list[Any]:
    """Asks for long answers; for each client the response or the error."""

    def one(number: int) -> Any:
        body = {"model": "little", "messages": CHAT, "max_tokens": 7000, "stop": "never comes", "stream": streams}
        with httpx.Client(timeout=60) as client:
            asked.wait()
            try:
                return client.post(f"{url}/chat/completions", json=body)
            except httpx.HTTPError as error:
                return error

    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(one, range(clients)))


def under_load(url: str, end: Any, *, streams: bool = False) -> list[Any]:
    """Ends the server while four clients wait for long answers."""
    asked = threading.Barrier(5)
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(load, url, 4, asked, streams=streams)
        asked.wait()
        for _ in range(1000):
            text = httpx.get(url.replace("/v1", "/metrics")).text
            if "homeostat_active_choices 4.0" in text:
                break
        end()
        return found.result(60)


def test_a_crash_and_the_end_under_load(folder: Path) -> None:
    with process(folder) as (running, url):
        assert httpx.get(f"{url}/models").json()["data"][0]["id"] == "little"
        found = under_load(url, running.kill)
        assert all(isinstance(one, httpx.HTTPError) for one in found)
    port = int(url.split(":")[2].split("/")[0])
    with process(folder, port) as (running, again):
        assert again == url
        body = {"model": "little", "messages": CHAT, "max_tokens": 4}
        assert httpx.post(f"{url}/chat/completions", json=body, timeout=60).status_code == 200
        found = under_load(url, lambda: os.kill(running.pid, signal.SIGTERM))
        for one in found:
            assert one.status_code == 503
            assert set(one.json()["error"]) == {"message", "type", "param", "code"}
        assert running.wait(30) in (-signal.SIGTERM, 128 + signal.SIGTERM)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ([], "no model is named"),
        (["--model", "x", "--host", "0.0.0.0"], "--api-key"),
        (["--model", "x", "--api-key", "short"], "5 characters"),
        (["--model", "x", "--controllers", "nothing"], "nothing"),
        (["--model", "no/such/folder/here"], "no/such/folder/here"),
    ],
)
def test_options_that_cannot_be(options: list[str], word: str) -> None:
    result = CliRunner().invoke(app, ["serve", *options])
    assert result.exit_code != 0
    assert word in str(result.exception or "") + result.output
