"""Servers for tests: a service behind a real uvicorn on a free port, with a scripted or a tiny random model."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn

from homeostat import Agent
from homeostat.agent.loop.limits import LoopLimits
from homeostat.agent.serving import Service, create_app
from homeostat.agent.serving.running import Server
from homeostat.testing import ScriptedModel


@contextmanager
def served(
    model: Any, controllers: Any = (), *, sensors: Any = (), limits: Any = None, api_key: Any = None, **more: Any
) -> Iterator[Any]:
    """Serves an agent; ``url`` is the base URL that clients take."""
    limits = limits or LoopLimits(max_new_tokens=24)
    service = Service(Agent(model, sensors, controllers, limits=limits, allow_degraded=True), name="tiny", **more)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(create_app(service, api_key=api_key), log_level="critical", timeout_graceful_shutdown=3)
    server = Server(config, service, 0.5)
    thread = threading.Thread(target=lambda: server.run(sockets=[listener]), daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not server.started and time.monotonic() < until:
        time.sleep(0.005)
    try:
        yield SimpleNamespace(
            url=f"http://127.0.0.1:{listener.getsockname()[1]}/v1", service=service, server=server, thread=thread
        )
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def serving(chat_tools: Any) -> Any:
    """What serves a model, for test files (which can't import this one)."""
    return SimpleNamespace(served=served, Scripted=ScriptedModel)


@pytest.fixture(scope="session")
def tiny(chat_tools: Any) -> Any:
    """A tiny random model with a chat template without tools."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from homeostat import TransformersModel

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
        max_position_embeddings=2048,
    )
    return TransformersModel(Qwen3ForCausalLM(config).eval(), tokenizer, name="tiny")
