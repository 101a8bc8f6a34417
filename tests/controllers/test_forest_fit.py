"""fit_weights: it finds what matters, and refuses where there is nothing to learn."""

from __future__ import annotations

import random

import pytest

from homeostat.controllers.forest import CYBERV
from homeostat.controllers.forest_fit import fit_weights
from homeostat.errors import ConfigError


def drawn(true: dict[str, float], count: int = 4000) -> tuple[list[dict[str, float]], list[bool]]:
    import math

    rng = random.Random(0)
    trees, right = [], []
    for _ in range(count):
        tree = {name: rng.random() if name in ("p", "rank") else float(rng.random() < 0.6) for name in CYBERV}
        z = -2.0 + sum(true.get(name, 0.0) * value for name, value in tree.items())
        trees.append(tree)
        right.append(rng.random() < 1 / (1 + math.exp(-z)))
    return trees, right


def test_the_weights_that_data_were_drawn_with_are_found() -> None:
    true = {"p": 3.0, "rep": 1.0}
    weights = fit_weights(*drawn(true), penalty=0.0)
    assert sum(weights.values()) == pytest.approx(1.0)
    assert weights["p"] == pytest.approx(0.75, abs=0.06)
    assert weights["rep"] == pytest.approx(0.25, abs=0.06)


def test_a_sign_never_counts_against_a_candidate() -> None:
    weights = fit_weights(*drawn({"p": 2.0, "drift": -3.0}))
    assert weights["drift"] == 0.0
    assert set(weights) == set(CYBERV)


@pytest.mark.parametrize(
    ("trees", "right", "message"),
    [
        ([{}] * 9, [True] * 5 + [False] * 4, "5 of 9"),
        ([{}] * 20, [True] * 20, "20 of 20"),
        ([{}] * 20, [True] * 3, "20 candidates but 3 labels"),
    ],
)
def test_nothing_to_learn_from_is_said(trees: list[dict[str, float]], right: list[bool], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fit_weights(trees, right)
