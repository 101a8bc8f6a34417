"""Packing: a branch equals what the agent's renderer gives for that one question alone."""

import random

import pytest
import torch

from homeostat.agent.models.branches import branch_mask
from homeostat.envs.phone.tasks.words import NAMES, NOUNS
from homeostat.nano.data.mix import Mix
from homeostat.nano.data.packing import Packer
from homeostat.nano.data.planner_questions import plan_examples
from homeostat.nano.data.screens import screen_examples
from homeostat.nano.model import build_model
from homeostat.nano.processor import build_processor, place_token
from homeostat.nano.style import STYLE
from homeostat.nano.training.losses import hidden_states, losses
from homeostat.sensors.chat.rendering import Renderer


@pytest.fixture(scope="module")
def processor():
    return build_processor()


@pytest.fixture(scope="module")
def model(processor):
    torch.manual_seed(0)
    return build_model(processor.tokenizer, width=64, layers=2).eval()


@pytest.fixture(scope="module")
def batch_and_examples(processor):
    screens = screen_examples(random.Random(3), STYLE, Mix(), "dev")
    examples = [next(screens) for _ in range(3)]
    plans = plan_examples(random.Random(4), STYLE, "dev")
    asked = [next(plans) for _ in range(2)]
    (batch,) = Packer(processor).batches(examples, asked, 3)
    return batch, sorted(examples, key=lambda e: len(Packer(processor).screen(e))), asked


@torch.no_grad()
def test_packed_logits_equal_those_of_each_question_alone(processor, model, batch_and_examples):
    batch, examples, plans = batch_and_examples
    hidden, _, _ = hidden_states(model, batch)
    packed = model.lm_head(hidden)
    renderer = Renderer(processor)
    compared = 0
    for row, questions in [*enumerate(e.questions for e in examples), (len(examples), plans)]:
        for branch, question in enumerate(questions, start=1):
            inputs = renderer.render(question.prompt).inputs
            alone = model(**inputs).logits[0, -1]
            first = ((batch.branch[row] == branch) & (batch.labels[row] != -100)).nonzero()[0, 0]
            assert torch.allclose(packed[row, first], alone, atol=2e-4), question
            compared += 1
    assert compared >= 15


def test_labels_spell_the_answers(processor, batch_and_examples):
    batch, examples, _ = batch_and_examples
    for row, example in enumerate(examples):
        for branch, question in enumerate(example.questions, start=1):
            mine = (batch.branch[row] == branch) & (batch.labels[row] != -100)
            assert processor.tokenizer.decode(batch.labels[row][mine]) == question.answer + "<|end|>"


def test_patch_targets_are_what_is_written(processor, batch_and_examples):
    batch, examples, _ = batch_and_examples
    for targets, example in zip(batch.patches, examples, strict=True):
        for (column, row), word in example.patches.items():
            characters = word[-1:] if len(word) % 2 else word[-2:]
            token = targets[row * 9 + column].item()
            assert token != -100
            assert processor.tokenizer.convert_ids_to_tokens(token) == characters


def test_the_mask_lets_a_branch_see_the_prefix_and_itself():
    seen = branch_mask(torch.tensor([[0, 0, 1, 1, 2, -1]]))[0, 0].int().tolist()
    assert seen == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 0, 0, 1, 0],
        [1, 1, 0, 0, 0, 1],
    ]


def test_both_losses_reach_every_parameter_they_should(processor, model, batch_and_examples):
    batch, _, _ = batch_and_examples
    places = torch.tensor(Packer(processor).places())
    read = losses(model, batch, places, read_only=True)["read"]
    parts = losses(model, batch, places, read_only=False)
    assert set(parts) == {"answer", "match", "point", "read"}
    assert torch.allclose(parts["read"], read, atol=1e-5)
    gradients = torch.autograd.grad(parts["answer"], list(model.parameters()), allow_unused=True)
    unused = [n for (n, _), g in zip(model.named_parameters(), gradients, strict=True) if g is None]
    assert all("post_layernorm" in n for n in unused), unused


def test_the_tokenizer_cuts_words_as_the_screen_does(processor):
    tokens = processor.tokenizer.tokenize("almond wi-fine 07:30 $12 milk.")
    pairs = ["al", "mo", "nd", " ", "wi", "-f", "in", "e", " ", "07", ":3", "0", " ", "$1", "2", " ", "mi", "lk", "."]
    assert tokens == pairs
    assert processor.tokenizer.tokenize(f"click {place_token(2, 6)}")[-1] == "[40, 104]"


def test_common_words_are_one_token_and_no_content_is(processor):
    tokenizer = processor.tokenizer
    assert tokenizer.tokenize("turn on wi-fi at the alarm") == ["turn", " on", " wi-fi", " at", " the", " alarm"]
    assert tokenizer.tokenize("then other") == ["then", " ", "ot", "he", "r"]  # never inside a longer word
    for word in (*NAMES, *NOUNS):
        assert "".join(tokenizer.tokenize(word)) == word
        assert all(len(t) <= 2 for t in tokenizer.tokenize(word)), word
        assert tokenizer.tokenize(f"a {word}")[1:] == [" ", *tokenizer.tokenize(word)], word


def test_every_goal_and_answer_survives_the_tokenizer(processor, batch_and_examples):
    _, examples, plans = batch_and_examples
    for question in (*(q for e in examples for q in e.questions), *plans):
        for text in (*(p.text for m in question.prompt.messages for p in m.parts), question.answer):
            assert processor.tokenizer.decode(processor.tokenizer(text)["input_ids"]) == text
