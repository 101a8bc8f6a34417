"""Behaviour cloning: prompts as at run time, labels on answers only, packs that change nothing, runs that go on."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, MambaConfig, MambaForCausalLM

from homeostat.actions import calls_of
from homeostat.agent import Agent, AgentSpec, PromptStyle, TransformersModel
from homeostat.agent.models.loading import weights_hash
from homeostat.agent.prompts import act_prompt, brief, past_action, read_action
from homeostat.agent.tool_calls import read_turn
from homeostat.alignment import CloneSettings, clone, load_adapted
from homeostat.alignment.cloning.demonstrations import Demonstrator, demonstrate
from homeostat.alignment.cloning.packing import pack, pack_scores, packs_alike
from homeostat.alignment.cloning.preparation import prepare_clone
from homeostat.alignment.cloning.rows import tokenise
from homeostat.alignment.cloning.tasks import Lessons, sources
from homeostat.envs.harness import env_kind, load_suite, make_env
from homeostat.envs.phone import PhoneEnv
from homeostat.envs.phone.tasks.splits import templates_of
from homeostat.errors import ConfigError, ModelError
from homeostat.testing import ScriptedModel

LAMP = '''
import numpy as np

from homeostat.actions import Click, Open, Terminate
from homeostat.envs.core import TaskInfo
from homeostat.envs.harness import EnvKind
from homeostat.errors import ActionError
from homeostat.observation import Element, Observation


class Lamp:
    """Two lamps. The app has to be open, and the goal names the lamp; the seed changes nothing."""

    restores = True

    def __init__(self):
        self.task, self.open, self.on = "red", False, set()

    def reset_task(self, task=None, *, seed=None):
        self.task, self.open, self.on = task, False, set()
        return TaskInfo(name=task, goal=f"the {task} lamp", seed=seed or 0, optimal_steps=3, max_steps=6)

    def observe(self):
        names = [f"{name} {'on' if name in self.on else 'off'}" for name in ("red", "blue")] if self.open else ["lamps"]
        elements = [Element(role="button", text=n, box=(0.0, i / 2, 1.0, i / 2 + 0.4)) for i, n in enumerate(names)]
        return Observation(np.zeros((8, 8, 3), np.uint8), tuple(elements), "lamps" if self.open else "home")

    def act(self, action):
        if isinstance(action, Open):
            self.open = True
        elif isinstance(action, Click) and self.open:
            self.on ^= {"red" if action.point[1] < 0.5 else "blue"}
        elif not isinstance(action, Terminate):
            raise ActionError(f"{action.kind!r} does nothing here")

    def success(self):
        return self.on == {self.task}

    def snapshot(self):
        return {"task": self.task, "open": self.open, "on": sorted(self.on)}

    def restore(self, snapshot):
        self.task, self.open, self.on = snapshot["task"], snapshot["open"], set(snapshot["on"])

    def oracle(self):
        if not self.open:
            return Open(app="lamps")
        wrong = sorted(self.on ^ {self.task})
        return Click(point=(0.5, 0.2 if wrong[0] == "red" else 0.7)) if wrong else Terminate(status="success")


def tasks():
    return ["red", "blue"]


def shown():
    return ["red"]


KIND = EnvKind(constructor="lamp_room:Lamp", tasks="lamp_room:tasks")
SHY = EnvKind(constructor="lamp_room:Lamp", tasks="lamp_room:tasks", training_tasks="lamp_room:shown")
'''


@pytest.fixture
def lamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with the environment ``lamp``, and with ``shy_lamp``, one of whose tasks is held out."""
    site = tmp_path / "site"
    (site / "lamp_room-1.dist-info").mkdir(parents=True)
    (site / "lamp_room.py").write_text(LAMP)
    (site / "lamp_room-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: lamp-room\nVersion: 1\n")
    entries = "[homeostat.environments]\nlamp = lamp_room:KIND\nshy_lamp = lamp_room:SHY\n"
    (site / "lamp_room-1.dist-info" / "entry_points.txt").write_text(entries)
    monkeypatch.syspath_prepend(str(site))


def make_model(folder: Path, tokenizer: Any) -> Path:
    """A tiny Llama with random weights, whose output layer lets an adapter make it sure of a token."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=8192,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    torch.nn.init.normal_(model.lm_head.weight, std=0.4)
    torch.nn.init.normal_(model.model.embed_tokens.weight, std=1.0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, chat_tools: Any) -> Path:
    """A tiny model with a plain chat template, as a folder."""
    return make_model(tmp_path_factory.mktemp("tiny"), chat_tools.make_tokenizer())


def settings(model: Path, out: Path, **changes: Any) -> CloneSettings:
    common = {"device": "cpu", "dtype": "float32", "brief": True, "env": "lamp", "episodes": 8, "batch": 2}
    return CloneSettings(**{"model": str(model), "out": out, "held_out": 2, "noise": 0.0} | common | changes)


@pytest.mark.parametrize("short", [False, True])
def test_the_prompts_are_those_of_the_agent_at_run_time(tiny: Path, short: bool) -> None:
    model = TransformersModel.load(tiny, "cpu", "float32")
    model.style = brief(model.style) if short else model.style
    lessons = Lessons(model, sources(["atomic-whole"], None, 5, 3), seed=5, noise=0.0)
    for number in range(3):
        found = lessons.episode(number)
        env = make_env("phone", "train", {"apps": "all"})
        task = env.reset_task(lessons.case(number).task, seed=lessons.case(number).seed)
        listening = ScriptedModel([one.answer for one in found], style=model.style)
        episode = Agent(listening).run(task, env, seed=lessons.case(number).seed)
        assert episode.success
        assert [one.prompt for one in found] == listening.prompts
        assert [one.screen for one in found] == list(range(episode.steps))


def test_other_goals_have_the_prompt_that_they_would_have_at_the_start(tiny: Path) -> None:
    model = TransformersModel.load(tiny, "cpu", "float32")
    lessons = Lessons(model, sources(["atomic-whole"], None, 1, 6), seed=1, noise=0.0, goals=3)
    asked = 0
    for number in range(6):
        found = lessons.episode(number)
        env = make_env("phone", "train", {"apps": "all"})
        task = env.reset_task(lessons.case(number).task, seed=lessons.case(number).seed)
        history: list[str] = []
        for screen in range(1 + max(one.screen for one in found)):
            own, *others = [one for one in found if one.screen == screen]
            seen, action = env.observe(), env.oracle()
            for one in others:
                goal = next(p.text for p in one.prompt.messages[1].parts if p.label == "goal")
                goal = goal.removeprefix("Task: ").removesuffix("\n")
                assert one.prompt == act_prompt(model.style, goal=goal, rules=task.rules, history=(), observation=seen)
                read_action(model.style, one.answer, seen)
                asked += goal != task.goal
            assert own.prompt == act_prompt(
                model.style, goal=task.goal, rules=task.rules, history=history, observation=seen
            )
            history.append(past_action(model.style, action, seen))
            env.act(action)
    assert asked > 30


def test_only_training_tasks_words_and_seeds_are_shown(tiny: Path) -> None:
    held_out = {*templates_of("dev"), *templates_of("test")}
    (source,) = sources(["atomic-whole"], None, 0, 40)
    assert source.suite.split == "train"
    assert not source.left_out
    assert not held_out & {case.task for case in source.suite.cases()}
    assert {*source.suite.cases()}.isdisjoint(load_suite("atomic-whole", episodes=2000).cases())
    with pytest.raises(ConfigError, match="'atomic-test': all 30 tasks are held out"):
        sources(["atomic-test"], None, 0, 1)
    model = TransformersModel.load(tiny, "cpu", "float32")
    env = PhoneEnv(split="train", apps="all")
    env.reset_task("notes_add", seed=3)
    draw = env_kind("phone").load(env_kind("phone").other_goals)
    goals = draw(env, random.Random(0), 300, frozenset(templates_of("train")))
    taught = {goal.partition("{")[0] for t in templates_of("train").values() for goal in t.goals}
    assert len(goals) > 100
    assert all(any(goal.startswith(begin) for begin in taught) for goal, _ in goals)
    assert model.style.answers == "elements"


def test_a_suite_without_its_held_out_tasks(tiny: Path, lamp: None, tmp_path: Path) -> None:
    (source,) = sources([], "shy_lamp", 0, 5)
    assert (source.suite.tasks, source.left_out) == (("red",), ("blue",))
    assert {case.task for case in source.suite.cases()} == {"red"}


def test_random_actions_are_recovered_from(tiny: Path) -> None:
    model = TransformersModel.load(tiny, "cpu", "float32")
    lessons = Lessons(model, sources(["atomic"], None, 2, 12), seed=2, noise=0.5)
    plain = Lessons(model, sources(["atomic"], None, 2, 12), seed=2, noise=0.0)
    noisy = [lessons.episode(n) for n in range(12)]
    assert all(noisy)
    assert sum(map(len, noisy)) > sum(len(plain.episode(n)) for n in range(12))
    assert noisy == [lessons.episode(n) for n in range(12)]
    for found in noisy:
        assert json.loads(found[-1].answer)["action"] == "terminate"


def test_labels_are_the_answer_and_nothing_else(tiny: Path) -> None:
    model = TransformersModel.load(tiny, "cpu", "float32")
    found = Lessons(model, sources(["atomic"], None, 0, 1), noise=0.0).episode(0)
    rows = tokenise(model, found)
    tokenizer = model.renderer.tokenizer
    for one, row in zip(found, rows, strict=True):
        assert row.prompt.ids == model.renderer.render(one.prompt).ids
        assert tokenizer.decode(row.answer[:-1]) == one.answer
        assert row.answer[-1] == tokenizer.eos_token_id
    (packed,) = pack(rows[:2], 10_000)
    assert packed.answers.tolist() == [token for row in packed.rows for token in row.answer]
    for place, token in zip(packed.predicting.tolist(), packed.answers.tolist(), strict=True):
        assert any(
            packed.ids[packed.visible[place]].tolist() == row.ids[:end] and row.ids[end] == token
            for row in packed.rows
            for end in range(len(row.prompt.ids), len(row.ids))
        )


def test_a_pack_scores_answers_as_rows_by_themselves(tiny: Path) -> None:
    model = TransformersModel.load(tiny, "cpu", "float32")
    lessons = Lessons(model, sources(["atomic"], None, 0, 1), noise=0.0, goals=3)
    rows = tokenise(model, lessons.episode(0))
    packs = pack(rows, 2500)
    assert sorted(id(row) for one in packs for row in one.rows) == sorted(map(id, rows))
    assert sum(map(len, packs)) < 0.7 * sum(len(row.ids) for row in rows)
    assert packs_alike(model.model, rows[:4])
    for one in packs:
        expected, best = [], []
        for row in one.rows:
            ids = torch.tensor([row.ids])
            with torch.inference_mode():
                logits = model.model(input_ids=ids).logits[0, len(row.prompt.ids) - 1 : -1]
            answer = torch.tensor(row.answer)
            expected.append(logits.log_softmax(-1)[range(len(answer)), answer])
            best.append(logits.argmax(-1) == answer)
        scores = pack_scores(model.model, one)
        torch.testing.assert_close(scores.logprobs, torch.cat(expected), rtol=0, atol=2e-5)
        assert torch.equal(scores.best, torch.cat(best))


def test_a_model_that_ignores_masks_is_not_packed(tiny: Path) -> None:
    model = TransformersModel.load(tiny, "cpu", "float32")
    rows = tokenise(model, Lessons(model, sources(["atomic"], None, 0, 1), noise=0.0).episode(0))
    torch.manual_seed(0)
    size = model.model.config.vocab_size
    mamba = MambaForCausalLM(MambaConfig(vocab_size=size, hidden_size=32, num_hidden_layers=1, state_size=4)).eval()
    assert not packs_alike(mamba, rows[:3])


def test_a_killed_run_goes_on_as_if_it_had_not_been(
    tiny: Path, lamp: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from homeostat.alignment.cloning.training import CloneTrainer

    whole = clone(settings(tiny, tmp_path / "whole", noise=0.3, save_steps=1))
    step, done = CloneTrainer.training_step, []

    def dying(self: Any, *args: Any, **named: Any) -> Any:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(1)
        return step(self, *args, **named)

    monkeypatch.setattr(CloneTrainer, "training_step", dying)
    with pytest.raises(KeyboardInterrupt):
        clone(settings(tiny, tmp_path / "killed", noise=0.3, save_steps=1))
    monkeypatch.setattr(CloneTrainer, "training_step", step)
    resumed = clone(settings(tiny, tmp_path / "killed", noise=0.3, save_steps=1))
    assert (resumed.steps, resumed.loss) == (4, pytest.approx(whole.loss, abs=1e-7))
    assert resumed.after == whole.after
    one, other = (load_adapted(str(r.folder / "adapter"), "cpu", "float32").model for r in (whole, resumed))
    for (name, weight), (_, same) in zip(one.named_parameters(), other.named_parameters(), strict=True):
        assert torch.equal(weight, same), name
    assert clone(settings(tiny, tmp_path / "killed", noise=0.3, save_steps=1)) == resumed
    with pytest.raises(ConfigError, match="another rate"):
        clone(settings(tiny, tmp_path / "killed", noise=0.3, save_steps=1, rate=0.1))


def test_packs_and_padded_batches_train_the_same_adapter(tiny: Path, lamp: None, tmp_path: Path) -> None:
    packed, padded = (clone(settings(tiny, tmp_path / f"{most}", pack=most, rate=1e-3)) for most in (640, 0))
    assert packed.packed
    assert not padded.packed
    assert packed.before is not None
    assert padded.loss == pytest.approx(packed.loss, abs=1e-3)
    assert packed.loss < packed.before.loss


def test_a_tiny_model_learns_an_environment_and_then_plays_it(tiny: Path, lamp: None, tmp_path: Path) -> None:
    result = clone(settings(tiny, tmp_path / "run", episodes=300, rate=6e-3, r=64, alpha=64))
    assert result.before is not None
    assert result.after is not None
    assert result.before.right == 0
    assert result.after.right == 1
    assert result.loss < 0.1 < result.before.loss
    adapter = str(result.folder / "adapter")
    agent = AgentSpec(model=adapter, device="cpu", dtype="float32", controllers="none", sensors=()).build()
    for task in ("red", "blue"):
        env = make_env("lamp")
        episode = agent.run(env.reset_task(task), env)
        assert (episode.success, episode.steps) == (True, 3)
    assert weights_hash(adapter) not in (None, weights_hash(str(tiny)))
    card = (result.folder / "adapter" / "README.md").read_text()
    assert "homeostat clone" in card


def test_an_adapter_is_trained_further(tiny: Path, lamp: None, tmp_path: Path) -> None:
    first = clone(settings(tiny, tmp_path / "first", layers="1", r=4, rate=1e-2))
    assert first.layers == (1,)
    further = clone(settings(tiny, tmp_path / "further", adapter=first.folder / "adapter", seed=1, brief=False))
    assert further.layers == (1,)
    assert further.parameters == first.parameters
    assert further.before is not None
    assert first.after is not None
    assert further.before.loss == pytest.approx(first.after.loss, rel=0.05)
    style = PromptStyle.model_validate_json((tmp_path / "further" / "adapter" / "homeostat.json").read_text())
    assert style == brief(TransformersModel.load(tiny, "cpu", "float32").style)


def test_a_vision_language_model_is_trained_on_screenshots(lamp: None, tmp_path: Path) -> None:
    result = clone(settings("homeostat/nano", tmp_path / "run", env="phone", brief=False, episodes=2, batch=1, r=2))
    assert not result.packed
    assert result.before is not None
    assert result.after is not None
    assert result.before.answers == result.after.answers > 4


@pytest.mark.parametrize("native", [False, True])
def test_tools_are_called_in_the_form_of_the_prompts(tmp_path: Path, chat_tools: Any, native: bool) -> None:
    template = Path.home() / ".cache/homeostat/real-models/qwen0.5b/chat_template.jinja"
    if native and not template.is_file():
        pytest.skip(f"no {template.name} of Qwen2.5-Coder-0.5B-Instruct")
    words = (template.read_text(),) if native else ()
    folder = make_model(tmp_path / "model", chat_tools.make_tokenizer(*words))
    model = TransformersModel.load(folder, "cpu", "float32")
    model.context = None
    suite = load_suite("office", split="train", episodes=2)
    env = make_env(suite.env, suite.split, suite.options)
    demonstrator = Demonstrator(model, env, env_kind("office").next_action(), random.Random(0))
    case = suite.cases()[0]
    found = demonstrate(demonstrator, env, case.task, case.seed)
    assert any(one.calls for one in found)
    assert bool(found[0].prompt.tools) == native
    turns = [t for t in env.observe().conversation.turns if t.role == "assistant"]
    for one, row, turn in zip(found, tokenise(model, found), turns, strict=True):
        text = model.renderer.tokenizer.decode(row.answer[:-1])
        read = read_turn(text, env.observe().conversation.tools)
        assert calls_of(read) == turn.calls == one.calls or (not one.calls and text == turn.text)


def test_what_can_not_be_trained_is_refused_in_one_line(tiny: Path, lamp: None, tmp_path: Path) -> None:
    def refused(**changes: Any) -> str:
        with pytest.raises((ConfigError, ModelError)) as caught:
            prepare_clone(settings(tiny, tmp_path / "never", **changes))
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "no oracle" in refused(env="android")
    assert "leave out env or suite" in refused(suite=["atomic"])
    assert "did you mean 'atomic'" in refused(env=None, suite=["atomik"])
    assert "layer 7" in refused(layers="7")
    assert "no such matrix" in refused(targets=["qkv"])
    assert "no prompt style" in refused(style=tmp_path / "none.json")
    assert "no adapter_config.json" in refused(adapter=tmp_path)
    with pytest.raises(ValueError, match="give all, or layer numbers"):
        settings(tiny, tmp_path, layers="focal")
    assert not (tmp_path / "never").exists()
