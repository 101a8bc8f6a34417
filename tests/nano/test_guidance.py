"""Guided attention: the supervised attention is the model's own, and its target is the word that was named."""

import json
import random

import pytest
import torch

from homeostat.nano.data.mix import Mix
from homeostat.nano.data.packing import Packer
from homeostat.nano.data.screens import screen_examples
from homeostat.nano.model import build_model
from homeostat.nano.processor import build_processor
from homeostat.nano.style import STYLE
from homeostat.nano.training.guidance import guidance_losses, log_attention, matches, points
from homeostat.nano.training.losses import hidden_states
from homeostat.sensors.chat.rendering import Renderer


@pytest.fixture(scope="module")
def processor():
    return build_processor()


@pytest.fixture(scope="module")
def model(processor):
    torch.manual_seed(0)
    return build_model(processor.tokenizer, width=128, layers=3).eval()


@pytest.fixture(scope="module")
def example():
    shown = screen_examples(random.Random(8), STYLE, Mix(other_goals=4, where=3), "dev")
    return next(e for e in shown if any('"type"' in q.answer for q in e.questions))


@pytest.fixture(scope="module")
def batch(processor, example):
    (batch,) = Packer(processor).batches([example], [], 1)
    return batch


@torch.no_grad()
def test_the_guided_attention_is_what_eager_attention_pays(processor, model, batch, example):
    _, inputs, _ = hidden_states(model, batch)
    prefix = int((batch.branch[0] == 0).sum())
    model.set_attn_implementation("eager")
    try:
        for layer, head in ((1, 0), (2, 1)):
            mine = log_attention(model, layer, head, inputs[layer], batch)[0].exp()
            for n, question in enumerate(example.questions, start=1):
                rendered = Renderer(processor).render(question.prompt).inputs
                eager = model(**rendered, output_attentions=True).attentions[layer][0, head]
                at = (batch.branch[0] == n).nonzero()[:, 0][: eager.shape[0] - prefix]
                seen = torch.cat([torch.arange(prefix), at])
                assert torch.allclose(mine[at][:, seen], eager[prefix:], atol=1e-5)
                assert torch.allclose(mine[at].sum(-1), torch.ones(len(at)), atol=1e-5)
    finally:
        model.set_attn_implementation("sdpa")


def test_a_words_characters_are_sent_to_the_patches_that_show_them_after_the_same_beginning(processor, batch, example):
    """Computes the targets independently, from the decoded text and the screen's words."""
    right, tokenizer = matches(batch)[0], processor.tokenizer
    first = int((batch.input_ids[0] == tokenizer.convert_tokens_to_ids("<image>")).nonzero()[0, 0])
    sent = 0
    for n in range(1, len(example.questions) + 1):
        at = (batch.branch[0] == n).nonzero()[:, 0].tolist()
        for i, position in enumerate(at):
            text = tokenizer.decode(batch.input_ids[0][at[: i + 1]])
            # the text after the last character that is not part of a word
            word = text[max(text.rfind(c) for c in ' ?>"]\n') + 1 :].rstrip(".:,;")
            ends_here = word and text.endswith(word) and any(c.isalnum() for c in word[-2:])
            expected = {first + r * 9 + c for (c, r), w in example.patches.items() if ends_here and w == word}
            assert set(right[position].nonzero()[:, 0].tolist()) == expected, text
            sent += bool(expected)
    assert sent >= 5


def test_an_answer_is_sent_to_the_patch_it_names_or_the_word_it_copies(processor, batch, example):
    """Computes the targets independently: a place is its own patch, a word is in the question or on the screen."""
    right, tokenizer = points(batch)[0], processor.tokenizer
    first = int((batch.input_ids[0] == tokenizer.convert_tokens_to_ids("<image>")).nonzero()[0, 0])
    places, words = 0, 0
    for n in range(1, len(example.questions) + 1):
        at = (batch.branch[0] == n).nonzero()[:, 0].tolist()
        for i in at:
            sources = set(right[i].nonzero()[:, 0].tolist())
            if batch.labels[0, i] == -100:
                assert not sources
                continue
            said = tokenizer.decode(batch.labels[0, i])
            if said.startswith("[") and len(said) > 1:
                x, y = json.loads(said)
                assert sources == {first + y // 16 * 9 + x // 16}
                places += 1
            for j in sources - {first + k for k in range(144)}:
                assert j in at
                assert j <= i
                there, here = (tokenizer.decode(t[0, k]) for t, k in ((batch.input_ids, j), (batch.labels, i)))
                assert there.strip() == here.strip()  # a whole word has one token after a space and one elsewhere
                words += 1
    assert places >= 3
    assert words >= 1


def test_a_step_down_the_loss_moves_attention_to_the_right_positions(model, batch):
    def total() -> torch.Tensor:
        return sum(guidance_losses(model, hidden_states(model, batch)[1], batch).values())

    before = total()
    gradients = torch.autograd.grad(before, list(model.parameters()), allow_unused=True)
    with torch.no_grad():
        kept = [p.clone() for p in model.parameters()]
        for p, g in zip(model.parameters(), gradients, strict=True):
            if g is not None:
                p -= 0.05 * g / g.norm().clamp(min=1e-6)
        after = total()
        for p, old in zip(model.parameters(), kept, strict=True):
            p.copy_(old)
    assert after < before
    names = [n for (n, _), g in zip(model.named_parameters(), gradients, strict=True) if g is not None]
    assert any("language_model.layers.1.self_attn.q_proj" in n for n in names)
    assert not any("language_model.layers.2.mlp" in n for n in names)
