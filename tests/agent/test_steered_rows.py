"""Rows of a changing batch that are steered, or held to a schema: their answers and readings are those alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from homeostat import Agent, TransformersModel
from homeostat.agent.events import Sense
from homeostat.agent.loop.limits import LoopLimits
from homeostat.agent.models.generation import GenerationCall
from homeostat.agent.models.prefix_pool import PrefixPool
from homeostat.agent.models.rolling_batch import RollingBatch
from homeostat.agent.models.rows import Row
from homeostat.agent.models.shared_model import SharedModel
from homeostat.agent.request_env import RequestEnv
from homeostat.controllers import Steer
from homeostat.conversation import Conversation
from homeostat.envs.core import TaskInfo
from homeostat.errors import ConfigError
from homeostat.sensors import Actuator, Attempt, Prompt
from homeostat.sensors.steering.actuators import Centric

SYSTEMS = ["open the settings", "click the screen and go home, nothing else", "done", "turn it on so far"]
SCHEMA = {
    "type": "object",
    "properties": {"on": {"type": "boolean"}},
    "required": ["on"],
    "additionalProperties": False,
}
HEADS = frozenset(((0, 1), (1, 0), (1, 3)))
GAIN = (Actuator("system", gain=20.0, heads=HEADS),)
MASS = (Actuator("user", target=0.6, rows="output"), Actuator("system", scale=0.2, layers=frozenset((2,))))
RULES: list[tuple[Actuator, ...]] = [
    (),
    GAIN,
    MASS,
    (*MASS[:1], *GAIN),
    (Actuator("system", stretch=2.0), Actuator("user", floor=0.7)),
    (Actuator("user", scale=3.0, to="system", after="system"),),
    (Actuator("system", target=0.5, raise_only=True, where=Centric("user", least=0.0, most=1.0)),),
    (Actuator("system", gain=0.05, reach="outside"), Actuator(None, output=0.5, heads=frozenset(((2, 2),)))),
    GAIN,
]


@pytest.fixture
def model(tiny_qwen3: Any) -> TransformersModel:
    made: TransformersModel = tiny_qwen3()
    return made


def prompt(number: int) -> Prompt:
    system = SYSTEMS[number % len(SYSTEMS)]
    user = "turn the screen on and click it " * (1 + number % 3)
    return Prompt.from_chat([{"role": "system", "content": system}, {"role": "user", "content": user}])


def row(model: TransformersModel, number: int, tokens: int, **settings: Any) -> Row:
    asked = prompt(number)
    return Row(asked, GenerationCall(max_new_tokens=tokens, **settings), rendered=model.renderer.render(asked))


def played(model: TransformersModel, groups: Sequence[Sequence[Row]], slots: int) -> list[Any]:
    """The answers of rows that come in groups, each as soon as there is place."""
    waiting, found = [list(group) for group in groups], {}

    def source(room: int, running: bool) -> list[Row]:
        if not waiting:
            return []
        new, rest = waiting[0][:room], waiting[0][room:]
        waiting[:1] = [rest] if rest else []
        return new

    def done(one: Row, answers: Any) -> None:
        found[id(one)] = answers[0] if isinstance(answers, list) else answers

    RollingBatch(model, PrefixPool(model.model.config, 8), slots).run(source, done)
    return [found[id(one)] for group in groups for one in group]


def alone(model: TransformersModel, one: Row) -> Attempt:
    call = one.call
    (found,) = model.generate(
        one.prompt, max_new_tokens=call.max_new_tokens, watch=call.watch, steer=call.steer, schema=call.schema
    )
    return found


def assert_equal(found: Attempt, other: Attempt) -> None:
    assert (found.tokens, found.text, found.finish) == (other.tokens, other.text, other.finish)
    np.testing.assert_allclose(found.logprobs, other.logprobs, atol=1e-4)
    assert (found.spans is None) == (other.spans is None)
    if found.spans is not None and other.spans is not None:
        for name in ("mass", "prompt_mass", "sink", "lengths"):
            np.testing.assert_allclose(getattr(found.spans, name), getattr(other.spans, name), atol=1e-5, err_msg=name)


@pytest.mark.parametrize("slots", [2, 4, 9])
def test_steered_rows_have_the_answers_and_readings_that_they_have_alone(model: TransformersModel, slots: int) -> None:
    lengths = [9, 14, 6, 11, 8, 17, 5, 12, 7]
    rows = [
        row(model, number, tokens, steer=rules, watch=number != 3)
        for number, (rules, tokens) in enumerate(zip(RULES, lengths, strict=True))
    ]
    found = played(model, [rows[:3], rows[3:4], rows[4:8], rows[8:]], slots)
    for one, answer in zip(rows, found, strict=True):
        assert_equal(answer, alone(model, one))
    bare = [alone(model, row(model, number, tokens)) for number, tokens in enumerate(lengths)]
    assert sum(answer.tokens != other.tokens for answer, other in zip(found, bare, strict=True)) >= 4


def test_a_row_behind_a_steered_one_starts_from_nothing_that_was_steered(model: TransformersModel) -> None:
    first, second = row(model, 2, 6, steer=GAIN), row(model, 2, 6)
    (_, after) = played(model, [[first], [second]], 1)
    assert_equal(after, alone(model, second))
    assert after.cached_tokens == 0


def test_rows_with_a_schema_share_a_batch(model: TransformersModel) -> None:
    rows = [
        row(model, 0, 40, schema=SCHEMA),
        row(model, 1, 9),
        row(model, 2, 40, schema=SCHEMA, steer=GAIN),
        row(model, 3, 12),
    ]
    found = played(model, [rows], 4)
    for one, answer in zip(rows, found, strict=True):
        assert_equal(answer, alone(model, one))
    for answer in (found[0], found[2]):
        assert isinstance(json.loads(answer.text)["on"], bool)


def test_a_row_that_can_not_be_steered_fails_alone(model: TransformersModel) -> None:
    bad = row(model, 0, 5, steer=(Actuator("nowhere", gain=2.0),))
    worse = row(model, 1, 5, steer=(Actuator("user", gain=2.0, heads=frozenset(((0, 9),))),))
    rows = [row(model, 2, 8, steer=GAIN), bad, worse, row(model, 3, 8)]
    found = played(model, [rows], 4)
    assert isinstance(found[1], ConfigError)
    assert "no span 'nowhere'" in str(found[1])
    assert isinstance(found[2], ConfigError)
    assert "head (0, 9)" in str(found[2])
    for number in (0, 3):
        assert_equal(found[number], alone(model, rows[number]))


def test_callers_of_a_shared_model_steer_side_by_side(model: TransformersModel) -> None:
    sizes: list[int] = []
    shared = SharedModel(model, rows=9, on_batch=sizes.append)
    sinks = (Actuator(None, sinks=0.2, scale=0.5),)
    rules = [*RULES, sinks]

    def asked(number: int) -> Attempt:
        with shared.caller() as mine:
            return mine.generate(prompt(number), max_new_tokens=30, steer=rules[number])[0]

    with ThreadPoolExecutor(len(rules)) as pool:
        found = list(pool.map(asked, range(len(rules))))
    shared.close()
    for number, answer in enumerate(found):
        (other,) = model.generate(prompt(number), max_new_tokens=30, steer=rules[number])
        assert_equal(answer, other)
    assert max(answer.batch for answer in found) > 1
    assert found[-1].batch == 1


@pytest.mark.parametrize("system", ["", "open the settings"])
def test_an_agent_leaves_out_an_actuator_whose_span_is_empty(model: TransformersModel, system: str) -> None:
    chat = ({"role": "system", "content": system}, {"role": "user", "content": "go home"})
    task = TaskInfo(name="t", goal="go home", rules=(), seed=0, optimal_steps=0, max_steps=1)
    steer = Steer(actuators=(Actuator("system", gain=50.0),), when="always")

    def text(*controllers: Steer) -> str:
        agent = Agent(model, [], controllers, limits=LoopLimits(max_new_tokens=8))
        run = agent.start(task, RequestEnv(Conversation(chat=chat), checks="nothing"))
        (attempt,) = [event for event in run if isinstance(event, Sense)]
        return attempt.text

    assert (text(steer) == text()) == (not system)
