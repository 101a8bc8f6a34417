"""Planner and reporter in the loop: plans made anew, facts, a model of their own, and answers held to a schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from homeostat.agent import Agent, TransformersModel, read_trace
from homeostat.agent.events import Planned, ScreenRead
from homeostat.controllers import Decompose, parse_plan, plan_schema
from homeostat.controllers.reports import parse_report, report_schema
from homeostat.errors import ModelError
from homeostat.sensors.chat.messages import Message, Part, Prompt

DONE = '{"action": "terminate", "status": "success"}'
CLICK = '{"action": "click", "coordinate": [2, 2]}'


class Killed(BaseException):
    """The process dies."""


def plan(*parts: Any, **more: Any) -> str:
    return json.dumps({"parts": parts, **more})


def test_the_scheduler_plans_reads_computes_and_finishes_with_a_model_of_its_own(
    tools: Any, lamp: Any, tmp_path: Path
) -> None:
    read = {"instruction": "look at the number", "save": "seen"}
    add = {"compute": "sum", "of": ["{seen}", "1"], "save": "next"}
    planner = tools.Scripted(
        [
            plan(read, add, {"instruction": "click"}),
            '{"facts": {"seen": "6"}}',
            plan(add, {"instruction": "click the lamp {next} times"}, {"say": "{next}"}),
            plan({"say": "{next}"}),
        ]
    )
    executor = tools.Scripted([DONE, CLICK, DONE, DONE])
    agent = Agent(executor, controllers=[Decompose.agent_nexus()], planner=planner)
    agent.run(lamp.reset_task("lamp_on"), lamp, run_folder=tmp_path / "run")

    assert [tools.words(p, "goal") for p in executor.prompts[:3]] == [
        "The task: look at the number\n",
        "The task: click the lamp 7 times\n",
        "The task: click the lamp 7 times\n",
    ]
    memory = tools.words(planner.prompts[2], "plan")
    assert memory == "Done: look at the number\nFailed: nothing\nKnown: seen = 6 (part 1)\n"
    assert "seen" in tools.words(planner.prompts[1], "goal")
    assert lamp.state["log"] == ["click", "answer", "terminate"]
    assert lamp.success()
    trace = read_trace(tmp_path / "run")
    assert trace.start.planner == "scripted"
    plans = [e.plan for e in trace.events if isinstance(e, Planned)]
    assert [(f.key, f.value, f.source) for f in plans[-1].facts] == [
        ("seen", "6", "report"),
        ("next", "7", "compute"),
    ]
    assert [e.report.facts for e in trace.events if isinstance(e, ScreenRead)] == [{"seen": "6"}]


def test_a_killed_run_knows_its_facts_when_it_goes_on(tools: Any, lamp: Any, tmp_path: Path) -> None:
    lines = [plan({"instruction": "look", "save": "seen"}, "click {seen} times")]
    planner = tools.Scripted(lines)
    answer = '{"action": "answer", "text": "seven"}'

    def die(call: int) -> None:
        if call == 3:
            raise Killed

    executor = tools.Scripted([answer, DONE, CLICK], die)
    agent = Agent(executor, controllers=[Decompose()], planner=planner)
    with pytest.raises(Killed):
        agent.run(lamp.reset_task("lamp_on"), lamp, run_folder=tmp_path / "run")
    second = tools.Scripted([CLICK, DONE])
    episode = Agent(second, controllers=[Decompose()], planner=planner).resume(tmp_path / "run", tools.Lamp()).result
    assert episode.ended == "success"
    assert tools.words(second.prompts[0], "goal") == "The task: click seven times\n"


def test_reports_are_read_from_what_models_write() -> None:
    assert parse_report('Sure: {"facts": {"a": 5, "b": null, "c": "x"}, "check": true}', ("a", "b")).facts == {"a": "5"}
    assert parse_report('{"check": false}', ()).check is False
    assert "no report in 'I see'" in parse_report("I see", ("a",)).error
    assert report_schema(("a",), check=True)["required"] == ["facts", "check"]


@pytest.fixture(scope="module")
def nano() -> TransformersModel:
    return TransformersModel.load("homeostat/nano")


def question(text: str) -> Prompt:
    return Prompt((Message("system", (Part("system", "you split goals."),)), Message("user", (Part("goal", text),))))


@pytest.mark.parametrize("goal", ["goal: qq zz xx", "goal: set a timer, then add the note milk", "goal: 1 2 3 4 5 6"])
@pytest.mark.parametrize("typed", [True, False])
def test_whatever_the_model_is_asked_its_plan_fits_the_schema(nano: Any, goal: str, typed: bool) -> None:
    import jsonschema

    schema = plan_schema(typed=typed)
    for seed in range(3):
        attempt = nano.generate(question(goal), temperature=1.5, seed=seed, schema=schema, max_new_tokens=1500)[0]
        assert attempt.finish == "stop"
        jsonschema.validate(json.loads(attempt.text), schema)


def test_the_schema_changes_nothing_that_fits_it_already(nano: Any) -> None:
    prompt = question("goal: turn on wifi, then start a timer of 5 minutes")
    free = nano.generate(prompt)[0]
    held = nano.generate(prompt, schema=plan_schema(typed=False))[0]
    assert held.text == free.text
    assert len(parse_plan(held.text).subtasks) == 2
    assert held.logprobs[-1] >= free.logprobs[-1] - 1e-5


def test_a_planner_with_words_of_its_own_copies_the_rest_from_the_goal() -> None:
    import jsonschema

    from homeostat.agent.prompts import plan_prompt, plan_words

    planner = TransformersModel.load("homeostat/nano-planner")
    goal = "put the quxzobanana into the cart. afterwards, write hrrumph! to zaphod-beeble"
    prompt = plan_prompt(planner.style, goal=goal, rules=("never delete anything",))
    words = plan_words(planner.style, prompt)
    assert {"quxzobanana", "hrrumph", "zaphod-beeble", "never", "note", "{1}"} - words == {"{1}"}
    schema = plan_schema(words=words)
    for seed in range(3):
        (attempt,) = planner.generate(prompt, temperature=1.5, seed=seed, schema=schema, max_new_tokens=900)
        assert attempt.finish == "stop"
        parts = json.loads(attempt.text)
        jsonschema.validate(parts, schema)
        said = []
        for part in parts["parts"]:
            whole = {"instruction": part} if isinstance(part, str) else part
            said += [whole.get("instruction", ""), whole.get("say", ""), *whole.get("of", [])]
        for word in " ".join(said).split():
            bare = word.strip(",.:;?!").removesuffix("'s")
            assert bare in words or bare.startswith("{"), word
    assert plan_words(TransformersModel.load("homeostat/nano").style, prompt) == frozenset()


def test_a_byte_level_tokenizer_is_held_too_in_every_row(tools: Any) -> None:
    import jsonschema
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = tools.make_tokenizer()
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    network = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **size, eos_token_id=tokenizer.eos_token_id))
    schema = report_schema(("a",), check=True)
    attempts = TransformersModel(network.eval(), tokenizer).generate(
        question("hello"), n=3, temperature=1.0, seed=1, schema=schema, max_new_tokens=600
    )
    for attempt in attempts:
        jsonschema.validate(json.loads(attempt.text), schema)


def test_a_schema_that_can_not_be_followed_is_named(nano: Any) -> None:
    with pytest.raises(ModelError, match="can't constrain decoding"):
        nano.generate(question("goal: x"), schema={"type": "nothing"})


def test_frames_are_shown_once_more_in_front_of_the_reminder() -> None:
    import numpy as np

    from homeostat.agent.prompts import VERBOSE, act_prompt
    from homeostat.observation import Observation

    frames = tuple(np.full((32, 24, 3), shade, np.uint8) for shade in (10, 20, 30))
    seen = Observation(frames[-1], (), "film", frames)
    ask = {"goal": "which?", "rules": (), "history": (), "observation": seen, "reminder": "look again"}
    prompt = act_prompt(VERBOSE, **ask, shown=("frame-2", "frame-9"))  # type: ignore[arg-type]
    labels = [part.label for part in prompt.messages[1].parts]
    assert labels == ["goal", "history", "frame-1", "frame-2", "frame-3", "evidence", "reminder"]
    evidence = next(part for part in prompt.messages[1].parts if part.label == "evidence")
    assert evidence.image is frames[1]
    plain = act_prompt(VERBOSE, **ask)  # type: ignore[arg-type]
    assert "evidence" not in [part.label for part in plain.messages[1].parts]
