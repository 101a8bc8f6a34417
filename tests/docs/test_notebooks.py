"""The notebooks run from the first cell to the last, and their pages show their cells."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "docs" / "notebooks"
SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"
HERE = Path.home() / ".cache" / "homeostat" / "real-models" / "smollm2"


@pytest.mark.parametrize("name", [path.stem for path in sorted(NOTEBOOKS.glob("*.ipynb"))])
def test_a_notebook_runs_and_its_page_shows_it(name, tmp_path):
    if importlib.util.find_spec("nbclient") is None:
        pytest.skip("nbclient is not installed: pip install 'homeostat[docs]'")
    if SMOLLM2 in (NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8") and not HERE.is_dir():
        pytest.skip(f"{SMOLLM2} is not on this machine")
    call = [sys.executable, ROOT / "docs/notebook_pages.py", "--only", name, "--out", tmp_path]
    call += ["--models", f"{SMOLLM2}={HERE}"]
    environment = os.environ | {"MPLBACKEND": "agg"}
    made = subprocess.run(call, capture_output=True, text=True, check=False, env=environment)
    assert made.returncode == 0, made.stderr
    pages = [(folder / f"{name}.md").read_text(encoding="utf-8") for folder in (tmp_path, NOTEBOOKS)]
    cells = [re.findall(r"^```python\n.*?^```$|^#+ [^\n]+$", page, re.MULTILINE | re.DOTALL) for page in pages]
    assert cells[0] == cells[1], "run `make notebooks` again"
    shown = [re.findall(r"^```text$|<div class=\"output\">|!\[Output", page, re.MULTILINE) for page in pages]
    assert shown[0] == shown[1]
    assert shown[0]


def test_notebooks_are_stored_without_outputs():
    for path in NOTEBOOKS.glob("*.ipynb"):
        assert '"output_type"' not in path.read_text(encoding="utf-8"), path.name
