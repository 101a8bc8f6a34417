"""The help of every command of ours: it fits 80 columns, shows examples that parse, and states defaults."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
from typer.testing import CliRunner

from homeostat.cli import root as cli
from homeostat.plugins import is_ours

runner = CliRunner()
OURS = sorted(name for name, entry in cli.commands().items() if is_ours(entry))
WITH_EXAMPLES = ("align", "calibrate", "chat", "clone", "diagnose", "eval", "fit-probe", "ground", "list", "localize")
WITH_EXAMPLES += ("mine", "profile", "run", "serve")


def helped(name: str) -> str:
    done = runner.invoke(cli.app, [name, "-h"], env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"})
    assert done.exit_code == 0
    return done.output


@pytest.mark.parametrize("name", OURS)
def test_help_fits_and_every_option_is_described(name: str) -> None:
    shown = helped(name)
    assert all(len(line) <= 80 for line in shown.splitlines())
    if name in WITH_EXAMPLES:
        assert not re.search(r"<list\[|<Path,", shown)
    command = cli.load_command(cli.commands()[name])
    for param in command.params:
        assert getattr(param, "help", None), param.name


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_are_commands_that_parse(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    block = re.search(r"Examples:\n((?: {4}.*\n)+)", helped(name))
    assert block is not None
    lines = re.sub(r"\\\n\s+", "", block[1]).splitlines()
    lines = [line.strip() for line in lines if line.strip().startswith("homeostat ")]
    assert any(shlex.split(line)[1] == name for line in lines)
    for line in lines:
        words: list[str] = shlex.split(line.split("    ")[0])[1:]
        command: Any = cli.load_command(cli.commands()[words[0]])
        command.make_context(words[0], words[1:], resilient_parsing=False)  # raises for an unknown option


def test_the_root_says_where_to_begin() -> None:
    text = runner.invoke(cli.app, ["--help"]).output
    assert "homeostat doctor" in text
    assert "homeostat list" in text


def test_frictions_that_were_reported_are_gone(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = runner.invoke(cli.app, ["run", "hi", "--dtype", "bogus"])
    assert done.exit_code == 2
    error = done.stderr.splitlines()[-1]
    assert error == "homeostat: unknown dtype 'bogus'; give float32, bfloat16 or float16"
    assert "<before> <after>" in helped("eval")
    assert "homeostat/nano" not in helped("chat").partition("--model")[2].partition("--base-url")[0]


def test_ctrl_c_says_whether_the_same_command_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    from homeostat.alignment.sail import run as sail

    def interrupted(settings: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sail, "align", interrupted)
    (tmp_path / "pairs.jsonl").write_text("{}\n")
    done = runner.invoke(cli.app, ["align", "--data", "pairs.jsonl", "--layers", "all", "--weights", "uniform"])
    assert done.exit_code == 130
    assert done.stderr.splitlines()[-1] == "interrupted; the same command continues from the last checkpoint"


def test_a_comparison_without_failures_or_successes_says_so(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for policy in ("oracle", "random"):
        told = ["eval", "--suite", "atomic", "--episodes", "4", "--policy", policy, "--json", f"{policy}.json"]
        assert runner.invoke(cli.app, told).exit_code == 0
    same = runner.invoke(cli.app, ["eval", "--compare", "oracle.json", "oracle.json"])
    assert "rescued none, because none failed before" in same.output
    assert "harmed 0.0 % [0.0, 49.0] of the 4 that were solved before" in same.output
    other = runner.invoke(cli.app, ["eval", "--compare", "random.json", "oracle.json"])
    assert "harmed none, because none was solved before" in other.output
