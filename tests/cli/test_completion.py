"""Shells complete the values of options: as the shell would ask, in a process of its own, and without torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from homeostat.cli.list import KINDS

CODE = """
import sys
sys.argv[0] = 'homeostat'
from homeostat.cli.root import main
try:
    main()
finally:
    heavy = {'torch', 'transformers', 'langgraph'} & set(sys.modules)
    if heavy:
        print('imported', heavy, file=sys.stderr)
"""


def complete(words: str, folder: Path) -> list[str]:
    """What bash offers for the last word."""
    environment = {"_HOMEOSTAT_COMPLETE": "complete_bash", "COMP_WORDS": words}
    environment["COMP_CWORD"] = str(len(words.split(" ")) - 1)
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**os.environ, **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.split()


def names(kind: str, prefix: str, env: str = "phone") -> list[str]:
    return [name for name, _ in KINDS[kind](env) if name.startswith(prefix)]


@pytest.mark.parametrize(
    ("words", "kind", "prefix"),
    [
        ("homeostat run --task notes_", "tasks", "notes_"),
        ("homeostat run --controllers remind", "controllers", "remind"),
        ("homeostat run --model homeostat/n", "models", "homeostat/n"),
        ("homeostat run --env ", "environments", ""),
        ("homeostat eval --suite atomic", "suites", "atomic"),
        ("homeostat calibrate --sensors con", "sensors", "con"),
        ("homeostat diagnose --kinds f", "conflicts", "f"),
    ],
)
def test_names_are_those_that_list_prints(words: str, kind: str, prefix: str, tmp_path: Path) -> None:
    found = complete(words, tmp_path)
    assert found == names(kind, prefix)
    assert found


def test_the_last_of_several_names_is_completed_once(tmp_path: Path) -> None:
    assert complete("homeostat run --controllers guard,tab", tmp_path) == ["guard,tabu"]
    assert "guard,guard" not in complete("homeostat run --controllers guard,", tmp_path)
    assert complete("homeostat chat --sensors confidence,rhy", tmp_path) == ["confidence,rhythm"]


def test_fixed_values_tasks_of_an_environment_and_runs(tmp_path: Path) -> None:
    assert complete("homeostat run --dtype b", tmp_path) == ["bfloat16"]
    assert complete("homeostat align --quantization ", tmp_path) == ["4bit", "8bit"]
    assert complete("homeostat diagnose --suite ihe", tmp_path) == ["iheval"]
    assert complete("homeostat eval --policy ", tmp_path) == ["oracle", "random"]
    assert complete("homeostat list env", tmp_path) == ["environments"]
    assert complete("homeostat run --env miniwob --task click-b", tmp_path) == names("tasks", "click-b", "miniwob")
    for name in ("20260101-a", "20260102-b", "other"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    for name in ("20260101-a", "20260102-b"):
        (tmp_path / "runs" / name / "run.json").write_text("{}")
    assert complete("homeostat run --resume ", tmp_path) == ["runs/20260102-b", "runs/20260101-a"]


def test_what_can_not_be_found_out_offers_nothing(tmp_path: Path) -> None:
    assert complete("homeostat run --env fone --task n", tmp_path) == []
    assert complete("homeostat run --resume x", tmp_path) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_each_shell_is_shown_and_installed(shell: str, tmp_path: Path) -> None:
    code = "import sys; sys.argv[0] = 'homeostat'; from homeostat.cli.root import main; main()"
    environment = {**os.environ, "HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    for option in ("--show-completion", "--install-completion"):
        done = subprocess.run(
            [sys.executable, "-c", code, option, shell],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert ("_HOMEOSTAT_COMPLETE" in done.stdout) == (option == "--show-completion")
    written = [file.read_text() for file in tmp_path.rglob("*") if file.is_file()]
    assert any("_HOMEOSTAT_COMPLETE" in text for text in written)
