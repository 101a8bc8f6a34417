"""A coloured prompt as HTML, as a page and as text; the page's script against the Python code, in a browser."""

import base64
import hashlib
import importlib.util
import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from homeostat.errors import ConfigError
from homeostat.plots import STYLE, TokenView, token_html, token_page, token_text

HOSTILE = '</span></script><script>alert(1)</script><img src=x onerror="alert(1)">'
TOKENS = ("<|im_start|>", "You", " help", "\n", HOSTILE, "\u202e", "\x1b[2J", "", "é", *["<image>"] * 9, "end")
SPANS = {HOSTILE: [(1, 3)], "user": [(4, 9), (9, 18)]}


def some_weights(layers=3, heads=2, seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(len(TOKENS) + 1), (layers, heads))[..., :-1]
    weights[..., 0] += 0.3
    return weights / 1.4


class Page(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.tags, self.pieces, self.attributes, self.scripts, self._inside = [], [], [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        self._inside = tag
        if tag == "span":
            self.pieces.append({"text": "", **dict(attrs)})

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "span":
            self.pieces[-1]["text"] += data
        if self._inside in ("script", "style"):
            self.scripts.append(data)


def test_the_fragment_holds_no_script_and_needs_no_inline_style():
    html = token_html(TOKENS, some_weights().mean((0, 1)), SPANS, style=False)
    page = Page(html)
    assert set(page.tags) == {"ul", "li", "b", "div", "span", "p"}
    assert set(page.attributes) == {"class", "title"}
    assert "\x1b" not in html
    assert "\u202e" not in html
    texts = [piece["text"] for piece in page.pieces]
    assert texts[:9] == ["<|im_start|>", "You", " help", "↵\n", HOSTILE, "\\u202e", "\\u001b[2J", "·", "é"]
    assert texts[9:] == ["<image>×9", "end"]
    used = set(re.findall(r"[ws]\d+", " ".join(piece["class"] for piece in page.pieces)))
    assert all(f".{name}{{" in STYLE or name == "w0" for name in used)


def test_colours_shares_and_tooltips_are_those_of_the_weights():
    weights = some_weights().mean((0, 1))
    page = Page(token_html(TOKENS, weights, SPANS))
    top = weights[[1, 2, *range(4, 18)]].max()
    means = [*weights[:9], weights[9:18].mean(), weights[18]]
    wanted = [int(np.floor(20 * min(w / top, 1) + 0.5)) for w in means]
    assert [int(piece["class"].split()[0][1:]) for piece in page.pieces] == wanted
    assert [" over" in piece["class"] for piece in page.pieces] == [w > top for w in means]
    html = token_html(TOKENS, weights, SPANS)
    shares = [float(share) / 100 for share in re.findall(r"<b>([\d.]+) %</b>", html)]
    expected = [weights[1:3].sum(), weights[4:18].sum(), weights[[0, 3, 18]].sum(), 1 - weights.sum()]
    np.testing.assert_allclose(shares, expected, rtol=0.06)
    assert page.pieces[9]["title"].startswith("token 9 · user · ")
    assert float(page.pieces[9]["title"].split(" · ")[-1][:-2]) / 100 == pytest.approx(weights[9:18].sum(), rel=0.06)
    alone = Page(
        token_html(["a", "b", "c"], np.array([0.9, 0.05, 0.025]))
    )  # without spans, the first token is left out
    assert [piece["class"] for piece in alone.pieces] == ["w20 over", "w20", "w10"]
    assert [piece["class"] for piece in Page(token_html(["a"], np.zeros(1))).pieces] == ["w0"]
    with pytest.raises(ConfigError, match="2 tokens have 1 weights"):
        token_html(["a", "b"], np.zeros(1))


def test_the_page_allows_its_own_script_and_style_only():
    html = token_page(TOKENS, some_weights(), (4, 5, 9), SPANS, title=HOSTILE, answer=HOSTILE)
    policy = unescape(re.search(r'Content-Security-Policy" content="([^"]+)"', html)[1])
    page = Page(html)
    style, data, script = page.scripts

    def hashed(text):
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    assert policy == f"default-src 'none'; style-src {hashed(style)}; script-src {hashed(script)}; base-uri 'none'"
    assert "img" not in page.tags
    assert page.tags.count("script") == 2
    assert not set(page.attributes) & {"src", "href", "onerror", "style"}
    told = json.loads(data)
    np.testing.assert_allclose(np.array(told["weights"]) / 1e6, some_weights(), atol=1e-6)
    assert told["layers"] == [4, 5, 9]
    large = token_page(["a"] * 600, np.zeros((20, 100, 600)), range(20))
    assert 'name="head"' not in large
    assert np.array(json.loads(Page(large).scripts[1])["weights"]).shape == (20, 1, 600)


def test_the_view_checks_its_shapes_and_keeps_a_choice(tmp_path):
    weights = some_weights()
    view = TokenView(TOKENS, weights, (4, 5, 9), SPANS)
    assert repr(view) == "TokenView(19 tokens, 3 layers, 2 heads)"
    with pytest.raises(ConfigError, match=r"do not fit 2 layers and 19 tokens"):
        TokenView(TOKENS, weights, (4, 5), SPANS)
    for wrong in (-weights, weights * np.nan, weights * np.inf, weights.astype(object), weights.astype(complex)):
        with pytest.raises(ConfigError, match="negative or no finite number"):
            TokenView(TOKENS, wrong, (4, 5, 9), SPANS)
    with pytest.raises(ConfigError, match="layer 6 was not read; read were 4 to 9"):
        view.of(layers=[6])
    text = view.of(layers=[4, 9], heads=[1]).save(tmp_path / "sub" / "x.html").read_text(encoding="utf-8")
    told = json.loads(Page(text).scripts[1])
    np.testing.assert_allclose(np.array(told["weights"]) / 1e6, weights[[0, 2]][:, [1]], atol=1e-6)
    assert '<option value="0">1</option>' in text
    pairs = view.of(heads=[(4, 0), (9, 1)])
    text = pairs.save(tmp_path / "x.html").read_text(encoding="utf-8")  # no rectangle of layers and heads: no controls
    assert Page(text).tags.count("script") == 0
    np.testing.assert_allclose(pairs.mean, (weights[0, 0] + weights[2, 1]) / 2)
    with pytest.raises(ConfigError, match="can't write"):
        view.save(tmp_path / "x.html" / "y.html")


def test_the_text_has_a_background_where_there_is_weight():
    weights = some_weights().mean((0, 1))
    text = token_text(TOKENS, weights, SPANS)
    assert "\x1b" not in text.plain
    assert HOSTILE in text.plain
    pieces = Page(token_html(TOKENS, weights, SPANS)).pieces
    full = [piece["text"] for piece in pieces if "w20" in piece["class"]]
    assert full
    strongest = [text.plain[one.start : one.end] for one in text.spans if "#ff8c00" in str(one.style)]
    assert strongest == full
    assert len(text.spans) == sum("w0" not in piece["class"].split() for piece in pieces)
    assert (
        token_text(["a"], np.array([0.5])).plain
        == "a\n\nattention: prompt 50 %, answer 50 %\nheaviest tokens: 'a' 50 %"
    )


def test_a_notebook_shows_the_view_once_in_a_cell():
    interactive = pytest.importorskip("IPython.core.interactiveshell", reason="needs IPython")
    from IPython.utils.capture import capture_output
    from traitlets.config import Config

    view = TokenView(("a", "b"), np.full((1, 1, 2), 0.25), (0,))
    shell = interactive.InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    shell.kernel = object()  # what a notebook's shell has
    shell.push({"view": view})

    def shown(code):
        with capture_output() as got:
            assert shell.run_cell(code, store_history=True).success
        return [output.data["text/html"] for output in got.outputs]

    try:
        html = view._repr_html_()
        assert shown("for k in range(1):\n    view.show()") == [html]  # not the last expression of the cell
        assert shown("view.show(); view") == [html]
        assert shown("view") == [html]
        assert shown("view.of(heads=[0])") == [html]
    finally:
        interactive.InteractiveShell.clear_instance()


def test_the_script_recolours_as_python_does(tmp_path, chromium):
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs the extra homeostat[miniwob]")
    weights = some_weights()
    file = TokenView(TOKENS, weights, (4, 5, 9), SPANS, "an answer").save(tmp_path / "x.html", title=HOSTILE)
    options = webdriver.ChromeOptions()
    options.binary_location = chromium.chrome
    for option in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromium.driver))
    try:
        for width, dark in ((1440, False), (390, True)):
            media = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
            size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            driver.get(file.as_uri())
            assert driver.execute_script("return document.documentElement.scrollWidth") <= width
            axe = importlib.util.find_spec("axe_playwright_python")
            if axe is not None and axe.origin is not None:
                driver.execute_script((Path(axe.origin).parent / "axe.min.js").read_text(encoding="utf-8"))
                found = driver.execute_async_script("axe.run(document).then(arguments[arguments.length - 1])")
                serious = [one["id"] for one in found["violations"] if one["impact"] in ("serious", "critical")]
                assert serious == []
        driver.execute_script(
            "const form = document.getElementById('choice'); form.elements.first.value = 1;"
            "form.elements.head.value = '1'; form.dispatchEvent(new Event('input'));"
        )
        shown = driver.execute_script(
            "return [...document.querySelectorAll('.hst > span')].map(one => [one.className, one.title])"
        )
        note = driver.execute_script("return document.querySelector('.hst').parentElement.innerHTML")
        assert [entry for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    finally:
        driver.quit()
    wanted = token_html(TOKENS, np.rint(weights * 1e6)[1:, 1].mean(0) / 1e6, SPANS, style=False)
    assert shown == [[piece["class"], piece["title"]] for piece in Page(wanted).pieces]
    assert re.findall(r"<b>([^<]+)</b>", note) == re.findall(r"<b>([^<]+)</b>", wanted)
    assert re.search(r"Full colour: [\d.]+ %", note)[0] in wanted
