"""The training loop: when it ends, what it counts and trains, and what resuming needs."""

import json
from itertools import pairwise

import pytest
import torch

from homeostat.errors import ConfigError
from homeostat.nano.model import build_model
from homeostat.nano.processor import build_processor
from homeostat.nano.training import loop
from homeostat.nano.training.loop import Budget, mean, training_steps, write_log
from homeostat.nano.training.optimisers import Optimisers
from homeostat.nano.training.stages import STAGES, stage_at


class Clock:
    """A clock that advances by one second whenever it is read."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        self.now += 1.0
        return self.now


class Model(torch.nn.Module):
    """Two layers: a matrix for Muon, a bias and an embedding for AdamW."""

    device = torch.device("cpu")

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed = torch.nn.Embedding(5, 4)
        self.layer = torch.nn.Linear(4, 3)

    def loss(self, step):
        return self.layer(self.embed(torch.tensor([step % 5]))).square().sum()


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(loop, "time", clock := Clock())
    return clock


def run(model, optimisers, budget, rate=0.01):
    seen = []
    for progress in training_steps(lambda p: model.loss(p.step), optimisers, budget, lambda p: rate):
        seen.append(progress)
    return seen


def test_a_run_ends_with_its_time(clock):
    model = Model()
    seen = run(model, Optimisers(model), Budget(5 / 60))
    assert [p.step for p in seen] == [0, 1, 2, 3, 4]
    assert [round(p.share, 9) for p in seen] == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert [p.done for p in seen] == [False] * 4 + [True]


def test_a_run_ends_with_its_steps_and_counts_those_before_it_was_resumed(clock):
    model = Model()
    seen = run(model, Optimisers(model), Budget(10, 3, spent=60, steps=7))
    assert [(p.step, p.new) for p in seen] == [(7, 0), (8, 1), (9, 2), (10, 3)]
    assert seen[-1].done
    assert seen[0].share == pytest.approx(61 / 600)
    assert all(a.share < b.share for a, b in pairwise(seen))


def test_a_run_without_time_is_refused():
    with pytest.raises(ConfigError, match="minutes 0 is not above 0"):
        Budget(0)


def test_every_parameter_is_trained_and_no_gradient_is_left(clock):
    model = Model()
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    run(model, Optimisers(model), Budget(1, 2))
    assert all(not torch.equal(before[n], p) for n, p in model.named_parameters())
    assert all(p.grad is None for p in model.parameters())


def test_a_resumed_run_takes_the_steps_that_one_run_takes(clock):
    whole, first, second = Model(), Model(), Model()
    run(whole, Optimisers(whole), Budget(1, 6))
    optimisers = Optimisers(first)
    run(first, optimisers, Budget(1, 4))
    second.load_state_dict(first.state_dict())
    resumed = Optimisers(second)
    resumed.load(optimisers.state())
    run(second, resumed, Budget(1, 2, steps=4))
    for one, other in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_figures_are_logged_and_shown(clock, tmp_path, capsys):
    budget = Budget(10, spent=90)
    budget.progress(0)
    write_log(tmp_path, budget, 3, {"stage": "late", "act": 2 / 3})
    line = {"step": 3, "minutes": 1.53, "stage": "late", "act": 0.6667}
    assert json.loads((tmp_path / "training.jsonl").read_text()) == line
    assert capsys.readouterr().out == "step 3 minutes 1.53 stage late act 0.6667\n"
    assert mean([torch.tensor(1.0), torch.tensor(2.0)]) == 1.5
    assert mean([]) == 0


def test_stages_follow_each_other():
    assert [stage_at(share).name for share in (-0.1, 0, 0.02, 0.2, 0.25, 1.1)] == [
        "read", "read", "early", "middle", "late", "late"
    ]  # fmt: skip
    assert [s.reads_only for s in STAGES] == [True, False, False, False]


def test_a_seed_gives_the_same_initial_weights():
    def weights():
        torch.manual_seed(3)
        return build_model(build_processor().tokenizer, width=64, layers=2).state_dict()

    one, other = weights(), weights()
    assert all(torch.equal(one[name], other[name]) for name in one)
