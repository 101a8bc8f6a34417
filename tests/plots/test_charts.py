"""Charts: what is drawn is what was given; files are the same each time, and their texts stay texts."""

import itertools
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from homeostat.errors import ConfigError
from homeostat.plots import (
    PALETTE,
    Panel,
    Series,
    bins,
    drift,
    head_maps,
    head_table,
    intervals,
    lines,
    reliability,
    rescue,
    roc,
    roc_points,
    span_masses,
)

pytest.importorskip("matplotlib", reason="needs the extra homeostat[plot]")
HOSTILE = "_$\\frac <b>&\x1b[2J"


def test_lines_draw_the_values_their_intervals_and_what_is_marked():
    series = Series("a", [1, 2, 3], [0.1, 0.3, 0.2], [0.0, 0.2, 0.1], [0.2, 0.4, 0.3], [False, True, False])
    made = lines([Panel([series, Series("b", [1, 2], [0.5, 0.6])], "turn", "nats", "drift", {"threshold": 0.25})])
    (axes,) = made.axes
    a, b, level = axes.get_lines()
    np.testing.assert_array_equal(a.get_xydata(), [(1, 0.1), (2, 0.3), (3, 0.2)])
    np.testing.assert_array_equal(b.get_xydata(), [(1, 0.5), (2, 0.6)])
    assert a.get_color() != b.get_color()
    assert a.get_marker() != b.get_marker()
    assert level.get_ydata() == [0.25, 0.25]
    band, cross = axes.collections
    corners = band.get_paths()[0].vertices
    assert {(2.0, 0.2), (2.0, 0.4)} <= set(map(tuple, corners))
    assert cross.get_offsets().tolist() == [[2, 0.3]]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("turn", "nats", "drift")
    assert [text.get_text() for text in made.figure.legends[0].get_texts()] == ["a", "alarm", "b"]
    with pytest.raises(ConfigError, match="series 'a' has 2 positions and 1 of 'y'"):
        Series("a", [1, 2], [3])
    with pytest.raises(ConfigError, match="nothing to draw"):
        lines([])


def test_drift_has_a_panel_of_masses_and_one_for_each_sensor():
    made = drift({"goal": ([0, 1], [0.2, 0.1])}, [(Series("confidence", [0, 1], [0.9, 0.8]), 0.5)], title="run")
    masses, sensor = made.axes
    assert masses.get_lines()[0].get_ydata().tolist() == [20, 10]
    assert sensor.get_title() == "confidence"
    assert sensor.get_lines()[0].get_ydata().tolist() == [0.9, 0.8]
    assert sensor.get_lines()[1].get_ydata() == [0.5, 0.5]


def test_roc_is_that_of_every_pair_of_scores():
    rng = np.random.default_rng(0)
    positive, negative = rng.integers(0, 6, 40) + 1, rng.integers(0, 6, 30)  # with ties
    alarms, hits, area = roc_points(positive, negative)
    pairs = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    assert area == pytest.approx(np.mean(pairs))
    for cut in range(8):
        point = ((negative >= cut).mean(), (positive >= cut).mean())
        assert any(np.allclose(point, one) for one in zip(alarms, hits, strict=True))
    assert (alarms[0], hits[0], alarms[-1], hits[-1]) == (0, 0, 1, 1)
    assert roc_points([float("-inf"), 1], [float("-inf"), 0])[2] == pytest.approx((0.5 + 0 + 1 + 1) / 4)
    made = roc({"a": (positive, negative)})
    line = made.axes[0].get_lines()[0]
    np.testing.assert_allclose(line.get_xydata(), 100 * np.stack([alarms, hits], 1))
    assert made.figure.legends[0].get_texts()[0].get_text() == f"a: AUROC {area:.2f}"
    many = roc({f"s{k}": (positive, negative) for k in range(9)})
    assert [one.get_title() for one in many.axes if one.get_visible()] == [f"s{k}" for k in range(9)]
    assert {one.texts[0].get_text() for one in many.axes if one.get_visible()} == {f"{area:.2f}"}
    with pytest.raises(ConfigError, match="2 positive and 0 negative scores"):
        roc_points([1, 2], [])
    with pytest.raises(ConfigError, match="NaN"):
        roc_points([1, np.nan], [0])


def test_titles_of_panels_side_by_side_keep_apart():
    """A long name used to be drawn into the next panel, and cut where two names began alike."""
    long = [f"a sensor of many words, its heads chosen on {kind} tasks" for kind in ("other", "these")]
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    names = [*long, *(f"sensor {k}, heads chosen on aligned prompts" for k in range(6))]
    made = roc({name: ([1, 2], [0, 1]) for name in names})
    panels = [one for one in made.axes if one.get_visible()]
    assert panels[0].get_title().replace("\n", " ").startswith("a sensor of many words,")
    canvas = FigureCanvasAgg(made.figure)
    canvas.draw()
    boxes = [one.title.get_window_extent(canvas.get_renderer()) for one in panels]
    for row in (boxes[:4], boxes[4:]):
        for left, right in itertools.pairwise(row):
            assert left.x1 <= right.x0


def test_bins_and_reliability():
    stated = [0.05, 0.07, 0.5, 0.55, 1.0, 0.1]
    came = [0, 1, 1, 0, 1, 0]
    found = bins(stated, came)
    assert found == [
        (pytest.approx(0.06), 0.5, 2),
        (pytest.approx(0.1), 0.0, 1),
        (pytest.approx(0.525), 0.5, 2),
        (1.0, 1.0, 1),
    ]
    made = reliability({"probe": [(0.2, (0.3, 0.1, 0.5)), (0.8, (0.7, 0.6, 0.9))]})
    (points,) = made.axes[0].containers
    np.testing.assert_allclose(points[0].get_xydata(), [(20, 30), (80, 70)])
    (bars,) = points[2]
    np.testing.assert_allclose([bar[:, 1] for bar in bars.get_segments()], [(10, 50), (60, 90)])
    for wrong in (([0.5], [1, 0]), ([1.5], [1]), ([], [])):
        with pytest.raises(ConfigError, match=r"probabilit"):
            bins(*wrong)


def test_head_maps_draw_the_table_and_frame_the_marked_heads():
    table, layers = head_table([(3, 0, 1.5), (5, 2, -0.5)])
    assert layers == (3, 4, 5)
    made = head_maps({"a": table}, layers=layers, marked=[(5, 2), (9, 9)], centre=0, units="nats")
    axes, bar = made.axes
    drawn = axes.images[0].get_array()
    assert drawn[0, 0] == 1.5
    assert drawn[2, 2] == -0.5
    assert drawn.mask.sum() == 7
    assert axes.images[0].get_clim() == (-1.5, 1.5)
    assert {patch.get_xy() for patch in axes.patches} == {(1.5, 1.5)}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["3", "4", "5"]
    assert bar.get_ylabel() == "nats"
    with pytest.raises(ConfigError, match=r"give tables of shape \(layers, heads\)"):
        head_maps({"a": [1, 2]})
    with pytest.raises(ConfigError, match="3 layers, but 2 numbers"):
        head_maps({"a": table}, layers=[1, 2])


def test_intervals_and_rescue_draw_means_and_bounds():
    rows = {"x": {"gain": (0.1, -0.1, 0.4)}, "y": {"gain": (0.2, 0.1, 0.3), "cost": (0.0, -0.05, 0.05)}}
    made = intervals({"one": rows, "two": {"y": {"gain": (0.5, 0.4, 0.6)}}}, x_label="points", factor=100, zero=0)
    first, second = made.axes
    gain, cost = first.containers
    np.testing.assert_allclose(gain[0].get_xdata(), [10, 20])
    np.testing.assert_allclose([bar[:, 0] for bar in gain[2][0].get_segments()], [(-10, 40), (10, 30)])
    np.testing.assert_allclose(cost[0].get_xdata(), [0])
    assert round(gain[0].get_ydata()[1]) == round(cost[0].get_ydata()[0]) == 1  # the row y
    np.testing.assert_allclose(second.containers[0][0].get_xdata(), [50])
    assert [label.get_text() for label in first.get_yticklabels()] == ["x", "y"]
    assert first.get_ylim()[0] > first.get_ylim()[1]  # the first row is on top
    made = intervals({str(k): rows for k in range(5)}, x_label="points", columns=3)
    assert [axes.get_visible() for axes in made.axes] == [True] * 5 + [False]
    made = rescue({"atomic": {"remind": ((0.3, 0.2, 0.4), (0.05, 0.0, 0.1))}})
    (point,) = made.axes[0].containers
    np.testing.assert_allclose(point[0].get_xydata(), [(5, 30)])
    across, up = point[2]
    np.testing.assert_allclose(across.get_segments()[0][:, 0], (0, 10))
    np.testing.assert_allclose(up.get_segments()[0][:, 1], (20, 40))


def test_span_masses_refuse_what_is_no_table_of_masses():
    with pytest.raises(ConfigError, match=r"shape \(2, 3\) with 1 labels"):
        span_masses(np.zeros((2, 3)), ["a"])
    with pytest.raises(ConfigError, match="can't be drawn"):
        span_masses(np.zeros((0, 1, 1, 1)), ["a"])


def test_files_are_the_same_each_time_and_svg_texts_are_texts(tmp_path):
    def make():
        return lines([Panel([Series(HOSTILE, [0, 1], [1, 2]), Series("日本", [0, 1], [2, 1])], "x", "y", HOSTILE)])

    for ending in ("svg", "png", "pdf"):
        one, other = (make().save(tmp_path / f"{k}" / f"x.{ending}") for k in (1, 2))
        assert one.read_bytes() == other.read_bytes()
    text = (tmp_path / "1" / "x.svg").read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    texts = {"".join(one.itertext()) for one in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"日本", " _$\\frac <b>&\\u001b[2J", "x", "y"} <= texts
    assert "<script" not in text
    assert not re.search(r"20\d\d-\d\d-\d\dT", text)
    assert make()._repr_png_().startswith(b"\x89PNG")


def test_a_bad_file_is_refused(tmp_path):
    made = lines([Panel([Series("a", [0], [1])], "x", "y")])
    with pytest.raises(ConfigError, match=r"'x\.jpg' names no picture; end it in \.png, \.svg, \.pdf"):
        made.save("x.jpg")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="can't write"):
        made.save(tmp_path / "file" / "x.png")


def test_colours_can_be_told_apart():
    """The distance of any two colours as people with deuteranopia see them (Viénot et al. 1999)."""
    linear = [[(int(c[k : k + 2], 16) / 255) ** 2.2 for k in (1, 3, 5)] for c in PALETTE]
    seen = np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]])
    shown = (np.clip(np.array(linear) @ seen.T, 0, 1)) ** (1 / 2.2)
    distances = [np.linalg.norm(shown[a] - shown[b]) for a in range(8) for b in range(a)]
    assert min(distances) > 0.2


def test_no_global_state_is_touched_and_nothing_is_imported_early():
    code = (
        "import sys, homeostat.plots as p; from homeostat.plots import Series, Panel, lines, token_html\n"
        "assert 'matplotlib' not in sys.modules\n"
        "assert 'torch' not in sys.modules\n"
        "made = lines([Panel([Series('a', [0], [1])], 'x', 'y')]); made._repr_png_()\n"
        "import matplotlib; assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert matplotlib.rcParams['svg.fonttype'] == 'path'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_without_matplotlib_the_extra_is_named():
    code = (
        "import sys; sys.modules['matplotlib'] = None; sys.modules['pandas'] = None\n"
        "from homeostat.plots import Series, Panel, lines\n"
        "from homeostat.plots.notebook import data_frame\n"
        "for call in (lambda: lines([Panel([Series('a', [0], [1])], 'x', 'y')]), lambda: data_frame({'a': [1]})):\n"
        "    try: call()\n"
        "    except ValueError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=120, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "charts need matplotlib; pip install 'homeostat[plot]'",
        "tables need pandas; pip install 'homeostat[plot]'",
    ]
