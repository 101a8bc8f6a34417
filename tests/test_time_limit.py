"""Code that runs for too long is ended, in any thread, and nothing is ended afterwards."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from homeostat.errors import ModelError
from homeostat.sensors.chat import rendering, templating
from homeostat.sensors.chat.messages import Message, Part, Prompt
from homeostat.time_limit import time_limit


def test_an_endless_loop_is_ended_in_any_thread() -> None:
    caught: list[str] = []

    def work() -> None:
        try:
            with time_limit(0.05, ModelError("too long")):
                while True:
                    with suppress(Exception):  # code that catches everything ends, too
                        sum(range(100))
        except ModelError as error:
            caught.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)
    work()
    assert caught == ["too long"] * 2


def test_quick_code_is_left_alone() -> None:
    for n in range(300):
        begun = time.perf_counter()
        try:
            with time_limit(0.0005, ModelError("too long")):
                while time.perf_counter() - begun < 0.0001 * (n % 10):
                    pass
        except ModelError:
            continue
    time.sleep(0.01)  # nothing is still on its way
    with pytest.raises(KeyError), time_limit(5, ModelError("too long")):
        raise KeyError("its own error passes")


def test_an_endless_chat_template_is_a_model_error(chat_tools: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templating, "_TEMPLATE_SECONDS", 0.3)
    endless = "{% for a in range(99999) %}" * 3 + "{% endfor %}" * 3
    renderer = rendering.Renderer(chat_tools.make_tokenizer(endless + chat_tools.CHATML))
    begun = time.perf_counter()
    with pytest.raises(ModelError, match=r"chat template runs for more than 0.3 s"):
        renderer.render(Prompt((Message("user", (Part("goal", "hi"),)),)))
    assert time.perf_counter() - begun < 10
    plain = rendering.Renderer(chat_tools.make_tokenizer())
    assert np.asarray(plain.render(Prompt((Message("user", (Part("goal", "hi"),)),))).ids).size
