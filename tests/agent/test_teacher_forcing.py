"""A forced answer: scores, readings and hidden states against plain calls of the model."""

import numpy as np
import pytest
import torch

from homeostat.agent import TransformersModel
from homeostat.agent.prompts import act_prompt
from homeostat.envs.phone import PhoneEnv
from homeostat.errors import ModelError
from homeostat.sensors import Readout


@pytest.fixture(scope="module")
def nano():
    return TransformersModel.load("homeostat/nano")


@pytest.fixture(scope="module")
def prompts(nano):
    env = PhoneEnv(split="dev")
    task = env.reset_task("notes_add", seed=3)
    made = []
    for reminder in ("", f"the goal: {task.goal}"):
        made.append(
            act_prompt(nano.style, goal=task.goal, rules=(), history=(), observation=env.observe(), reminder=reminder)
        )
    return made


def plain_logprobs(nano, prompt, tokens):
    inputs = dict(nano.renderer.render(prompt).inputs)
    ids = torch.cat([inputs["input_ids"], torch.tensor([tokens])], 1)
    with torch.no_grad():
        out = nano.model(input_ids=ids, pixel_values=inputs["pixel_values"].to(nano.model.dtype))
    return torch.log_softmax(out.logits[0, -len(tokens) - 1 : -1].float(), -1).numpy()


def test_scores_are_those_of_a_plain_call_with_and_without_a_shared_prefix(nano, prompts):
    first, second = prompts
    (attempt,) = nano.generate(first)
    tokens = list(attempt.tokens)
    assert len(tokens) > 3
    for prompt in (first, second, first):
        np.testing.assert_allclose(nano.score(prompt, tokens), plain_logprobs(nano, prompt, tokens), atol=2e-4)
    own = nano.score(first, tokens)[range(len(tokens)), tokens]
    np.testing.assert_allclose(own, attempt.logprobs, atol=2e-4)
    np.testing.assert_allclose(np.exp(nano.score(first, tokens)).sum(-1), 1, atol=1e-4)
    again = nano.generate(first)[0]
    assert again.tokens == attempt.tokens
    assert again.cached_tokens > 0


def test_a_forced_reading_is_that_of_the_generated_tokens(nano, prompts):
    nano.forget()
    readout = Readout(keys=frozenset({"goal"}), statistics=frozenset({"outputs"}))
    (attempt,) = nano.generate(prompts[0], watch=readout)
    forced = nano.read(prompts[0], attempt.tokens, readout)
    np.testing.assert_allclose(forced.mass, attempt.spans.mass, atol=2e-5)
    np.testing.assert_allclose(forced.keys["goal"], attempt.spans.keys["goal"], atol=2e-5)
    np.testing.assert_allclose(forced.outputs, attempt.spans.outputs, atol=2e-4)
    assert attempt.prompt_ids == tuple(nano.renderer.render(prompts[0]).ids)
    assert forced.spans["goal"] == nano.renderer.render(prompts[0]).as_spans()["goal"]


def test_hidden_states_enter_each_layer(nano, prompts):
    states = nano.hidden(prompts[0])
    seen = []
    layers = nano.model.model.language_model.layers
    hooks = [layer.register_forward_pre_hook(lambda _, args: seen.append(args[0][0].float())) for layer in layers]
    inputs = dict(nano.renderer.render(prompts[0]).inputs)
    try:
        with torch.no_grad():
            nano.model(input_ids=inputs["input_ids"], pixel_values=inputs["pixel_values"].to(nano.model.dtype))
    finally:
        for hook in hooks:
            hook.remove()
    assert states.shape[0] == len(layers) + 1
    np.testing.assert_allclose(states[:-1], torch.stack(seen).numpy(), atol=1e-4)


def test_no_tokens_are_refused(nano, prompts):
    for call in (nano.score, nano.read):
        with pytest.raises(ModelError, match=r"tokens=\(\).*at least one"):
            call(prompts[0], ())


def test_samples_on_top_of_a_cache_that_ends_before_the_image(nano, prompts):
    """The screen ends within the rows that are always run: what is cached is the system's part alone."""
    nano.forget()
    fresh = nano.generate(prompts[0], n=3, temperature=1.0, seed=5, max_new_tokens=6)
    nano.generate(prompts[0], max_new_tokens=6)
    cached = nano.generate(prompts[0], n=3, temperature=1.0, seed=5, max_new_tokens=6)
    assert [a.tokens for a in cached] == [a.tokens for a in fresh]
    for one, other in zip(cached, fresh, strict=True):
        np.testing.assert_allclose(one.logprobs, other.logprobs, atol=2e-4)
        np.testing.assert_allclose(one.spans.mass, other.spans.mass, atol=2e-5)


def test_pieces_are_the_text_that_each_token_adds(nano, prompts):
    (attempt,) = nano.generate(prompts[0])
    assert len(attempt.pieces) == len(attempt.tokens)
    whole = nano.renderer.tokenizer.decode(attempt.tokens, clean_up_tokenization_spaces=False)
    assert "".join(attempt.pieces) == whole
    assert attempt.text in whole
