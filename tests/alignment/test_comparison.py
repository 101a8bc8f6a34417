"""The overlap of two localizations' focal heads, against counting and against random sets."""

from __future__ import annotations

import itertools
import json
from math import comb
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import rankdata
from typer.testing import CliRunner

from homeostat.alignment import Localization, compare_heads
from homeostat.cli.root import app
from homeostat.errors import ConfigError


def localization(heads, shape=(4, 5), seed=0, name="m"):
    table = np.random.default_rng(seed).normal(size=shape)
    rows = tuple(map(tuple, table.tolist()))
    return Localization(
        model=name, twins=1, higher=("rules",), magnitude=rows, direction=rows, distribution=rows, score=rows,
        heads=tuple(heads), layers=(0,),
    )  # fmt: skip


A = ((0, 0), (1, 0), (1, 1), (1, 2), (2, 4))
B = ((1, 1), (1, 2), (2, 4), (3, 0))


def test_expected_overlap_and_probabilities_equal_counting_all_sets():
    found = compare_heads(localization(A), localization(B, seed=1))
    assert found.shared == ((1, 1), (1, 2), (2, 4))
    assert (found.only_one, found.only_other) == (((0, 0), (1, 0)), ((3, 0),))
    assert found.jaccard == pytest.approx(3 / 6)
    every = [(la, h) for la in range(4) for h in range(5)]
    sizes = [len(set(A) & set(drawn)) for drawn in itertools.combinations(every, 4)]
    assert len(sizes) == comb(20, 4)
    assert found.expected == pytest.approx(np.mean(sizes))
    assert found.more == pytest.approx(np.mean([s >= 3 for s in sizes]))
    assert found.fewer == pytest.approx(np.mean([s <= 3 for s in sizes]))


def test_the_null_model_by_layers_equals_counting_all_such_sets():
    found = compare_heads(localization(A), localization(B, seed=1))
    by_layer = [  # two heads of layer 1, one of layer 2, one of layer 3
        [frozenset((la, h) for h in drawn) for drawn in itertools.combinations(range(5), count)]
        for la, count in ((1, 2), (2, 1), (3, 1))
    ]
    sizes = [len(set(A) & frozenset.union(*parts)) for parts in itertools.product(*by_layer)]
    assert found.expected_in_layers == pytest.approx(np.mean(sizes))
    assert found.more_in_layers == pytest.approx(np.mean([s >= 3 for s in sizes]))
    assert found.more_in_layers > found.more  # the layers alone explain a part of the agreement
    assert [(x.layer, x.one, x.other, x.shared) for x in found.layers] == [
        (0, 1, 0, 0), (1, 3, 2, 2), (2, 1, 1, 1), (3, 0, 1, 0),
    ]  # fmt: skip


def test_equal_and_disjoint_sets_are_the_extremes():
    same = compare_heads(localization(A), localization(A))
    assert (same.jaccard, same.fewer) == (1.0, 1.0)
    assert same.more == pytest.approx(1 / comb(20, 5))
    assert same.rank_correlation == pytest.approx(1)
    apart = compare_heads(localization(A), localization(((3, 1), (3, 2))))
    assert (apart.shared, apart.more) == ((), 1.0)
    assert apart.fewer == pytest.approx(comb(15, 2) / comb(20, 2))


def test_the_rank_correlation_is_pearsons_of_the_ranks():
    one, other = localization(A), localization(B, seed=1)
    ranks = [rankdata(np.ravel(found.score)) for found in (one, other)]
    assert compare_heads(one, other).rank_correlation == pytest.approx(np.corrcoef(*ranks)[0, 1])
    flat = localization(B).model_copy(update={"score": ((1.0,) * 5,) * 4})
    assert compare_heads(one, flat).rank_correlation is None


def test_models_of_other_shapes_and_heads_outside_are_refused():
    with pytest.raises(ConfigError, match="'m' and 'n' have 4 × 5 and 4 × 6 layers and heads"):
        compare_heads(localization(A), localization(B, shape=(4, 6), name="n"))
    with pytest.raises(ConfigError, match=r"no head \(4, 0\); it has 4 layers of 5 heads"):
        compare_heads(localization(A), localization(((4, 0),)))


def test_the_command_prints_a_table_and_writes_json(tmp_path: Path):
    localization(A).save(tmp_path / "a" / "localization.json")
    localization(B, seed=1).save(tmp_path / "b.json")
    told = ["localize", "--compare", str(tmp_path / "a"), str(tmp_path / "b.json"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, told)
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert (found["expected"], len(found["shared"])) == (1.0, 3)
    assert "in both: 1.1, 1.2, 2.4" in done.output
    assert f"p = {found['more']:.2g}" in done.output
    missing = CliRunner().invoke(app, [*told[:2], str(tmp_path / "none"), str(tmp_path / "b.json")])
    assert missing.exit_code == 2
    assert "run homeostat localize" in missing.output
