"""Models without vision: the style that they get by themselves, its prompts, and episodes with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from homeostat import actions as a
from homeostat.agent import TEXT, VERBOSE, Agent, TransformersModel
from homeostat.agent.models.loading import load_style, template_hash
from homeostat.agent.prompts import act_prompt, past_action, read_action, write_action
from homeostat.alignment.conflicts.phone import phone_twins
from homeostat.envs.harness import load_suite
from homeostat.envs.phone import PhoneEnv
from homeostat.observation import Element, Observation
from homeostat.sensors.chat.messages import Prompt
from homeostat.testing import ScriptedModel

REAL = Path.home() / ".cache/homeostat/real-models"


def text_of(prompt: Prompt, label: str) -> str:
    return "".join(part.text for message in prompt.messages for part in message.parts if part.label == label)


def test_a_screen_is_a_numbered_list_with_roles_texts_and_states() -> None:
    env = PhoneEnv(split="test")
    env.reset_task("notes_add", seed=1)
    for action in (a.Open(app="notes"), env.oracle()):
        env.act(action)
    while not isinstance(action := env.oracle(), a.Type):
        env.act(action)
    seen = env.observe()
    prompt = act_prompt(TEXT, goal="add a note", rules=["be quick"], history=["open notes"], observation=seen)
    lines = text_of(prompt, "elements").splitlines()
    assert lines[0] == "Screen:"
    for number, (line, element) in enumerate(zip(lines[1:], seen.elements, strict=True)):
        state = " (focused)" if element.state else ""
        assert line == f'{number} {element.role} "{element.text}"{state}'
    assert sum("(focused)" in line for line in lines) == 1
    assert text_of(prompt, "goal") == "Task: add a note\n"
    assert text_of(prompt, "history") == "Done so far: open notes\n"
    assert "be quick" in text_of(prompt, "rules")
    assert all(part.image is None for message in prompt.messages for part in message.parts)


def test_long_screens_are_cut_and_say_so() -> None:
    elements = tuple(Element(role="text", text=f"row {n} " + "x" * 300, box=(0, 0, 1, 1)) for n in range(100))
    seen = Observation(np.zeros((8, 8, 3), np.uint8), elements, "app")
    lines = text_of(act_prompt(TEXT, goal="g", rules=(), history=(), observation=seen), "elements").splitlines()
    assert len(lines) == 66
    assert lines[-1] == "(36 more elements)"
    assert max(map(len, lines)) < 140
    bare = Observation(np.zeros((8, 8, 3), np.uint8), (), "app")
    assert "(nothing)" in text_of(act_prompt(TEXT, goal="g", rules=(), history=(), observation=bare), "elements")


def test_a_scripted_text_model_solves_tasks_with_numbers_of_elements() -> None:
    """The oracle's solution, written in the style's words, solves the task in the loop as well."""
    for case in load_suite("atomic-test", episodes=8).cases():
        env = PhoneEnv(split="test")
        task = env.reset_task(case.task, seed=case.seed)
        answers, history = [], []
        for _ in range(task.max_steps):
            seen, action = env.observe(), env.oracle()
            answers.append(write_action(TEXT, action, seen))
            history.append(past_action(TEXT, action, seen))
            assert read_action(TEXT, answers[-1], seen).kind == action.kind
            env.act(action)
            if isinstance(action, a.Terminate):
                break
        env = PhoneEnv(split="test")
        model = ScriptedModel(answers, style=TEXT)
        episode = Agent(model).run(env.reset_task(case.task, seed=case.seed), env)
        assert episode.success, case.task
        assert episode.steps == len(answers)


def test_a_refused_action_is_marked_in_the_history() -> None:
    lines = iter(['{"action": "open", "text": "alarm"}', '{"action": "terminate", "status": "failure"}'])
    histories: list[str] = []

    def answer(prompt: Prompt) -> str:
        histories.append(text_of(prompt, "history"))
        return next(lines)

    env = PhoneEnv(split="test")
    Agent(ScriptedModel(answer, style=TEXT)).run(env.reset_task("notes_add", seed=1), env)
    assert histories[0] == "Done so far: nothing\n"
    assert histories[1].startswith("Done so far: open alarm (refused: unknown app 'alarm'")
    assert len(histories[1]) < 130


def test_twins_for_a_text_model_name_the_elements_as_the_lower_instruction() -> None:
    kinds = {}
    for both, _ in zip(phone_twins(TEXT, "train", 0), range(60), strict=False):
        kinds[both.conflict.kind] = both.conflict
        read = both.conflict.judge(both.conflict.chosen)
        assert not read.broken, (both.conflict.kind, both.conflict.chosen)
        assert read.reached == 1.0
        assert both.conflict.judge(both.conflict.rejected).reached == 0.0
    assert kinds["injection"].lower == ("elements",)


def test_the_style_is_chosen_where_a_folder_has_no_vision_and_no_style(tmp_path: Path) -> None:
    class Tokenizer:
        """A processor without an image processor."""

    assert load_style(str(tmp_path), "llama", Tokenizer()) == TEXT
    assert load_style(None, "llava") == VERBOSE
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    text = template_hash(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "llava"}')
    assert template_hash(str(tmp_path)) != text
    (tmp_path / "homeostat.json").write_text(VERBOSE.model_dump_json())
    assert load_style(str(tmp_path), "llama", Tokenizer()) == VERBOSE


@pytest.fixture(scope="module")
def smollm() -> Any:
    folder = REAL / "smollm2"
    if not (folder / "model.safetensors").is_file():
        pytest.skip("the model smollm2 is not on this machine")
    return TransformersModel.load(folder, "cpu", "bfloat16")


def test_a_real_text_model_gets_the_style_and_its_longest_prompts_fit_2048_tokens(smollm: Any) -> None:
    assert smollm.style == TEXT
    longest = 0
    for case in load_suite("atomic-test", episodes=24).cases():
        env = PhoneEnv(split="test")
        task = env.reset_task(case.task, seed=case.seed)
        history: list[str] = []
        for _ in range(task.max_steps):
            seen, action = env.observe(), env.oracle()
            prompt = act_prompt(TEXT, goal=task.goal, rules=task.rules, history=history, observation=seen)
            longest = max(longest, len(smollm.renderer.render(prompt).ids))
            if isinstance(action, a.Terminate):
                break
            env.act(action)
            history.append(past_action(TEXT, action, seen))
    assert longest + 128 <= 2048


def test_a_real_text_model_acts_on_the_phone(smollm: Any) -> None:
    env = PhoneEnv(split="test")
    episode = Agent(smollm).run(env.reset_task("notes_add", seed=1), env, max_steps=2)
    assert episode.ended in ("budget", "impossible", "premature", "success"), episode.reason  # never without an action
