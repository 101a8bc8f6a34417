"""The source distribution is complete, and the wheel holds what users need and nothing else."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIST = """
import json, sys
from distutils.core import run_setup
out = sys.argv[1]
sys.argv = ["setup.py", "--quiet"]
made = run_setup("setup.py", stop_after="commandline")
info = made.get_command_obj("egg_info")
info.egg_base = out
made.run_command("egg_info")
build = made.get_command_obj("build_py")
build.build_lib = "wheel"
build.ensure_finalized()
wheel = [name.removeprefix("wheel/") for name in build.get_outputs(include_bytecode=False)]
print(json.dumps({"sdist": info.filelist.files, "wheel": wheel}))
"""
"""Asks setuptools which files it would pack. ``import setuptools`` first: it brings ``distutils``."""


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    pytest.importorskip("setuptools", minversion="77")
    out = tmp_path_factory.mktemp("info")
    done = subprocess.run(
        [sys.executable, "-c", f"import setuptools\n{LIST}", str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return {kind: set(names) for kind, names in json.loads(done.stdout.splitlines()[-1]).items()}


def tracked():
    """What git knows, and what it would add; nothing where this is no clone (an unpacked source distribution)."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        return set()
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    return {name for name in listed.splitlines() if (ROOT / name).is_file()}


def test_the_source_distribution_holds_the_repository(packed):
    wanted = tracked() or {"CHANGELOG.md", "Makefile", "constraints.txt", ".ci/run", "tests/test_packaging.py"}
    assert wanted - packed["sdist"] == set()
    made = {name for name in packed["sdist"] if name.endswith(".pyc") or name.startswith((".venv", "runs/", "build/"))}
    assert made == set()


def test_the_wheel_holds_every_module_and_its_data(packed):
    modules = set()
    for folder in ("homeostat", "agent", "alignment", "controllers", "envs", "nano", "sensors", "viewer"):
        base = ROOT / folder
        prefix = "homeostat" if folder == "homeostat" else f"homeostat/{folder}"
        for path in base.rglob("*"):
            if path.suffix in (".py", ".pyi", ".yaml") and "__pycache__" not in path.parts:
                modules.add(f"{prefix}/{path.relative_to(base).as_posix()}")
    assert len(modules) > 300
    assert modules - packed["wheel"] == set()
    for name in (
        "homeostat/py.typed",
        "homeostat/viewer/templates/run.html.j2",
        "homeostat/viewer/styles/base.css",
        "homeostat/viewer/scripts/run.js",
        "homeostat/envs/phone/assets/DejaVuSansMono.ttf",
        "homeostat/nano/weights/executor/model.safetensors",
        "homeostat/nano/weights/executor/chat_template.jinja",
        "homeostat/nano/weights/planner/tokenizer.json",
    ):
        assert name in packed["wheel"]


def test_the_wheel_holds_neither_logs_nor_tests(packed):
    assert {name for name in packed["wheel"] if not name.startswith("homeostat/")} == set()
    cards = {f"homeostat/nano/weights/{name}/README.md" for name in ("executor", "planner", "recordings")}
    unwanted = ("/logs/", "/tests/", ".jsonl", ".pyc", ".md")
    assert {name for name in packed["wheel"] if any(part in name for part in unwanted)} == cards


def names_in(lines):
    """The normalised names of requirements or pins."""
    found = (re.match(r"[A-Za-z0-9._-]+", line) for line in lines if not line.startswith("#"))
    return {re.sub(r"[-_.]+", "-", match[0]).lower() for match in found if match}


def test_every_dependency_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = names_in(project["dependencies"])
    extras = names_in(name for extra in project["optional-dependencies"].values() for name in extra) - {"homeostat"}
    pinned = names_in((ROOT / "constraints.txt").read_text().splitlines())
    assert (needed | extras) - pinned == set()
    smoke = names_in((ROOT / ".ci" / "smoke-requirements.txt").read_text().splitlines())
    assert smoke - {"pytest", "setuptools"} <= needed
    assert not smoke & {"torch", "transformers", "langgraph"}
