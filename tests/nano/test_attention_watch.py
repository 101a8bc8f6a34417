"""Attention in the training loop: what is measured, what is written, and that training is the same."""

import itertools
import json

import pytest
import torch

from homeostat.cli.clone import clone
from homeostat.envs.phone.tasks.splits import templates_of
from homeostat.nano.data.packing import Packer
from homeostat.nano.model import build_model
from homeostat.nano.processor import build_processor
from homeostat.nano.training.attention_watch import AttentionWatch
from homeostat.nano.training.evaluation import held_out
from homeostat.nano.training.guidance import log_attention
from homeostat.nano.training.loop import Budget, training_steps
from homeostat.nano.training.losses import hidden_states, losses, weighted
from homeostat.nano.training.optimisers import Optimisers


@pytest.fixture(scope="module")
def packer():
    return Packer(build_processor())


@pytest.fixture(scope="module")
def batch(packer):
    return held_out(packer, "dev", screens=2, seed="watch", templates=templates_of("train"))[0]


def trained(packer, batch, folder, every):
    torch.manual_seed(3)
    model = build_model(packer.tokenizer, width=64, layers=2)
    places = torch.tensor(packer.places())
    watch = AttentionWatch(model, folder, every)
    seen = []

    def loss(progress):
        seen.append(weighted(losses(model, batch, places, read_only=False)))
        return seen[-1]

    steps = training_steps(loss, Optimisers(model), Budget(10, 5), lambda p: 1e-3, watch.around)
    for _ in itertools.takewhile(lambda progress: not progress.done, steps):
        pass
    return model, [value.item() for value in seen], watch


def test_training_is_the_same_and_each_measured_step_is_a_line(packer, batch, tmp_path):
    plain, expected, off = trained(packer, batch, tmp_path / "none", 0)
    measured, found, on = trained(packer, batch, tmp_path, 2)
    assert found == expected
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), measured.parameters(), strict=True))
    assert off.stability is None
    assert not (tmp_path / "none").exists()
    lines = [json.loads(line) for line in (tmp_path / "attention.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 2, 4]
    assert {"attention_entropy/0", "attention_entropy/1", "attention_logit", "log_z"} <= set(lines[0])
    assert on.stability.warnings == []


def test_the_entropy_is_that_of_every_head_within_its_branch(packer, batch, tmp_path):
    torch.manual_seed(3)
    model = build_model(packer.tokenizer, width=64, layers=2)
    watch = AttentionWatch(model, tmp_path, 1)
    progress = Budget(10).progress(0)
    with torch.no_grad(), watch.around(progress):
        hidden_states(model, batch)
    with torch.no_grad():
        _, inputs, _ = hidden_states(model, batch)
        (line,) = [json.loads(text) for text in (tmp_path / "attention.jsonl").read_text().splitlines()]
        for layer in (0, 1):
            heads = range(model.config.text_config.num_attention_heads)
            logs = torch.stack([log_attention(model, layer, h, inputs[layer], batch) for h in heads], 1).double()
            seen = logs > -float("inf")
            entropy = -(logs.exp() * logs.masked_fill(~seen, 0)).sum(-1)
            several = seen.sum(-1) > 1
            wanted = (entropy[several] / seen.sum(-1)[several].double().log()).mean()
            assert line[f"attention_entropy/{layer}"] == pytest.approx(float(wanted), abs=1e-4)


def test_the_option_reaches_every_training(monkeypatch):
    found = {}

    def record(name):
        return lambda *args, **given: found.update({name: given["attention_steps"]}) or {}

    for name in ("from_scratch.train_from_scratch", "phone.fine_tune_phone", "planner.train_planner"):
        monkeypatch.setattr(f"homeostat.nano.training.{name}", record(name))
    monkeypatch.setattr("homeostat.nano.training.miniwob.fine_tune_web", record("web"))
    for options in ({}, {"start": "m"}, {"env": "plans"}, {"env": "miniwob"}):
        clone(attention_steps=7, **options)
    assert list(found.values()) == [7] * 4
