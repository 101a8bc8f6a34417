"""Evaluations and comparisons to look at: charts, tables and HTML, against a plain count."""

from html.parser import HTMLParser

import pytest

from homeostat.envs.harness import Evaluation, Result, compare, wilson
from homeostat.errors import ConfigError

HOSTILE = "<script>alert(1)</script>\x1b$x_"


def result(index, task, success, **more):
    given = {"steps": 3, "optimal_steps": 2, "calls": 4, "tokens": 50, "prompt_tokens": 900, "seconds": 1.5}
    ended = "success" if success else "budget"
    return Result(index=index, task=task, seed=index, goal="g", success=success, ended=ended, **given, **more)


BEFORE = tuple(result(k, "easy" if k < 6 else HOSTILE, k % 2 == 0) for k in range(12))
AFTER = tuple(
    result(k, r.task, r.success != (k in (1, 3, 6)), corrections={"remind": k} if k else {})
    for k, r in enumerate(BEFORE)
)


class Tags(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.tags, self.text = set(), []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.text.append(data)


def test_an_evaluation_as_a_table():
    pytest.importorskip("pandas", reason="needs the extra homeostat[plot]")
    table = Evaluation({}, AFTER).to_pandas()
    assert table["success"].tolist() == [r.success for r in AFTER]
    assert table["corrections.remind"].tolist() == list(range(12))
    assert set(table["ended_nexus"]) == {"success", "budget exceeded"}
    assert {"task", "seed", "goal", "tokens", "obeyed"} <= set(table.columns)


def test_an_evaluation_as_a_chart_of_its_templates():
    pytest.importorskip("matplotlib", reason="needs the extra homeostat[plot]")
    (axes,) = Evaluation({}, AFTER).plot().axes
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert rows == ["<script>alert(1)</script>\\u001b\\$x_ (6)", "easy (6)"]  # the lowest first
    (points,) = axes.containers
    solved = [sum(r.success for r in AFTER if r.task == task) for task in (HOSTILE, "easy")]
    assert points[0].get_xdata().tolist() == pytest.approx([100 * count / 6 for count in solved])
    bars = next(bar.get_segments() for bar in points[2])
    for count, bar in zip(solved, bars, strict=True):
        expected = wilson(count, 6)
        assert bar[:, 0].tolist() == pytest.approx([100 * expected.low, 100 * expected.high])
    Evaluation({}, AFTER).plot()._repr_png_()
    with pytest.raises(ConfigError, match="nothing to draw"):
        Evaluation({}, ()).plot()


def test_an_evaluation_as_html():
    found = Tags(Evaluation({"model": HOSTILE, "suite": "atomic"}, AFTER)._repr_html_())
    assert "script" not in found.tags
    text = " ".join(found.text)
    assert "\x1b" not in text
    solved = sum(r.success for r in AFTER)
    assert f"{solved} of 12, {wilson(solved, 12).percent()}" in text
    assert "Evaluation: <script>alert(1)</script>\\u001b$x_, atomic" in text
    assert "no episode" in Evaluation({}, ())._repr_html_()


def test_a_comparison_as_chart_table_and_html():
    pytest.importorskip("matplotlib", reason="needs the extra homeostat[plot]")
    pytest.importorskip("pandas", reason="needs the extra homeostat[plot]")
    compared = compare(BEFORE, AFTER)
    (axes,) = compared.plot().axes
    (point,) = axes.containers
    assert point[0].get_xydata().tolist() == [pytest.approx([100 * 1 / 6, 100 * 2 / 6])]  # harm, rescue
    table = compared.to_pandas().set_index("task")
    assert table.loc["easy", ["rescued", "harmed"]].tolist() == [2, 0]
    assert table.loc[HOSTILE, ["rescued", "harmed"]].tolist() == [0, 1]
    found = Tags(compared._repr_html_())
    assert "script" not in found.tags
    assert compared.gain.percent() in found.text
