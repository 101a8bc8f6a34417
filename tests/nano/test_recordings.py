"""Recordings as training data: packed rows equal what the agent renders. Also a short training run."""

import random
from itertools import islice

import pytest
import torch

from homeostat.envs.mobile_use import parse_action
from homeostat.envs.phone.recordings import RecordingEnv, further_questions, recording_question
from homeostat.nano.checkpoints import save_model
from homeostat.nano.data.packing import IGNORE, KINDS, Packer
from homeostat.nano.data.recordings import recording_examples
from homeostat.nano.model import build_model
from homeostat.nano.processor import build_processor
from homeostat.nano.style import STYLE
from homeostat.nano.training.losses import hidden_states, losses
from homeostat.nano.training.phone import fine_tune_phone
from homeostat.sensors.chat.rendering import Renderer


@pytest.fixture(scope="module")
def processor():
    return build_processor()


@pytest.fixture(scope="module")
def model(processor):
    torch.manual_seed(0)
    return build_model(processor.tokenizer, width=64, layers=2).eval()


@pytest.fixture(scope="module")
def examples():
    return list(islice(recording_examples(random.Random(2), STYLE, "dev"), 2))


@torch.no_grad()
def test_packed_logits_equal_those_of_each_question_alone(processor, model, examples):
    batch = Packer(processor).recordings(examples)
    assert len(batch.pixels) == sum(len(e.frames) for e in examples)
    packed = model.lm_head(hidden_states(model, batch)[0])
    renderer, compared = Renderer(processor), 0
    for row, example in enumerate(examples):
        for branch, question in enumerate(example.questions, start=1):
            alone = model(**renderer.render(question.prompt).inputs).logits[0, -1]
            mine = (batch.branch[row] == branch) & (batch.labels[row] != IGNORE)
            assert torch.allclose(packed[row, mine.nonzero()[0, 0]], alone, atol=2e-4)
            assert (batch.kinds[row][mine] == KINDS.index("watch")).all()
            assert processor.tokenizer.decode(batch.labels[row][mine]) == question.answer + "<|end|>"
            compared += 1
    assert compared >= 4
    parts = losses(model, batch, torch.tensor(Packer(processor).places()), read_only=False)
    assert all(torch.isfinite(value) for value in parts.values())
    assert parts["match"] == 0  # the text on frames is unknown
    assert parts["point"] > 0


def test_the_answer_is_what_the_environment_takes_for_right(examples):
    env, rng = RecordingEnv("recording_value", split="train"), random.Random(4)
    env.reset_task(seed=7)
    first = recording_question("train", "value", 7)
    for about in (first, *further_questions(first.recording, "train", rng, 40)):
        assert about.recording is first.recording
        assert len(set(about.options)) == 4
    example = next(e for e in recording_examples(random.Random(1), STYLE, "train", further=0))
    action = parse_action(example.questions[0].answer, STYLE.grid(env.observe()))
    env.reset_task("recording_order", seed=random.Random(1).randrange(2**31))
    env.act(action)
    assert env.success()


def test_a_short_training_writes_a_model(tmp_path, processor, model):
    save_model(tmp_path / "tiny", model.float(), processor)
    figures = fine_tune_phone(
        str(tmp_path / "tiny"), tmp_path / "out", minutes=5, recordings=1, screens=2, max_steps=3, workers=0
    )
    assert (tmp_path / "out" / "model.safetensors").exists()
    assert 0 <= figures["watch"] <= 1
    assert figures["loss_last"] > 0
