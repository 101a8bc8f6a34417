"""Muon, compared with its definition by singular value decomposition."""

import math

import pytest
import torch

from homeostat.agent.models.precision import bfloat16_is_quick
from homeostat.nano.training.muon import Muon, orthogonalised


@pytest.mark.parametrize("shape", [(8, 24), (24, 8), (16, 16)])
def test_singular_values_come_near_one_and_directions_stay(shape):
    torch.manual_seed(0)
    matrices = torch.randn(3, *shape, dtype=torch.float64)
    result = orthogonalised(matrices)
    for before, after in zip(matrices, result, strict=True):
        u, _, v = torch.linalg.svd(before, full_matrices=False)
        core = u.T @ after @ v.T  # diagonal where the singular vectors are the same
        assert torch.allclose(core, core.diag().diag(), atol=1e-8)
        assert (core.diag() > 0.6).all()
        assert (core.diag() < 1.3).all()


def test_one_step_is_momentum_then_orthogonalisation_then_decay():
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(6, 10))
    start = weight.detach().clone()
    optimiser = Muon([weight], lr=0.1, momentum=0.9, weight_decay=0.5)
    mean = torch.zeros(6, 10)
    for _ in range(2):
        gradient = torch.randn(6, 10)
        weight.grad = gradient.clone()
        optimiser.step()
        mean = 0.9 * mean + 0.1 * gradient
        direction = orthogonalised((0.1 * gradient + 0.9 * mean)[None])[0]
        start = start * (1 - 0.1 * 0.5) - 0.1 * 0.2 * math.sqrt(10) * direction
    assert torch.allclose(weight, start, atol=1e-5)


def test_vectors_are_refused():
    with pytest.raises(ValueError, match="matrices only"):
        Muon([torch.nn.Parameter(torch.zeros(3))], lr=0.1)


def test_an_accelerator_is_taken_to_be_quick_in_bfloat16():
    assert bfloat16_is_quick("cuda")
