"""The root command: lazily found commands, their help, one-line errors, exit statuses, shell completion."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from homeostat import plugins
from homeostat.cli import root as cli
from homeostat.summaries import summary

runner = CliRunner()


def entry(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, cli.GROUP)


@pytest.fixture
def plus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A third party's modules on the path, and a registry that names them beside ours."""
    (tmp_path / "third_good.py").write_text(
        'def hello(name: str = "you") -> None:\n    """Greet."""\n    print("hi", name)\n'
    )
    (tmp_path / "third_broken.py").write_text("raise RuntimeError('no good\\nat all')\n")
    (tmp_path / "third_exits.py").write_text("import sys\nsys.exit(3)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    ours = list(plugins.entry_points(group=cli.GROUP))
    theirs = [
        entry("hello", "third_good:hello"),
        entry("broken", "third_broken:command"),
        entry("exits", "third_exits:command"),
        entry("gone", "third_gone.deep:command"),
        entry("run", "third_good:hello"),
    ]
    monkeypatch.setattr(plugins, "entry_points", lambda group: [*ours, *theirs])
    return tmp_path


def test_help_names_every_command_without_loading_any(plus: Path) -> None:
    result = runner.invoke(cli.app, ["--help"])
    assert result.exit_code == 0
    for name in ("run", "eval", "doctor", "clone", "hello", "broken", "gone"):
        assert name in result.output
    assert "unavailable" in next(line for line in result.output.splitlines() if "gone" in line)
    assert "Greet. (third_good)" in result.output
    assert "third_broken" not in sys.modules


def help_of(command: object) -> str:
    return " ".join(str(getattr(command, "help", "")).split())


@pytest.mark.parametrize("name", sorted(cli.commands()))
def test_the_summary_is_the_commands_own_first_sentence(name: str) -> None:
    one = cli.commands()[name]
    text = summary(one)
    assert len(text) > 15
    assert help_of(cli.load_command(one)).startswith(text)
    helped = runner.invoke(cli.app, [name, "-h"])
    assert helped.exit_code == 0
    assert helped.output == runner.invoke(cli.app, [name, "--help"]).output
    assert text in " ".join(helped.output.split())


def test_a_summary_is_found_behind_imports_and_calls(plus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = plus / "third_package"
    package.mkdir()
    (package / "__init__.py").write_text("import third_missing\nfrom .inner import command as go\nraise SystemExit\n")
    (package / "inner.py").write_text(
        "from somewhere import make\ncommand = make(str, doc='Go there. Then back.')\n"
        'other = make(\'x\')\n"""Stay here."""\nplain = 3\n'
    )
    assert summary(entry("go", "third_package:go")) == "Go there."
    assert summary(entry("other", "third_package.inner:other")) == "Stay here."
    assert summary(entry("plain", "third_package.inner:plain")) == "third_package"
    assert summary(entry("maxsize", "sys:maxsize")) == "sys"
    assert not {"third_package", "third_package.inner"} & set(sys.modules)


def test_a_strangers_command_runs_and_can_not_take_ours_away(plus: Path) -> None:
    result = runner.invoke(cli.app, ["hello", "--name", "there"])
    assert (result.exit_code, result.output) == (0, "hi there\n")
    assert cli.commands()["run"].value == "homeostat.cli.run:run"


@pytest.mark.parametrize("name", ["broken", "exits", "gone"])
def test_a_broken_command_is_one_line_and_spoils_no_other(plus: Path, name: str) -> None:
    result = runner.invoke(cli.app, [name])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"homeostat: command {name!r}")
    assert result.stderr.count("\n") == 1
    assert runner.invoke(cli.app, ["hello"]).exit_code == 0


def test_an_entry_that_is_no_command_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "entry_points", lambda group: [entry("odd", "sys:maxsize")])
    result = runner.invoke(cli.app, ["odd"])
    assert result.exit_code == 2
    assert "register a function or a typer app" in result.stderr


def test_a_typer_app_may_be_a_command(plus: Path) -> None:
    (plus / "third_app.py").write_text(
        "import typer\napp = typer.Typer()\n@app.command()\ndef one() -> None:\n    print(1)\n"
        "@app.command()\ndef two() -> None:\n    print(2)\n"
    )
    command = cli.load_command(entry("nested", "third_app:app"))
    assert isinstance(command, typer.core.TyperGroup)


def test_an_unknown_command_suggests_the_nearest() -> None:
    result = runner.invoke(cli.app, ["evla"])
    assert result.exit_code == 2
    known = ", ".join(sorted(cli.commands()))
    assert result.stderr == f"homeostat: unknown command 'evla'; did you mean 'eval'? known: {known}\n"


def test_version_and_bad_options() -> None:
    assert runner.invoke(cli.app, ["--version"]).output.startswith("homeostat 0.")
    assert runner.invoke(cli.app, ["-h"]).output == runner.invoke(cli.app, ["--help"]).output
    for arguments, text in (
        (["--bogus"], "no such option: --bogus; see homeostat --help"),
        (["eval", "--seeed"], "no such option: --seeed (Possible options: --seed); see homeostat eval --help"),
        (["eval", "--json"], "option '--json' requires an argument; see homeostat eval --help"),
        (["run", "a", "b"], "got unexpected extra argument(s) (b); see homeostat run --help"),
    ):
        result = runner.invoke(cli.app, arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == f"homeostat: {text}\n"


def complete(words: str, position: int) -> list[str]:
    environment = {"_HOMEOSTAT_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(position)}
    code = "import sys; sys.argv[0] = 'homeostat'; from homeostat.cli.root import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_a_shell_completes_commands_and_options(monkeypatch: pytest.MonkeyPatch) -> None:
    assert complete("homeostat ev", 1) == ["eval"]
    assert complete("homeostat eval --see", 2) == ["--seed"]
    assert complete("homeostat evla --see", 2) == []
    monkeypatch.setattr("shellingham.detect_shell", lambda: ("bash", "/bin/bash"))  # tests may run without a shell
    shown = runner.invoke(cli.app, ["--show-completion"], prog_name="homeostat")
    assert shown.exit_code == 0
    assert "_HOMEOSTAT_COMPLETE" in shown.output


def test_importing_the_package_loads_no_dependency() -> None:
    code = (
        "import sys\nimport homeostat\nassert 'watch' in dir(homeostat)\n"
        "heavy = set('torch transformers langgraph numpy PIL pydantic typer rich'.split()) & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stderr


def test_help_needs_no_heavy_import() -> None:
    code = (
        "import sys\nfrom homeostat.cli.root import main\nsys.argv = ['homeostat', '--help']\n"
        "try:\n    main()\nexcept SystemExit as done:\n    assert not done.code, done.code\n"
        "heavy = set('torch transformers langgraph numpy PIL gymnasium ray pyarrow rich pydantic'.split())\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "hi", "--model", "./nowhere"], "no model folder './nowhere'"),
        (["run", "hi", "--model", "homeostat/nan"], "unknown model 'homeostat/nan'; did you mean 'homeostat/nano'"),
        (["run", "hi", "--env", "fone"], "unknown env 'fone'; did you mean 'phone'"),
        (["run", "--task", "clock_timr"], "unknown task 'clock_timr'; did you mean 'clock_timer'"),
        (["run", "hi", "--controllers", "remid"], "unknown controller 'remid'; did you mean 'remind'"),
        (["run", "hi", "--controllers", "none,remind"], "stands alone"),
        (["run"], "give a goal or a task, not neither"),
        (["run", "hi", "--task", "clock_timer"], "give a goal or a task, not 'hi' and"),
        (["run", "  "], "goal '  ' is empty"),
        (["run", "--task", "clock_timer", "--rule", "no"], "has its own"),
        (["run", "--resume", "nix"], "no run 'nix'"),
        (["eval", "--suite", "atomc"], "unknown suite 'atomc'; did you mean 'atomic'"),
        (["eval", "--split", "tset"], "unknown split 'tset'; did you mean 'test'"),
        (["eval", "--env", "fone"], "unknown env 'fone'; did you mean 'phone'"),
        (["eval", "--compare", "a.json", "b.json"], "can't read 'a.json'"),
        (["eval", "--suite", "./mine.yaml"], "suite file './mine.yaml' can't be read"),
        (["eval", "--policy", "orcle"], "unknown policy 'orcle'; did you mean 'oracle'"),
        (["eval", "--policy", "oracle", "--model", "m"], "--model 'm' has no place beside --policy 'oracle'"),
        (["eval", "--policy", "oracle", "--controllers", "remind"], "--controllers 'remind' has no place"),
        (["eval", "--controllers", "remid"], "unknown controller 'remid'; did you mean 'remind'"),
        (["eval", "--html", "p.html"], "give them with --compare BEFORE AFTER"),
        (["eval", "--export", "inspekt", "--json", "r"], "unknown export 'inspekt'; did you mean 'inspect'"),
        (["eval", "--export", "inspect"], "give --json FILE too"),
    ],
)
def test_bad_input_is_one_line_with_the_value_and_status_2(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    result = runner.invoke(cli.app, arguments)
    assert result.exit_code == 2, result.output
    *progress, error = result.stderr.splitlines()
    assert error.startswith("homeostat: ")
    assert message in error
    assert all(line.startswith("homeostat: loading ") for line in progress)  # said before the slow part
    assert list(tmp_path.iterdir()) == []


def test_the_console_script_exits_with_2_in_its_own_process(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", "from homeostat.cli.root import main; main()", "run", "hi", "--env", "fone"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=60,
    )
    assert result.returncode == 2
    assert result.stdout == ""
    error = result.stderr.splitlines()[-1]
    assert error.startswith("homeostat: unknown env 'fone'; did you mean 'phone'? known: ")
    assert "Traceback" not in result.stderr
