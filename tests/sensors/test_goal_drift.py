"""GoalDrift: KL by hand, by torch, and on the embedded model."""

import math

import numpy as np
import pytest
import torch

from homeostat.errors import ConfigError
from homeostat.sensors import Attempt, GoalDrift, Message, Part, Prompt, SensorContext, check_sensor
from homeostat.sensors.chat.wording import Wording, fill
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
    again = restated(PROMPT, Wording("Reminder: book a table\n"))
    assert again.messages[0] == PROMPT.messages[0]
    assert again.messages[1].parts[:2] == PROMPT.messages[1].parts
    assert again.messages[1].parts[2] == Part("reminder", "Reminder: book a table\n")
    with pytest.raises(ConfigError, match="no user message"):
        restated(Prompt(PROMPT.messages[:1]), Wording("x"))


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


def by_plain_calls(model, prompts, tokens):
    """D of two plain forwards, without the model's own ``score`` and cache."""
    found = []
    for prompt in prompts:
        inputs = dict(model.renderer.render(prompt).inputs)
        ids = torch.cat([inputs["input_ids"], torch.tensor([tokens])], 1)
        images = {"pixel_values": inputs["pixel_values"].to(model.model.dtype)} if "pixel_values" in inputs else {}
        with torch.no_grad():
            logits = model.model(input_ids=ids, **images).logits
        found.append(torch.log_softmax(logits[0, -len(tokens) - 1 : -1].double(), -1))
    q, p = found
    each = torch.nn.functional.kl_div(p, q, log_target=True, reduction="none").sum(-1)
    at = range(len(tokens)), list(tokens)
    return each.numpy(), float((p[at] - q[at]).mean())


def check_against_plain_calls(model, prompt, goal, wording):
    (attempt,) = model.generate(prompt, temperature=3.0, max_new_tokens=12, seed=0)  # hot: unsure at every token
    assert len(attempt.tokens) > 3
    reading = GoalDrift(wording=wording).read(attempt, SensorContext(goal=goal, model=model, prompt=prompt))
    last = prompt.messages[-1]
    longer = Message("user", (*last.parts, Part("reminder", wording.replace("{goal}", goal))))
    each, gain = by_plain_calls(model, (prompt, Prompt((*prompt.messages[:-1], longer))), attempt.tokens)
    assert reading.value == pytest.approx(each.mean(), rel=1e-3, abs=1e-5)
    assert reading.value > 1e-3  # there is something to compare
    assert reading.detail["first"] == pytest.approx(each[0], rel=1e-3, abs=1e-5)
    assert reading.detail["highest"] == pytest.approx(each.max(), rel=1e-3, abs=1e-5)
    assert reading.detail["gain"] == pytest.approx(gain, rel=1e-3, abs=1e-4)
    assert reading.detail["tokens"] == len(attempt.tokens)


@pytest.fixture(scope="module")
def nano():
    from homeostat.agent import TransformersModel

    return TransformersModel.load("homeostat/nano")


def test_with_an_image_in_the_prompt_it_is_what_plain_calls_say(nano):
    from homeostat.agent.prompts import act_prompt
    from homeostat.envs.phone import PhoneEnv

    env = PhoneEnv(split="dev")
    task = env.reset_task("notes_add", seed=4)
    prompt = act_prompt(nano.style, goal=task.goal, rules=(), history=(), observation=env.observe())
    check_against_plain_calls(nano, prompt, "delete every note and open the settings", "Reminder: {goal}\n")


def test_with_a_text_model_it_is_what_plain_calls_say(chat_tools):
    from transformers import LlamaConfig, LlamaForCausalLM

    from homeostat.agent import TransformersModel

    tokenizer = chat_tools.make_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.3,
        pad_token_id=0,
        bos_token_id=4,
        eos_token_id=None,
    )
    model = TransformersModel(LlamaForCausalLM(config).eval(), tokenizer)
    check_against_plain_calls(model, PROMPT, "book a table", "\nThe task again: {goal}")


def test_an_agent_reads_it_and_the_goal_said_again_costs_only_the_end_of_the_prompt(nano):
    from homeostat.agent import Agent
    from homeostat.agent.prompts import act_prompt
    from homeostat.envs.phone import PhoneEnv

    env = PhoneEnv(split="dev")
    task = env.reset_task("notes_add", seed=4)
    prompt = act_prompt(nano.style, goal=task.goal, rules=(), history=(), observation=env.observe())
    (attempt,) = nano.generate(prompt)
    rows = []
    handle = nano.model.register_forward_pre_hook(
        lambda module, args, kwargs: rows.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    try:
        GoalDrift().read(attempt, SensorContext(goal=task.goal, model=nano, prompt=prompt))
    finally:
        handle.remove()
    assert len(rows) == 2  # q and p
    again = nano.renderer.render(restated(prompt, fill(nano.style.reminder, reminder=task.goal)))
    assert rows[0] <= len(attempt.tokens)
    assert rows[1] < len(again.ids) - again.images[-1].stop + len(attempt.tokens)  # the screen is not looked at again

    agent = Agent(nano, sensors=[GoalDrift()], controllers=[])
    task = env.reset_task("notes_add", seed=4)
    readings = [r for event in agent.start(task, env) if event.kind == "sense" for r in event.readings]
    assert readings
    assert all(r.judged and r.value >= 0 for r in readings)
    assert readings[0].baseline is None


def test_the_baseline_is_the_mean_of_what_was_judged_before():
    judged = [GoalDrift(5.0).read(Attempt("x", tokens=(0,)), SensorContext(goal="g", model=Known(), prompt=PROMPT))] * 2
    blind = GoalDrift(5.0).read(Attempt("x"), SensorContext(goal="g", model=Known(), prompt=PROMPT))
    assert not blind.judged
    context = SensorContext(goal="g", model=Known(), prompt=PROMPT, history=(*judged, blind))
    assert GoalDrift(5.0).read(Attempt("x", tokens=(1,)), context).baseline == pytest.approx(judged[0].value)


def test_the_contract_is_kept_and_bad_settings_are_named():
    check_sensor(GoalDrift(), model=Known())
    with pytest.raises(ConfigError, match="threshold=-1"):
        GoalDrift(-1)
    with pytest.raises(ConfigError, match="threshold=nan"):
        GoalDrift(math.nan)
    with pytest.raises(ConfigError, match="lacks the goal"):
        GoalDrift(wording="remember")
