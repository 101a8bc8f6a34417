"""Span masses as files, tables, charts and HTML."""

import json
import os
import pickle
import re
import zipfile
from contextlib import suppress
from dataclasses import fields, replace
from html.parser import HTMLParser

import numpy as np
import pytest

from homeostat.errors import ConfigError
from homeostat.sensors import SpanMass, Spans

T, W, L, H, S = 5, 3, 4, 2, 3
HOSTILE = '<img src=x onerror="alert(1)">/../\x1b[2J\ud800$\\frac'


def full():
    """Every field is set, with values that a sloppy file would change."""
    rng = np.random.default_rng(0)

    def floats(*shape):
        return rng.random(shape).astype(np.float32)

    mass = floats(T, L, H, S)
    mass[0, 0, 0, 0] = np.float32(1e-42)  # a denormal number
    return SpanMass(
        labels=("goal", HOSTILE, "output"),
        layers=(3, 5, 8, 13),
        mass=mass,
        prompt_mass=floats(W, L, H, S),
        lengths=np.array([4, 2, T - 1]),
        visible=np.arange(10, 10 + T),
        sink=floats(T, L, H),
        sink_in_span=floats(T, L, H, S),
        index=np.arange(0, 2 * T, 2),
        keys={"goal": floats(T, L, H, 4), HOSTILE: floats(T, L, H, 2)},
        recent=floats(T, L, H, 6)[..., ::2],  # not contiguous
        entropy=floats(T, L, H),
        distance=floats(T, L, H),
        top=rng.integers(0, 9, (T, L, H)),
        received=np.where(rng.random((L, H, 7)) > 0.5, np.nan, floats(L, H, 7)).astype(np.float32),
        outputs=floats(T, L, H, 8),
        prompt_keys=floats(T, L, H, 10).astype(np.float16),
        prompt=10,
        spans=Spans({"goal": [(1, 3), (5, 7)], HOSTILE: [(3, 5)]}, length=10),
        evicted={"goal": 0.1, HOSTILE: 1 / 3},
    )


def same(one, other):
    for field in fields(SpanMass):
        a, b = getattr(one, field.name), getattr(other, field.name)
        assert type(a) is type(b), field.name
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype, field.name
            np.testing.assert_array_equal(a, b)
        elif field.name == "keys":
            assert list(a) == list(b)
            for label in a:
                assert a[label].dtype == b[label].dtype
                np.testing.assert_array_equal(a[label], b[label])
        else:
            assert a == b, field.name


def test_a_file_holds_every_field_exactly(tmp_path):
    mass = full()
    assert all(getattr(mass, field.name) is not None for field in fields(SpanMass))  # a new field belongs into full()
    file = mass.save(tmp_path / "new" / "mass.npz")
    same(SpanMass.load(file), mass)
    assert [p.name for p in file.parent.iterdir()] == ["mass.npz"]
    first = file.read_bytes()
    SpanMass.load(file).save(file)
    assert file.read_bytes() == first


def test_what_was_not_recorded_stays_none(tmp_path):
    mass = replace(
        full(), sink=None, sink_in_span=None, index=None, keys={}, recent=None, entropy=None, distance=None, top=None,
        received=None, outputs=None, prompt_keys=None, spans=None, evicted=None,
    )  # fmt: skip
    same(SpanMass.load(mass.save(tmp_path / "mass")), mass)
    empty = replace(mass, mass=mass.mass[:0], visible=mass.visible[:0])
    same(SpanMass.load(empty.save(tmp_path / "mass")), empty)


class Bomb:
    def __reduce__(self):
        return (print, ("pickle ran",))


def test_a_file_from_elsewhere_is_refused(tmp_path, capsys):
    file = tmp_path / "x.npz"
    with pytest.raises(ConfigError, match=r"can't read .*x\.npz'.*No such file.*give a file of SpanMass\.save"):
        SpanMass.load(file)
    for data in (b"", b"PK\x03\x04 torn", pickle.dumps(Bomb())):
        file.write_bytes(data)
        with pytest.raises(ConfigError, match="holds no span masses"):
            SpanMass.load(file)
    np.savez(file, header=np.array([Bomb()], object), mass=np.zeros(3))
    with pytest.raises(ConfigError, match="holds no span masses"):
        SpanMass.load(file)
    assert "pickle ran" not in capsys.readouterr().out
    np.savez(file, other=np.zeros(3))
    with pytest.raises(ConfigError, match=r"holds no span masses.*header"):
        SpanMass.load(file)
    good = full().save(tmp_path / "good.npz")
    for name, array, told in (
        ("mass", np.zeros((T, L, H, S + 1), np.float32), "'mass' has the shape"),
        ("entropy", np.zeros((T, L), np.float32), "'entropy' has the shape"),
        ("visible", np.zeros(T + 1, np.int64), "'visible' has the shape"),
        ("surprise", np.zeros(1), "another version"),
    ):
        with np.load(good) as stored:
            np.savez(file, **{**dict(stored), name: array})
        with pytest.raises(ConfigError, match=told):
            SpanMass.load(file)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        info = zipfile.ZipInfo("mass.npy")
        archive.writestr(info, b"0")
        archive.filelist[0].file_size = 2**40  # what a bomb's directory says
    with pytest.raises(ConfigError, match="holds no span masses"):
        SpanMass.load(file)
    with pytest.raises(ConfigError, match="holds Python objects"):
        replace(full(), top=np.array([[[Bomb()]]], object)).save(file)


def test_a_hostile_file_is_one_line(tmp_path, capsys):
    file = tmp_path / "x.npz"
    good = full().save(tmp_path / "good.npz")
    with np.load(good) as stored:
        parts = dict(stored)
    header = json.loads(parts["header"].tobytes())

    def refused(reason, changed=None, **arrays):
        told = header | {"fields": header["fields"] | (changed or {})}
        text = np.frombuffer(json.dumps(told).encode(), np.uint8)
        np.savez_compressed(file, **(parts | {"header": text} | arrays))
        with pytest.raises(ConfigError, match=reason) as caught:
            SpanMass.load(file)
        assert str(caught.value).isprintable()

    refused("'mass' has the type", mass=np.full((T, L, H, S), "x"))
    refused("'entropy' has the type", entropy=np.zeros((T, L, H), complex))
    refused("'labels' has another form", {"labels": [[1], {}, None]})
    refused("'layers' has another form", {"layers": ["a", "b", "c", "d"]})
    refused("holds no span masses", {"spans": {"ranges": {"goal": [[0, "x"]]}, "length": 3}})
    refused("holds no span masses", header=np.frombuffer(b"[" * 10**6, np.uint8))
    refused(r"unpack to 1,\d+,\d+,\d+", outputs=np.zeros((1, 2**20 + 2, 1024), np.uint8))
    data = good.read_bytes()
    for at in range(30, len(data), 97):
        file.write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        with suppress(ConfigError):
            SpanMass.load(file)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(ConfigError, match="not a regular file"):
        SpanMass.load(file)
    for place in (file, tmp_path):
        with pytest.raises(ConfigError, match="a device, a pipe or a folder"):
            full().save(place)
    assert file.is_fifo()
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "y.npz.part").symlink_to(tmp_path / "mine")
    full().save(tmp_path / "y.npz")
    assert (tmp_path / "mine").read_text() == "mine"
    assert "pickle ran" not in capsys.readouterr().out


def test_an_unwritable_file_is_said_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="can't write"):
        full().save(tmp_path / "file" / "mass.npz")


def test_the_table_has_a_row_for_each_token_layer_and_head():
    pytest.importorskip("pandas", reason="needs the extra homeostat[plot]")
    mass = full()
    table = mass.to_pandas()
    assert table.index.names == ["token", "layer", "head"]
    assert list(table.columns) == ["goal", HOSTILE.replace("\ud800", "\\ud800"), "output"]
    assert table.loc[(4, 8, 1), "output"] == mass.mass[2, 2, 1, 2]  # the third recorded token is the fifth generated
    wanted = mass.mass.mean((0, 2), dtype=np.float64)
    np.testing.assert_allclose(table.groupby("layer").mean().to_numpy(), wanted, rtol=1e-5)
    assert mass.to_pandas("top").loc[(8, 13, 0), "top"] == mass.top[4, 3, 0]
    slots = mass.to_pandas("prompt_mass")
    assert slots.index.names[0] == "slot"
    assert slots.loc[(9, 3, 0), "goal"] == mass.prompt_mass[2, 0, 0, 0]
    with pytest.raises(ConfigError, match="quantity 'keys' is unknown; known: mass"):
        mass.to_pandas("keys")
    with pytest.raises(ConfigError, match="'sink' was not recorded"):
        replace(mass, sink=None).to_pandas("sink")


def test_the_chart_draws_the_masses():
    pytest.importorskip("matplotlib", reason="needs the extra homeostat[plot]")
    mass = full()
    for by, axis, x in (("token", (1, 2), mass.index), ("layer", (0, 2), mass.layers)):
        (axes,) = mass.plot(by).axes
        lines = axes.get_lines()
        assert len(lines) == S
        for k, line in enumerate(lines):
            np.testing.assert_array_equal(line.get_xdata(), x)
            np.testing.assert_allclose(line.get_ydata(), 100 * mass.mass[..., k].mean(axis), rtol=1e-5)
    maps = mass.plot("head").axes[:S]
    for k, axes in enumerate(maps):
        np.testing.assert_allclose(axes.images[0].get_array(), 100 * mass.mass[..., k].mean(0), rtol=1e-5)
        assert [t.get_text() for t in axes.get_yticklabels()] == ["3", "5", "8", "13"]
    with pytest.raises(ConfigError, match="by='step' is unknown"):
        mass.plot("step")


def test_the_html_is_escaped_and_its_bars_are_in_proportion():
    html = full()._repr_html_()
    tags, titles = set(), []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attrs):
            tags.add(tag)
            titles.extend(name for name, _ in attrs)

    Parser().feed(html)
    assert tags == {"table", "caption", "b", "thead", "tbody", "tr", "th", "td", "span", "p"}
    assert set(titles) == {"style"}
    assert "\x1b" not in html
    assert "\ud800" not in html
    html.encode()
    widths = [float(w) for w in re.findall(r"width:([\d.]+)em", html)]
    means = full().mass.mean((0, 1, 2))
    np.testing.assert_allclose(widths, 8 * means / means.max(), atol=0.01)
    assert "Attention of 5 generated tokens in 4 layers of 2 heads" in html
    empty = replace(full(), mass=full().mass[:0])
    assert "Attention of 0 generated tokens" in empty._repr_html_()
