"""``homeostat list``: every name that an option accepts, with a summary."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from typer.testing import CliRunner

from homeostat import plugins
from homeostat.alignment.conflicts.chat import CHAT_KINDS
from homeostat.alignment.conflicts.phone import PHONE_KINDS
from homeostat.alignment.conflicts.team import TEAM_KINDS
from homeostat.cli import list as cli_list
from homeostat.cli.root import app, commands
from homeostat.controllers import controllers_for, preset_sensors
from homeostat.envs.harness import env_kind, load_suite
from homeostat.envs.harness.table import is_table, load_table

runner = CliRunner()


def listed(*arguments: str) -> dict[str, str]:
    done = runner.invoke(app, ["list", *arguments])
    assert done.exit_code == 0, done.output
    return dict(line.split("\t") for line in done.output.splitlines())


@pytest.mark.parametrize("kind", cli_list.KINDS)
def test_plain_lines_and_json_say_the_same(kind: str) -> None:
    plain = listed(kind)
    done = runner.invoke(app, ["list", kind, "--json"])
    assert plain == {row["name"]: row["summary"] for row in json.loads(done.output)}
    assert all(plain.values())
    assert not any(mark in text for text in plain.values() for mark in ("``", ":func:", ":class:", "\n"))


def test_the_names_are_those_that_the_options_accept() -> None:
    assert set(listed("commands")) == set(commands())
    assert {"phone", "recording", "miniwob", "android"} <= set(listed("environments"))
    assert tuple(listed("tasks")) == env_kind("phone").task_names()
    assert tuple(listed("tasks", "--env", "recording")) == env_kind("recording").task_names()
    assert {"homeostat/nano", "homeostat/nano-planner", "homeostat/nano-recordings"} <= set(listed("models"))
    for name in listed("suites"):
        load_table(name) if is_table(name) else load_suite(name)
    sensors = set(listed("sensors"))
    for name in listed("controllers"):
        assert preset_sensors(name) <= sensors
    assert controllers_for("default").controllers
    assert {"attention_drift", "confidence", "attention_tracker"} <= sensors


def test_alone_it_says_what_can_be_listed_and_how_many_there_are() -> None:
    told = listed()
    assert set(told) == set(cli_list.KINDS)
    for kind, text in told.items():
        assert int(text.split()[0]) == len(listed(kind))
    done = runner.invoke(app, ["list", "--json"])
    assert {row["name"]: row["count"] for row in json.loads(done.output)} == {
        kind: len(listed(kind)) for kind in cli_list.KINDS
    }


def test_tables_of_suites_and_kinds_of_conflicts_are_listed_too() -> None:
    assert listed("suites")["evidence"].startswith("(a table of many evaluations) Every controller on every kind")
    kinds = listed("conflicts")
    assert set(kinds) == set(CHAT_KINDS) | set(PHONE_KINDS) | set(TEAM_KINDS)
    assert kinds["injection"] == "user/tool; --suite phone, chat"
    assert listed("models")["homeostat/nano"] == "Reads screens and writes actions."


def test_a_wrong_name_is_one_line() -> None:
    for arguments, text in (
        (["sensor"], "homeostat: unknown kind 'sensor'; did you mean 'sensors'? known: commands, conflicts, "),
        (["tasks", "--env", "fone"], "homeostat: unknown env 'fone'; did you mean 'phone'?"),
    ):
        done = runner.invoke(app, ["list", *arguments])
        assert done.exit_code == 2
        assert done.stderr.startswith(text)
        assert done.stderr.count("\n") == 1


def test_another_packages_parts_are_listed_without_importing_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "third_parts.py").write_text(
        'raise SystemExit\nclass Warm:\n    """How warm it is, in kelvin. More."""\n'
        '    @classmethod\n    def kind(cls):\n        """See :func:`other`, the ``kind`` one."""\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    ours = "homeostat.sensors"
    entries = [
        EntryPoint("warm", "third_parts:Warm", ours),
        EntryPoint("warm_kind", "third_parts:Warm.kind", ours),
        EntryPoint("gone", "third_gone:Gone", ours),
    ]
    real = plugins.entry_points
    monkeypatch.setattr(plugins, "entry_points", lambda group: entries if group == ours else real(group=group))
    assert listed("sensors") == {
        "gone": "(unavailable: no module 'third_gone') (third_gone)",
        "warm": "How warm it is, in kelvin. (third_parts)",
        "warm_kind": "See other, the kind one. (third_parts)",
    }
    assert "third_parts" not in sys.modules


def test_a_terminal_gets_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    done = runner.invoke(app, ["list", "controllers"])
    assert done.exit_code == 0
    assert "\t" not in done.output
    assert "summary" in done.output.splitlines()[0]


@pytest.mark.parametrize("kind", ["sensors", "models", "environments", "commands"])
def test_listing_imports_no_part(kind: str) -> None:
    code = (
        "import sys\nfrom homeostat.cli.root import main\n"
        f"sys.argv = ['homeostat', 'list', '{kind}']\n"
        "try:\n    main()\nexcept SystemExit as done:\n    assert not done.code, done.code\n"
        "heavy = set('torch transformers langgraph numpy gymnasium'.split()) & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
