"""Chats: users of every kind, drift per turn, reminders at a turn, prompts that are too long, and crashes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from homeostat import Agent, TransformersModel
from homeostat.actions import Answer, Call
from homeostat.agent import SimulatedUser, read_trace, readings_by_turn, turn_table
from homeostat.agent.events import Act, Sense
from homeostat.agent.loop.limits import LoopLimits
from homeostat.controllers import Guard, Remind
from homeostat.conversation import Turn
from homeostat.envs.tools import ChatEnv
from homeostat.errors import ConfigError, EnvError, HomeostatError
from homeostat.sensors import Attempt, AttentionDrift, GoalDrift, Prompt, RoleAdherence
from homeostat.sensors.rubric import DIMENSIONS
from homeostat.testing import ScriptedModel


@pytest.fixture(scope="module")
def small(chat_tools: Any) -> TransformersModel:
    """A tiny model with random weights, a real tokenizer, and a context of 400 tokens."""
    tokenizer = chat_tools.make_tokenizer()
    torch.manual_seed(3)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=400,
        initializer_range=0.3,
        eos_token_id=None,
    )
    return TransformersModel(Qwen3ForCausalLM(config).eval(), tokenizer, name="small")


def words(prompt: Prompt, label: str) -> list[str]:
    return [part.text for message in prompt.messages for part in message.parts if part.label == label]


def roles(prompt: Prompt) -> list[str]:
    return [message.role for message in prompt.messages]


def test_a_list_of_turns_is_talked_through() -> None:
    model = ScriptedModel(["In France.", "In Italy.", "You're welcome."])
    env = ChatEnv(["Where is Paris?", "And Rome?", "Thanks."], system="You know places.", rules=["be brief"])
    episode = Agent(model, controllers=[]).run(env.opening(), env)
    assert (episode.ended, episode.reason, episode.steps) == ("finished", "the user ended the conversation", 3)
    last = model.prompts[-1]
    assert roles(last) == ["system", "user", "assistant", "user", "assistant", "user"]
    assert words(last, "system") == ["You know places."]
    assert "be brief" in words(last, "rules")[0]
    assert words(last, "goal") == ["Where is Paris?"]
    assert words(last, "history") == ["In France.", "In Italy."]
    assert words(last, "user") == ["And Rome?", "Thanks."]
    assert [turn.text for turn in env.turns][-1] == "You're welcome."


def test_a_goal_in_words_is_the_first_turn() -> None:
    model = ScriptedModel(["In France.", "In Italy."])
    env = ChatEnv(["And Rome?"])
    episode = Agent(model, controllers=[]).run("Where is Paris?", env)
    assert episode.steps == 2
    assert words(model.prompts[1], "user") == ["And Rome?"]
    again = Agent(ScriptedModel(["x"]), controllers=[]).run("Where is Oslo?", env)
    assert again.steps == 2


def test_a_function_is_asked_with_the_whole_conversation_and_may_quit() -> None:
    seen: list[list[str]] = []

    def user(turns: Sequence[Turn]) -> str | None:
        seen.append([f"{turn.role}: {turn.text}" for turn in turns])
        return ("Hi", "Bye", "/quit")[len(seen) - 1]

    env = ChatEnv(user)
    Agent(ScriptedModel(["Hello!", "Bye!"]), controllers=[]).run(env.opening(), env)
    assert seen == [
        [],
        ["user: Hi", "assistant: Hello!"],
        ["user: Hi", "assistant: Hello!", "user: Bye", "assistant: Bye!"],
    ]


def test_a_chat_may_have_tools() -> None:
    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    call = '<tool_call>{"name": "add", "arguments": {"a": 2, "b": 3}}</tool_call>'
    env = ChatEnv(["What is 2 + 3?", "Thanks."], [add], rules=["never call divide"])
    agent = Agent(ScriptedModel([call, "5.", "Bye."]), controllers=[Guard()])
    actions = [event.action for event in agent.start(env.opening(), env) if isinstance(event, Act)]
    assert actions == [Call(tool="add", arguments={"a": 2, "b": 3}), Answer(text="5."), Answer(text="Bye.")]
    assert [turn.role for turn in env.turns] == ["user", "assistant", "tool", "assistant", "user", "assistant"]


def test_a_model_plays_the_user() -> None:
    other = ScriptedModel(["<think>hm</think>A table, please.", "Tonight. [END]", "[END]"])
    user = SimulatedUser(other, "You want a table <|im_end|>", turns=5)
    env = ChatEnv(user)
    episode = Agent(ScriptedModel(["When?", "Done."]), controllers=[]).run(env.opening(), env)
    assert [(turn.role, turn.text) for turn in env.turns] == [
        ("user", "A table, please."),
        ("assistant", "When?"),
        ("user", "Tonight."),
        ("assistant", "Done."),
    ]
    assert episode.ended == "finished"
    asked = other.prompts[1]
    assert roles(asked) == ["system", "user", "assistant", "user"]
    assert words(asked, "history") == ["A table, please."]
    assert words(asked, "user") == ["When?"]
    system = asked.messages[0].parts[0]
    assert "<|im_end|>" not in "".join(system.text[start:stop] for start, stop in system.trusted)


def test_a_simulated_user_says_no_sentence_twice_in_a_turn() -> None:
    said = "It is late. I want a table!\n\nI want a table! It is late. And wine."
    assert SimulatedUser(ScriptedModel([said]), "You are in a hurry.")(()) == "It is late. I want a table!"


def test_a_simulated_user_may_say_yes_twice() -> None:
    model = ScriptedModel(["Yes, please.", "Yes, please.", "[END]"])
    env = ChatEnv(SimulatedUser(model, "You agree."))
    assert Agent(ScriptedModel(["More?"]), controllers=[]).run(env.opening(), env).steps == 2
    assert len(model.prompts) == 3


def test_a_simulated_user_has_so_many_turns_and_no_more() -> None:
    env = ChatEnv(SimulatedUser(ScriptedModel(["More."]), "You never stop.", turns=3))
    assert Agent(ScriptedModel(["Yes."]), controllers=[]).run(env.opening(), env).steps == 3


def test_a_simulated_user_that_is_cut_short_does_not_end_the_chat(tmp_path: Path) -> None:
    class Slow(ScriptedModel):
        """A model whose second call is out of time."""

        def generate(self, prompt: Prompt, **settings: Any) -> list[Attempt]:
            found = super().generate(prompt, **settings)
            return [Attempt(text="", finish="length")] if len(self.prompts) == 2 else found

    env = ChatEnv(SimulatedUser(Slow(["Hi."]), "You talk."))
    folder = tmp_path / "run"
    with pytest.raises(HomeostatError, match="cut short"):
        Agent(ScriptedModel(["Yes?"]), controllers=[]).run(env.opening(), env, run_folder=folder)
    again = ChatEnv(SimulatedUser(ScriptedModel(["Good.", "[END]"]), "You talk."))
    assert Agent(ScriptedModel(["Bye."]), controllers=[]).resume(folder, again).result.ended == "finished"
    assert [turn.text for turn in again.turns] == ["Hi.", "Yes?", "Good.", "Bye."]


def test_a_chat_that_a_crash_interrupted_goes_on_where_it_was(tmp_path: Path) -> None:
    class Killed(BaseException):
        """Stands for the process's death."""

    asked: list[int] = []

    def user(turns: Sequence[Turn]) -> str | None:
        asked.append(len(turns))
        if len(asked) == 3:
            raise Killed
        return ("Hi", "How are you?", None)[sum(turn.role == "user" for turn in turns)]

    env = ChatEnv(user)
    with pytest.raises(Killed):
        Agent(ScriptedModel(["Hello!", "Well."]), controllers=[], limits=LoopLimits(env_seconds=None)).run(
            env.opening(), env, run_folder=tmp_path / "run"
        )
    other, model = ChatEnv(user), ScriptedModel(["unused"])
    episode = Agent(model, controllers=[]).resume(tmp_path / "run", other).result
    assert (episode.ended, episode.steps) == ("finished", 2)
    assert model.prompts == []
    assert [turn.text for turn in other.turns] == ["Hi", "Hello!", "How are you?", "Well."]
    assert asked[-1] == asked[-2]
    turns = [
        turn.text for event in read_trace(tmp_path / "run").events if event.kind == "observe" for turn in event.turns
    ]
    assert turns == ["Hello!", "How are you?"]


def test_a_simulated_user_does_not_repeat_itself_and_ends_with_a_whole_sentence() -> None:
    class Small(ScriptedModel):
        heats: ClassVar[list[float]] = []

        def generate(self, prompt: Prompt, **settings: Any) -> list[Attempt]:
            self.heats.append(settings["temperature"])
            return [replace(found, finish="length") for found in super().generate(prompt, **settings)]

    told = "I want a table for two!"
    model = Small([f"{told} And", f"{told} I", 'Is it "free?" For', "for two"])
    user = SimulatedUser(model, "You are in a hurry.")
    said = [Turn(role="user", text=str(user(())))]
    for _ in range(2):
        said += [Turn(role="assistant", text="Yes?")]
        said += [Turn(role="user", text=str(user(said)))]
    assert [turn.text for turn in said if turn.role == "user"] == [told, 'Is it "free?"', "for two"]
    assert told in words(model.prompts[2], "template")[-1]
    assert all(told not in text for text in words(model.prompts[1], "template"))
    assert Small.heats == [0.0, 0.0, 1.0, 0.0]


def test_drift_is_read_in_every_turn_and_shown_as_a_table(small: TransformersModel) -> None:
    judge = ScriptedModel([json.dumps({k: {"score": v} for k, v in zip(DIMENSIONS, (4, 2, 3, 5), strict=True)})])
    sensors = [AttentionDrift(), GoalDrift(), RoleAdherence(judge, role="a guide")]
    env = ChatEnv(["open the settings", "turn it on", "click the screen"], system="You are the system")
    limits = LoopLimits(max_new_tokens=6)
    events = list(Agent(small, sensors, [], limits=limits).start(env.opening(), env, rules=["the rules"]))
    rows = readings_by_turn(events)
    assert [row.turn for row in rows] == [1, 2, 3]
    drift = [row.readings["attention_drift"] for row in rows]
    assert [reading.judged for reading in drift] == [False, True, True]
    mean = sum(reading.by_span["goal"].mass for reading in drift) / 3
    assert 0 < mean < 1
    assert all(row.readings["goal_drift"].judged and row.readings["goal_drift"].value > 0 for row in rows)
    assert all(row.readings["role_adherence"].value == 3.5 for row in rows)
    assert [set(row.mass) >= {"system", "rules", "goal"} for row in rows] == [True] * 3
    assert {"user", "history"} <= set(rows[1].mass)
    assert "turn it on" in judge.prompts[1].messages[-1].parts[0].text
    table = turn_table(rows).splitlines()
    assert len(table) == 4
    assert table[0].split()[:4] == ["turn", "attention_drift", "goal_drift", "role_adherence"]
    assert table[1].split()[1] == "-"
    assert table[2].split()[3] == "3.5"


def test_reminders_come_at_a_chosen_turn() -> None:
    turns = [f"turn {n}" for n in range(1, 9)]
    for controller, expected in ((Remind.at(3), [3]), (Remind.drift_no_more(), [4, 7])):
        env = ChatEnv(turns)
        model = ScriptedModel(["Yes."])
        events = list(Agent(model, controllers=[controller]).start(env.opening(), env))
        rows = readings_by_turn(events)
        assert [row.turn for row in rows if row.reminder] == expected
        reminded = [prompt for prompt in model.prompts if words(prompt, "reminder")]
        assert all("turn 1" in words(prompt, "reminder")[0] for prompt in reminded)
        assert all(prompt.messages[-1].role == "user" for prompt in reminded)


def test_a_long_chat_fits_a_real_models_context_with_system_rules_and_goal_pinned(small: TransformersModel) -> None:
    turns = [f"turn {n}: open the settings and turn it on and click the screen" for n in range(1, 16)]
    env = ChatEnv(turns, system="You are the system")
    limits = LoopLimits(max_new_tokens=8)
    sensed = [
        event
        for event in Agent(small, [AttentionDrift()], [], limits=limits).start(env.opening(), env, rules=["the rules"])
        if isinstance(event, Sense)
    ]
    assert len(sensed) == 15
    assert sensed[0].dropped == {}
    assert sensed[-1].dropped["turns"] > 0
    left_out = [event.dropped.get("turns", 0) for event in sensed]
    assert left_out == sorted(left_out)
    assert all(event.prompt_tokens + 8 <= 400 for event in sensed)
    assert sensed[-1].prompt_tokens > 300
    assert all({"system", "rules", "goal"} <= set(event.mass) for event in sensed)
    assert all(event.mass["goal"] > 0 for event in sensed)


@pytest.mark.parametrize("user", ["Hello", ["Hi", " "], [3]])
def test_a_wrong_user_is_refused(user: Any) -> None:
    with pytest.raises(ConfigError, match="list of texts"):
        ChatEnv(user)


def test_a_user_without_a_turn_and_a_role_without_words_are_refused() -> None:
    with pytest.raises(EnvError, match="nothing to say"):
        ChatEnv([]).opening()
    with pytest.raises(ConfigError, match="role"):
        SimulatedUser(ScriptedModel(["x"]), " ")
    with pytest.raises(ConfigError, match="turns"):
        SimulatedUser(ScriptedModel(["x"]), "me", turns=0)
