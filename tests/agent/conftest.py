"""Doubles for the loop's tests (a scripted model, a lamp as environment) and tiny real models built from configs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from homeostat.actions import Action, Answer, Click, Open, Terminate
from homeostat.envs.core import TaskInfo
from homeostat.errors import ActionError, UnknownName
from homeostat.observation import Element, Observation
from homeostat.sensors.attempts import Attempt
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.readings import Reading
from homeostat.testing import ScriptedModel


class Lamp:
    """An environment with one lamp: a click toggles it, ``open`` is refused. Deterministic, with snapshots."""

    restores = True
    tasks: ClassVar = {"lamp_on": ("Turn the lamp on", True), "lamp_off": ("Leave the lamp off", False)}

    def __init__(self) -> None:
        self.state: dict[str, Any] = {"task": None, "on": False, "log": []}

    def reset_task(self, task: str | None = None, *, seed: int | None = None) -> TaskInfo:
        if task is not None and task not in self.tasks:
            raise UnknownName.of("task", task, self.tasks)
        self.state = {"task": task, "on": False, "log": []}
        goal = self.tasks[task][0] if task else ""
        return TaskInfo(name=task or "free", goal=goal, seed=seed or 0, optimal_steps=2, max_steps=6)

    def observe(self) -> Observation:
        screen = np.full((32, 24, 3), 250 if self.state["on"] else 20, np.uint8)
        screen[0, : len(self.state["log"])] = 128
        return Observation(screen, (Element(role="button", text="lamp", box=(0.0, 0.0, 0.5, 0.5)),), "lamp")

    def act(self, action: Action) -> None:
        if isinstance(action, Open):
            raise ActionError(f"no app {action.app!r}; there is only a lamp")
        if isinstance(action, Click):
            self.state["on"] = not self.state["on"]
        self.state["log"].append(action.kind)

    def success(self) -> bool:
        wanted = self.tasks[self.state["task"]][1] if self.state["task"] else False
        return bool(self.state["on"] == wanted)

    def snapshot(self) -> dict[str, Any]:
        return {**self.state, "log": list(self.state["log"])}

    def restore(self, snapshot: dict[str, Any]) -> None:
        self.state = {**snapshot, "log": list(snapshot["log"])}


class Counter:
    """A sensor whose value is how many readings of its own it was shown; it alarms on ``alarm_at``."""

    name = "counter"
    needs = frozenset(("text",))

    def __init__(self, alarm_at: int = -1) -> None:
        self.alarm_at = alarm_at

    def read(self, attempt: Attempt, context: Any) -> Reading:
        seen = len(context.history)
        return Reading(sensor=self.name, value=seen, alarm=seen == self.alarm_at, reason="as asked", span="goal")


def call(action: str, **arguments: Any) -> str:
    import json

    return (
        "<tool_call>"
        + json.dumps({"name": "mobile_use", "arguments": {"action": action, **arguments}})
        + "</tool_call>"
    )


def words(prompt: Prompt, label: str) -> str:
    return "".join(p.text for m in prompt.messages for p in m.parts if p.label == label)


def make_llava(make_tokenizer: Callable[[], Any], seed: int = 0) -> Any:
    """A random LLaVA with a SigLIP tower and a Qwen3 decoder, shaped like the embedded model."""
    import torch
    from transformers import LlavaConfig, LlavaForConditionalGeneration, Qwen3Config, SiglipVisionConfig

    tokenizer = make_tokenizer()
    torch.manual_seed(seed)
    config = LlavaConfig(
        vision_config=SiglipVisionConfig(
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=32,
            patch_size=8,
        ),
        text_config=Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
            initializer_range=0.3,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
    )
    return LlavaForConditionalGeneration(config).eval()


@pytest.fixture
def lamp() -> Lamp:
    return Lamp()


@pytest.fixture(scope="session")
def tools(chat_tools: Any) -> Any:
    """The builders above and those for chats, for test files (which can't import this one)."""
    return SimpleNamespace(
        Lamp=Lamp,
        Scripted=ScriptedModel,
        Counter=Counter,
        call=call,
        words=words,
        **vars(chat_tools),
        make_llava=partial(make_llava, chat_tools.make_tokenizer),
        Answer=Answer,
        Terminate=Terminate,
    )


@pytest.fixture(scope="session")
def llava(tools: Any) -> tuple[Any, Any]:
    """(model, processor), tiny and random."""
    return tools.make_llava(), tools.make_processor()


@pytest.fixture(scope="session")
def tiny_qwen3(chat_tools: Any) -> Callable[..., Any]:
    """Makes a TransformersModel over a Qwen3 of three layers with random weights, which are always the same."""

    def made(positions: int = 2048, **settings: Any) -> Any:
        import torch
        from transformers import Qwen3Config, Qwen3ForCausalLM

        from homeostat import TransformersModel

        tokenizer = chat_tools.make_tokenizer()
        torch.manual_seed(0)
        config = Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
            initializer_range=0.3,
            max_position_embeddings=positions,
        )
        return TransformersModel(Qwen3ForCausalLM(config).eval(), tokenizer, **settings)

    return made
