"""GoalDrift: KL by hand, by torch, and on the embedded model."""

import math

import numpy as np
import pytest
import torch

from homeostat.envs.errors import ConfigError
from homeostat.sensors import Attempt, GoalDrift, Message, Part, Prompt, SensorContext, check_sensor
from homeostat.sensors.goal_drift import divergence, restated

PROMPT = Prompt(
    (
        Message("system", (Part("system", "act"),)),
        Message("user", (Part("goal", "the task: book a table"), Part("history", "nothing"))),
    )
)


class Known:
    """A model whose distributions are known: even without a reminder, sharp with one."""

    def __init__(self):
        self.asked = []

    def score(self, prompt, tokens):
        self.asked.append(prompt)
        said = "".join(part.text for message in prompt.messages for part in message.parts)
        row = ([0.5, 0.25, 0.25] if "Reminder" not in said else [0.9, 0.1, 0.0]) + [0.0] * 997
        with np.errstate(divide="ignore"):
            return np.log(np.array([row] * len(tokens), np.float32))


def test_kl_by_hand_and_by_torch():
    q, p = np.log([[0.5, 0.25, 0.25]]), np.log([[0.25, 0.25, 0.5]])
    assert divergence(q, p)[0] == pytest.approx(0.5 * math.log(2) + 0.25 * math.log(0.5))
    rng = torch.Generator().manual_seed(0)
    q, p = (torch.randn(7, 50, generator=rng).mul(3).log_softmax(-1) for _ in range(2))
    expected = torch.nn.functional.kl_div(p, q, log_target=True, reduction="none").sum(-1)
    np.testing.assert_allclose(divergence(q.numpy(), p.numpy()), expected.numpy(), rtol=1e-5)
    assert (divergence(q.numpy(), q.numpy()) == 0).all()


def test_what_q_never_says_costs_nothing_and_what_p_never_says_is_finite():
    with np.errstate(divide="ignore"):
        q, p = np.log([[1.0, 0.0]]), np.log([[0.5, 0.5]])
    assert divergence(q, p)[0] == pytest.approx(math.log(2))
    assert 1e3 < divergence(p, q)[0] < math.inf


def test_the_goal_comes_again_at_the_very_end():
    again = restated(PROMPT, "Reminder: book a table\n")
    assert again.messages[0] == PROMPT.messages[0]
    assert again.messages[1].parts[:2] == PROMPT.messages[1].parts
    assert again.messages[1].parts[2] == Part("reminder", "Reminder: book a table\n")
    with pytest.raises(ConfigError, match="no message of the user"):
        restated(Prompt(PROMPT.messages[:1]), "x")


def test_the_reading_of_known_distributions():
    model = Known()
    context = SensorContext(goal="book a table", model=model, prompt=PROMPT)
    attempt = Attempt("tap", tokens=(0, 1))
    reading = GoalDrift(0.1).read(attempt, context)
    assert [len(p.messages[1].parts) for p in model.asked] == [2, 3]
    assert model.asked[1].messages[1].parts[2].text == "Reminder: book a table\n"
    by_hand = 0.5 * math.log(0.5 / 0.9) + 0.25 * math.log(0.25 / 0.1) + 0.25 * (math.log(0.25) + 1e4)
    assert reading.value == pytest.approx(by_hand, rel=1e-4)
    assert reading.detail["gain"] == pytest.approx((math.log(0.9 / 0.5) + math.log(0.1 / 0.25)) / 2, rel=1e-4)
    assert reading.alarm
    custom = GoalDrift(wording="Reminder! {goal}").read(attempt, context)
    assert custom.judged
    assert model.asked[-1].messages[1].parts[2].text == "Reminder! book a table"
    for blind in (SensorContext(goal="g", model=model), SensorContext(goal="g", prompt=PROMPT)):
        assert not GoalDrift().read(attempt, blind).judged
    alone = SensorContext(goal="g", model=model, prompt=Prompt(PROMPT.messages[:1]))
    assert not GoalDrift().read(attempt, alone).judged


def test_on_the_embedded_model_it_is_what_torch_says_of_both_prompts():
    from homeostat.agent import Agent, TransformersModel
    from homeostat.agent.prompts import act_prompt
    from homeostat.envs.phone import PhoneEnv

    model = TransformersModel.load("homeostat/nano")
    env = PhoneEnv(split="dev")
    task = env.reset_task("notes_add", seed=4)
    prompt = act_prompt(model.style, goal=task.goal, rules=(), history=(), observation=env.observe())
    (attempt,) = model.generate(prompt)
    same = GoalDrift().read(attempt, SensorContext(goal=task.goal, model=model, prompt=prompt))
    expected = restated(prompt, model.style.reminder.format(reminder=task.goal))
    q, p = (torch.from_numpy(model.score(one, attempt.tokens)) for one in (prompt, expected))
    by_torch = torch.nn.functional.kl_div(p, q, log_target=True, reduction="none").sum(-1).mean()
    assert same.value == pytest.approx(float(by_torch), rel=0.05, abs=1e-6)

    agent = Agent(model, sensors=[GoalDrift()], controllers=[])
    task = env.reset_task("notes_add", seed=4)
    readings = [r for event in agent.stream(task, env) if event.kind == "sense" for r in event.readings]
    assert readings
    assert all(r.judged for r in readings)


def test_the_contract_is_kept_and_bad_settings_are_named():
    check_sensor(GoalDrift(), model=Known())
    with pytest.raises(ConfigError, match="threshold=-1"):
        GoalDrift(-1)
    with pytest.raises(ConfigError, match="says no goal"):
        GoalDrift(wording="remember")
