"""The page that compares two runs."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from homeostat.envs.harness import Evaluation, Result, write_json
from homeostat.viewer import comparison_page, write_comparison

VOID = {"meta", "br", "link", "img", "input"}


class Page(HTMLParser):
    """Rows of every table, and whether all tags are closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1] += data.strip()


def result(index: int, *, success: bool, task: str, **more: Any) -> Result:
    fields: dict[str, Any] = {
        "ended": "success" if success else "premature",
        "optimal_steps": 4,
        "calls": 6,
        "tokens": 10,
        "prompt_tokens": 100,
        "seconds": 0.5,
    }
    return Result(index=index, task=task, seed=index, success=success, steps=6, **fields | more)


@pytest.fixture
def sides() -> tuple[Evaluation, Evaluation]:
    tasks = ["a", "a", "b", "b", "c"]
    evil = {"goal": "<script>alert(1)</script> & co", "reason": '"><img src=x onerror=alert(2)>'}
    before = [result(i, success=i in (0, 2, 3), task=t, **evil) for i, t in enumerate(tasks)]
    after = [result(i, success=i in (0, 1, 2), task=t, **evil) for i, t in enumerate(tasks)]
    one = Evaluation({"suite": "atomic", "controllers": "none", "model": "</td>evil"}, tuple(before))
    return one, Evaluation({"suite": "atomic", "controllers": "default", "model": "</td>evil"}, tuple(after))


def test_the_page_says_what_the_comparison_says(sides: Any) -> None:
    page = Page(comparison_page(*sides, ("bare", "default")).html)
    assert page.open == []
    endings, templates, flips, costs, settings = page.tables
    assert ["success", "3", "3"] in [row[:3] for row in endings]
    assert [row[:7] for row in templates[1:]] == [
        ["b", "2", "100.0 %", "50.0 %", "−50.0", "0", "1"],
        ["c", "1", "0.0 %", "0.0 %", "0.0", "0", "0"],
        ["a", "2", "50.0 %", "100.0 %", "+50.0", "1", "0"],
    ]
    assert [(row[0], row[1], row[2]) for row in flips[1:]] == [
        ("harmed", "b", "3"),
        ("rescued", "a", "1"),
        ("both failed", "c", "4"),
        ("both solved", "a", "0"),
        ("both solved", "b", "2"),
    ]
    assert ["model calls per episode", "6.0", "6.0"] in costs
    assert ["controllers", "none", "default"] in settings


def test_everything_is_escaped_and_nothing_is_fetched(sides: Any) -> None:
    html = comparison_page(*sides, ("<b>one</b>", "two")).html
    page = Page(html)
    assert page.open == []
    assert html.count("<script") == 1
    assert "<img" not in html
    assert "<b>one" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; co" in html
    assert not [name for name, _ in page.attributes if name in ("src", "onerror", "style")]
    assert {value for name, value in page.attributes if name == "href"} == {"#main", "data:,"}
    assert not re.search(r"https?://|url\(|@import", html)
    assert "prefers-color-scheme: dark" in html


def test_runs_that_end_alike_say_so(sides: Any, tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    write_json({"arguments": {}, "episodes": [one.model_dump() for one in sides[0].results]}, path)
    page = write_comparison(path, path, tmp_path / "deep" / "pages")
    assert "None was rescued or harmed: every episode has the same outcome." in page.read_text()


def test_a_click_on_a_heading_sorts(sides: Any, tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    # Without its policy, which would keep this test's script from running.
    html = re.sub("<meta http-equiv=.*?>", "", comparison_page(*sides, ("bare", "default")).html)

    def order(script: str) -> list[str]:
        clicks = f"<script type=module>{script}</script></body>"
        (tmp_path / "p.html").write_text(html.replace("</body>", clicks))
        command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
        command += ["--virtual-time-budget=500", "--dump-dom", (tmp_path / "p.html").as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        return [row[0] for row in Page(done.stdout).tables[1][1:]]

    click = "document.querySelectorAll('table.sortable button')[{}].click();"
    assert order("") == ["b", "c", "a"]
    assert order(click.format(0)) == ["a", "b", "c"]
    assert order(click.format(2) * 2) == ["b", "a", "c"]  # before, the greatest first
