"""The planner's training data: plans parse, are consistent and respect the splits. Also a short training run."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest

from homeostat.agent import TransformersModel
from homeostat.controllers import OPERATIONS, parse_plan, plan_schema
from homeostat.envs.phone.apps import APPS, BASIC
from homeostat.envs.phone.tasks.base import NotPossible
from homeostat.envs.phone.tasks.composed import COMPOSED
from homeostat.envs.phone.tasks.fill import fill
from homeostat.envs.phone.tasks.splits import templates_of
from homeostat.envs.phone.tasks.words import is_drawn, split_of
from homeostat.nano.planner_model import build_planner
from homeostat.nano.plans.corpus import planning_examples
from homeostat.nano.plans.ellipsis import about_one_thing, alike
from homeostat.nano.plans.scenes import scenes_of, told
from homeostat.nano.plans.speech import Speaker
from homeostat.nano.style import PLANNER_STYLE
from homeostat.nano.training.planner import train_planner


@pytest.fixture(scope="module")
def examples() -> list[tuple[str, str]]:
    source = planning_examples(random.Random(5))
    return [next(source) for _ in range(1500)]


def test_every_plan_parses_and_fits_the_schema(examples: list[tuple[str, str]]) -> None:
    import jsonschema

    validator = jsonschema.Draft202012Validator(plan_schema())
    kinds = set()
    for _, text in examples:
        plan = parse_plan(text)
        validator.validate(json.loads(text))
        kinds |= {s.compute for s in plan.subtasks} | {bool(s.when) for s in plan.subtasks}
        kinds |= {"say" for s in plan.subtasks if s.say}
    assert {"sum", "difference", "largest", "name of the smallest", "above", "below", "equal", "say", True} <= kinds


def test_no_word_of_dev_or_test_stands_in_a_training_goal(examples: list[tuple[str, str]]) -> None:
    """Exceptions: words of a training template's own text (a budget), and words of an opening (for the party)."""
    said = {w for t in templates_of("train").values() for g in (*t.goals, t.noun) for w in re.findall(r"[a-z]+", g)}
    for goal, _ in examples:
        for word in re.findall(r"[a-z]+", goal):
            if is_drawn(word) and word not in said | {"money", "party"}:
                assert split_of(word) == "train", (word, goal)


def test_no_sentence_of_the_test_goals_is_a_training_goal(examples: list[tuple[str, str]]) -> None:
    frames = {re.sub(r"\{[^}]*\}", "*", goal) for template in COMPOSED.values() for goal in template.goals}
    patterns = [re.compile(re.escape(frame).replace(r"\*", ".+")) for frame in frames]
    for goal, text in examples:
        if len(json.loads(text)["parts"]) > 2:
            assert not any(pattern.fullmatch(goal) for pattern in patterns), goal


def test_held_out_patterns_are_not_shown_in_training() -> None:
    shown = {goal for scene in scenes_of("train") for goal in scene.goals}
    held = {goal for scene in scenes_of("dev") for goal in scene.goals}
    assert len(held) > 60
    assert not shown & held
    source = planning_examples(random.Random(3), "dev", scenes="dev")
    assert all(parse_plan(plan).subtasks for _, plan in (next(source) for _ in range(100)))


def test_a_plan_says_every_word_that_the_goal_gave_it() -> None:
    """Each drawn word of a scene's subtasks is in its goal, so the planner has nothing to guess."""
    rng = random.Random(9)
    world = fill(rng, "train", tuple(app for app in APPS if app not in BASIC))
    speaker = Speaker(rng, world, list(templates_of("train").values()))
    plain = {w for t in templates_of("train").values() for g in t.goals for w in re.findall(r"[a-z0-9:$]+", g)}
    plain |= {w for operation in OPERATIONS for w in operation.split()} | {"compute", "instruction", "when", "say"}
    checked = 0
    for scene in scenes_of("train") + scenes_of("dev"):
        for _ in range(4):
            try:
                goal, parts = told(speaker, scene)
            except NotPossible:
                continue
            said = set(re.findall(r"[a-z0-9:$]+", goal))
            for word in re.findall(r"[a-z]{4,}|[0-9:$]{4,}", json.dumps(parts)):
                span = re.fullmatch(r"0\d:\d\d", word) and ("minutes" in goal or "hour" in goal)
                assert span or word in said | plain or any(word in one for one in said), (goal, parts, word)
            checked += 1
    assert checked > 500


def test_what_is_left_out_is_put_back() -> None:
    rng = random.Random(11)
    world = fill(rng, "train", tuple(app for app in APPS if app not in BASIC))
    speaker = Speaker(rng, world, list(templates_of("train").values()))
    shorter = 0
    for make in (alike, about_one_thing) * 150:
        try:
            goal, parts = make(speaker)
        except NotPossible:
            continue
        assert 2 <= len(parts) <= 3
        assert len(set(parts)) == len(parts)
        shorter += len(goal.split()) < sum(len(part.split()) for part in parts)
    assert shorter > 100


def test_plans_are_new_from_seed_to_seed_and_the_same_for_one(examples: list[tuple[str, str]]) -> None:
    source = planning_examples(random.Random(5))
    assert [next(source) for _ in range(20)] == examples[:20]
    assert len({goal for goal, _ in examples}) > 0.95 * len(examples)


def test_the_planner_is_nano_s_language_model_until_it_is_trained() -> None:
    import torch

    planner, tokenizer = build_planner("homeostat/nano")
    nano = TransformersModel.load("homeostat/nano")
    ids = nano.renderer.tokenizer("goal: turn on wifi", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        mine = planner.eval()(ids).logits
        nanos = nano.model(input_ids=ids).logits
    torch.testing.assert_close(
        mine[..., : len(nano.renderer.tokenizer)], nanos[..., : len(nano.renderer.tokenizer)], atol=2e-3, rtol=0
    )
    text = '{"parts": [{"compute": "sum", "of": ["{1}", "{2}"]}, "note {3}", {"instruction": "x", "when": "not 4"}]}'
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_a_few_steps_lower_the_loss_and_the_folder_plans(tmp_path: Path) -> None:
    out = tmp_path / "planner"
    figures = train_planner("homeostat/nano", out, minutes=5, size=8, max_steps=40, workers=0)
    assert figures["loss_last"] < figures["loss_first"]
    model = TransformersModel.load(out)
    own = model.style.planner_words
    assert {"note", "delete"} <= set(own)
    assert model.style == PLANNER_STYLE.model_copy(update={"planner_words": own})
    from homeostat.agent.prompts import plan_prompt

    prompt = plan_prompt(model.style, goal="turn on wifi, then open notes", rules=())
    (attempt,) = model.generate(prompt, schema=plan_schema(), max_new_tokens=400)
    assert attempt.finish == "stop"
    json.loads(attempt.text)
