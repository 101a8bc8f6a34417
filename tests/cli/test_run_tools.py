"""``homeostat run --env tools``: functions of a file, an MCP server, rules, consent, resume, and clear errors."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from homeostat.agent import AgentSpec, read_trace
from homeostat.agent.spec import AgentSpec as Spec
from homeostat.cli.root import app
from homeostat.envs.tools import ToolEnv
from homeostat.envs.tools.loading import tool_env, tools_from
from homeostat.errors import ConfigError, UnknownName
from homeostat.testing import ScriptedModel

runner = CliRunner()
FILE = '''
from pathlib import Path
import neighbour
from homeostat.envs.tools import ToolEnv, ToolTask, tool

@tool(changes=False)
def look(place: str) -> str:
    """Looks at a place."""
    return neighbour.SEEN + " \\u001b[31m" + place

def send(to: str) -> str:
    """Sends a message."""
    Path("sent.txt").write_text(to)
    return "sent"

def _helper() -> None: ...

ONE = [look]
WORLD = ToolEnv([look], tasks=[ToolTask("seen", "Look.", check=lambda outcome: bool(outcome.calls))])
WRONG = 3
'''
LOOK = '<tool_call>{"name": "look", "arguments": {"place": "Paris"}}</tool_call>'
SEND = '<tool_call>{"name": "send", "arguments": {"to": "Anna"}}</tool_call>'
BASE = ["run", "--env", "tools", "--model", "some/model", "--sensors", "rhythm", "--plain"]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Spec, "check", lambda spec: None)  # there is no model of this name
    (tmp_path / "neighbour.py").write_text("SEEN = 'grey'\n")
    (tmp_path / "my_tools.py").write_text(FILE)
    return tmp_path / "my_tools.py"


def scripted(monkeypatch: pytest.MonkeyPatch, answers: list[str]) -> ScriptedModel:
    from homeostat.agent import Agent

    model = ScriptedModel(answers)

    def build(spec: AgentSpec) -> Agent:
        from homeostat.controllers import controllers_for

        chosen = controllers_for(spec.controllers)
        return Agent(model, sensors=[], controllers=chosen, limits=spec.limits)

    monkeypatch.setattr(Spec, "build", build)
    return model


def only_run(folder: Path) -> Path:
    (run,) = (folder / "runs").iterdir()
    return run


def test_functions_become_tools_and_results_are_shown_escaped(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scripted(monkeypatch, [LOOK, SEND, "I may not send."])
    arguments = [*BASE, "--tools", "my_tools.py", "--rule", "never send a message", "--controllers", "guard"]
    result = runner.invoke(app, [*arguments, "How is Paris? Tell Anna."])
    assert result.exit_code == 0, result.output
    assert "tool.look: grey \\u001b[31mParis" in result.output
    assert "\x1b[31mParis" not in result.output
    assert 'look(place="Paris")' in result.output
    assert "guard refuses" in result.output
    assert not (tmp_path / "sent.txt").exists()
    saved = json.loads((only_run(tmp_path) / "run.json").read_text())
    assert saved["tools"]["tools"] == [str(file)]


def test_consent_is_asked_and_carried_through_resume(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scripted(monkeypatch, [SEND, "Sent."])
    asked = runner.invoke(app, [*BASE, "--tools", "my_tools.py", "--controllers", "confirm", "Tell Anna."])
    assert asked.exit_code == 0, asked.output
    assert 'waiting for an answer: The agent wants to call send(to="Anna")' in asked.output
    assert not (tmp_path / "sent.txt").exists()
    scripted(monkeypatch, ["Sent."])
    done = runner.invoke(app, ["run", "--resume", str(only_run(tmp_path)), "--answer", "yes", "--plain"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "sent.txt").read_text() == "Anna"
    finish = read_trace(only_run(tmp_path)).finish
    assert finish is not None
    assert finish.ended == "finished"


def test_a_whole_environment_with_tasks(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [LOOK, "Grey."])
    result = runner.invoke(
        app, [*BASE, "--tools", "my_tools.py:WORLD", "--task", "seen", "--controllers", "none", "--constrained"]
    )
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1].startswith("solved after 2 steps")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--env", "tools"], "needs tools"),
        (["--env", "tools", "--tools", "nowhere.py"], "nowhere.py'; give a Python file"),
        (["--env", "tools", "--tools", "my_tools.py:NOTHING"], "'NOTHING'"),
        (["--env", "tools", "--tools", "my_tools.py:WRONG"], "3"),
        (["--env", "tools", "--tools", "broken.py"], "broken.py' can't be loaded: SyntaxError"),
        (["--env", "tools", "--tools", "empty.py"], "defines no function"),
        (["--env", "tools", "--tools", "no.such.module"], "ModuleNotFoundError"),
        (["--env", "tools", "--mcp", "no-such-program-at-all"], "No such file"),
        (["--env", "tools", "--mcp", "'open"], "No closing quotation"),
        (["--env", "tools", "--tools", "my_tools.py:WORLD", "--mcp", "x"], "give it alone"),
        (["--tools", "my_tools.py"], "add --env tools"),
    ],
)
def test_errors_are_one_line(arguments: list[str], says: str, file: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def (:\n")
    (tmp_path / "empty.py").write_text("x = 1\n")
    result = runner.invoke(app, ["run", *arguments, "--model", "some/model", "hello"])
    assert result.exit_code == 2, result.output
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_the_phones_model_is_no_chat_model(file: Path) -> None:
    result = runner.invoke(app, ["run", "--env", "tools", "--tools", "my_tools.py", "hello"])
    assert result.exit_code == 2
    assert "only knows the phone" in result.stderr


def test_names_of_tools(file: Path) -> None:
    assert set(tool_env(["my_tools.py"]).tools) == {"look", "send"}
    assert set(tool_env([f"{file}:ONE"]).tools) == {"look"}
    assert set(tool_env([f"{file}:send"]).tools) == {"send"}
    assert isinstance(tools_from(f"{file}:WORLD"), ToolEnv)
    assert set(tool_env(["statistics:mean"]).tools) == {"mean"}
    with pytest.raises(UnknownName):
        tools_from("statistics:meen")
    with pytest.raises(ConfigError, match="is no command"):
        tool_env([], ["'open"])


def test_an_mcp_server_from_the_command_line(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mcp")
    psutil: Any = pytest.importorskip("psutil")
    peer = Path(__file__).parent.parent / "envs" / "mcp_peer.py"
    call = '<tool_call>{"name": "set_note", "arguments": {"text": "hello"}}</tool_call>'
    scripted(monkeypatch, [call, "Noted."])
    before = len(psutil.Process().children())
    command = f"{sys.executable} {peer}"
    result = runner.invoke(app, [*BASE, "--mcp", command, "--tools", "my_tools.py", "--controllers", "none", "Note."])
    assert result.exit_code == 0, result.output
    assert "tool.set_note: noted: hello" in result.output
    assert len([one for one in psutil.Process().children() if one.status() != "zombie"]) == before
