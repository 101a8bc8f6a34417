"""The site builds without a warning and needs no network; in a browser it has no errors and is accessible.

Chromium and axe-core (``pip install --no-deps axe-playwright-python``, which ships its script) are optional: the checks
that need them skip by name.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOOKED_AT = ("index.html", "tutorials/watch.html", "notebooks/watch_a_model.html", "api/shared.html",
             "papers/sail.html", "comparison.html")  # fmt: skip
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
           "--disable-background-networking", "--disable-component-update", "--disable-sync")  # fmt: skip


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and prints nothing."""

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built as ``make docs`` builds it; every warning is an error."""
    if importlib.util.find_spec("mkdocs") is None:
        pytest.skip("mkdocs is not installed: pip install 'homeostat[docs]'")
    folder = tmp_path_factory.mktemp("site")
    made = subprocess.run(
        [sys.executable, "setup.py", "--quiet", "build_py", "--build-lib", folder / "sources"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder / "site"],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env=os.environ | {"HOMEOSTAT_SOURCES": str(folder / "sources"), "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "site"


@pytest.fixture(scope="module")
def address(site) -> Iterator[str]:
    """The site on a free port of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser(chromium) -> Iterator[object]:
    """A headless Chromium that keeps its console and its requests."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium.chrome
    for option in OPTIONS:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromium.driver))
    yield driver
    driver.quit()


def test_no_page_loads_anything_from_elsewhere(site):
    loads = re.compile(
        r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"(?:https?:)?//|@import|url\([\"']?https?:"
        r"|<link\b[^>]*rel=\"(?:stylesheet|preload|preconnect|icon)\"[^>]*href=\"(?:https?:)?//"
    )
    for page in [*site.rglob("*.html"), *(site / "assets").glob("*.css")]:
        assert not loads.search(page.read_text(encoding="utf-8")), page


def test_every_public_name_has_its_place_in_the_reference(site):
    named = set()
    for page in (site / "api").glob("*.html"):
        named |= set(re.findall(r'<h\d id="(homeostat\.[\w.]+)"', page.read_text(encoding="utf-8")))
    folders = {"homeostat": "homeostat"} | {
        f"homeostat.{name}": name for name in ("sensors", "controllers", "alignment")
    }
    for package, folder in folders.items():
        stub = (ROOT / folder / "__init__.pyi").read_text(encoding="utf-8")
        public = {name for name in re.findall(r"\bas (\w+)", stub) if not name.startswith("_")}
        assert {f"{package}.{name}" for name in public} - named == set()


def test_figures_of_the_papers_pages_stand_in_the_evidence():
    def plain(text: str) -> str:
        return re.sub(r"\s+", " ", text.replace("−", "-").replace("+", ""))

    evidence = plain((ROOT / "docs/evidence.md").read_text(encoding="utf-8"))
    evidence += " ".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs/evidence").glob("*.json"))
    for page in sorted((ROOT / "docs/papers").glob("*.md")):
        _, heading, measured = page.read_text(encoding="utf-8").partition("## What was measured")
        if heading:
            found = re.findall(r"-?\d+\.\d+ \[[^\]]+\]|\[-?\d[^\]]+\]|\d+ of \d+|-?\d+\.\d+", plain(measured))
            assert [figure for figure in found if figure not in evidence] == [], page.name


@pytest.mark.parametrize("page", LOOKED_AT)
def test_a_page_in_the_browser(page, address, browser):
    for width, dark in ((1440, False), (1440, True), (390, False), (390, True)):
        media = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get(f"{address}/{page}")
        assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
        events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
        asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
        assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        assert serious_findings(browser) == [], f"{page}, {width} px, {'dark' if dark else 'light'}"


def serious_findings(browser) -> list[str]:
    """What axe-core finds on the page that is serious or critical."""
    package = importlib.util.find_spec("axe_playwright_python")
    if package is None or package.origin is None:
        pytest.skip("axe-core is not installed: pip install --no-deps axe-playwright-python")
    browser.execute_script((Path(package.origin).parent / "axe.min.js").read_text(encoding="utf-8"))
    found = browser.execute_async_script("axe.run(document).then(arguments[arguments.length - 1])")
    return [
        f"{one['id']}: {node['html'][:200]}"
        for one in found["violations"] if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]  # fmt: skip
