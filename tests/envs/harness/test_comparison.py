"""Two evaluations paired by task and seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from homeostat.envs.harness import cluster_bootstrap, compare, read_evaluation, read_results, summary, write_json
from homeostat.errors import ConfigError


def test_a_comparison_counts_rescue_and_harm_on_the_shared_episodes(result: Any) -> None:
    before = [result(i, success=i < 6) for i in range(10)]
    after = [result(i, success=i not in (0, 9)) for i in range(12)]
    found = compare(before, after)
    assert found.pairs == 10
    assert (found.before.mean, found.after.mean) == (0.6, 0.8)
    assert found.rescue.mean == pytest.approx(3 / 4)
    assert found.harm.mean == pytest.approx(1 / 6)
    assert found.gain.mean == pytest.approx(0.2)
    assert found.gain_clustered is None  # one template
    assert found.endings["premature"] == (4, 2)
    assert [pair.before.index for pair in found.flips] == [0, 6, 7, 8]
    with pytest.raises(ConfigError, match="share no episode"):
        compare(before, [result(99, success=True)])


def test_templates_are_counted_and_clustered(result: Any) -> None:
    tasks = ["a", "a", "b", "b", "c"]
    before = [result(i, success=i in (0, 2, 3), task=task) for i, task in enumerate(tasks)]
    after = [result(i, success=i in (0, 1, 2), task=task) for i, task in enumerate(tasks)]
    found = compare(before, after)
    rows = {r.task: (r.pairs, r.before, r.after, r.rescued, r.harmed) for r in found.templates}
    assert rows == {"a": (2, 1, 2, 1, 0), "b": (2, 2, 1, 0, 1), "c": (1, 0, 0, 0, 0)}
    assert [r.task for r in found.templates] == ["b", "c", "a"]
    assert found.gain_clustered == cluster_bootstrap([0.0, 1.0, 0.0, -1.0, 0.0], tasks)


def test_a_file_comes_back_as_it_was_written(tmp_path: Path, result: Any) -> None:
    results = [result(0, success=True), result(1, success=False)]
    write_json({"arguments": {"seed": 1}} | summary(results), tmp_path / "r.json")
    found = read_evaluation(tmp_path / "r.json")
    assert (found.arguments, list(found.results)) == ({"seed": 1}, results)
    (tmp_path / "no.json").write_text('{"episodes": [{}]}')
    with pytest.raises(ConfigError, match="no evaluation"):
        read_results(tmp_path / "no.json")
