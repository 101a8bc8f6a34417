"""``homeostat chat`` against a small server: piped and in a terminal, interrupted, resumed, and refused."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from homeostat.agent import AgentSpec, read_trace
from homeostat.cli.root import app

runner = CliRunner()


@pytest.fixture
def server(chat_server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The server; commands run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    return chat_server


def only_run(folder: Path) -> Path:
    (run,) = (folder / "runs").iterdir()
    return run


def test_a_piped_chat_is_plain_lines_with_readings_below_each_answer(server: Any, tmp_path: Path) -> None:
    told = {"content": [{"token": "ok", "logprob": -0.25}]}
    server.answer = lambda request, number: server.completion(f"answer {number}\nmore", logprobs=told)
    args = ["chat", "--model", server.url, "--system", "You help.", "--rule", "be brief"]
    result = runner.invoke(app, args, input="Hello\n\nAnd?\n/readings\n/quit\nnever\n")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert "sensor 'attention_drift' is left out: it needs attention, which 'openai:tiny' does not offer" in lines
    at = lines.index("assistant: answer 0")
    assert lines[at + 1] == "more"
    assert lines[at + 2].startswith("  confidence +0.78")
    assert "you: And?" in lines
    table = lines.index(next(line for line in lines if line.startswith("turn  confidence")))
    assert [line.split()[0] for line in lines[table + 1 : table + 3]] == ["1", "2"]
    assert lines[-1].startswith("the user ended the conversation after 2 turns; trace: runs/")
    sent = server.requests[1]["messages"]
    assert [m["role"] for m in sent] == ["system", "user", "assistant", "user"]
    assert sent[0]["content"] == "You help.\nRules:\nbe brief"
    trace = read_trace(only_run(tmp_path))
    assert trace.start.left_out == {"attention_drift": "needs attention, which 'openai:tiny' does not offer"}
    assert trace.start.task.goal == "Hello"


def test_what_the_assistant_says_can_not_drive_the_terminal(server: Any) -> None:
    server.answer = lambda request, number: "\x1b[2J\x07ok \u202e sk-abcdefghijklmnop1234"
    result = runner.invoke(app, ["chat", "--model", server.url], input="Hello\n")
    assert result.exit_code == 0, result.output
    assert not {"\x1b", "\x07", "\u202e"} & set(result.output)
    assert "\\u001b[2J" in result.output
    assert "sk-abcdef" not in result.output


def test_nothing_said_leaves_nothing(server: Any, tmp_path: Path) -> None:
    result = runner.invoke(app, ["chat", "--model", server.url], input="/quit\n")
    assert (result.exit_code, result.stdout) == (0, "nothing was said\n")
    assert not (tmp_path / "runs").exists()


def test_a_server_that_fails_leaves_a_chat_that_goes_on(server: Any, tmp_path: Path) -> None:
    server.answer = lambda request, number: "one" if not number else (400, {"error": {"message": "broken"}})
    result = runner.invoke(app, ["chat", "--model", server.url], input="first\nsecond\n")
    assert result.exit_code == 2
    run = only_run(tmp_path)
    assert f"homeostat chat --resume runs/{run.name}" in result.stderr
    assert "broken" in result.stderr.splitlines()[-1]
    refused = runner.invoke(app, ["run", "--resume", run.name])
    assert "is a chat" in refused.stderr
    server.answer = lambda request, number: "two"
    again = runner.invoke(app, ["chat", "--resume", run.name], input="third\n")
    assert again.exit_code == 0, again.output
    said = [m["content"] for m in server.requests[-1]["messages"][1:]]
    assert said == ["first", "one", "second", "two", "third"]
    over = runner.invoke(app, ["chat", "--resume", run.name])
    assert over.exit_code == 0
    assert "after 3 turns" in over.output


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["--model", "homeostat/nano"], "can't chat"),
        (["--model", "openai:x", "--base-url", "nowhere"], "http://"),
        (["--model", "openai:x", "--device", "cuda"], "device"),
        (["--model", "openai:x", "--controllers", "steer"], "attention"),
        (["--base-url", "http://127.0.0.1:9", "--model", "./here"], "openai:NAME"),
        (["--model", "openai:x", "--user-model", "openai:y"], "--user-role"),
        (["--resume", "gone"], "gone"),
    ],
)
def test_what_can_not_be_is_one_line(server: Any, args: list[str], word: str) -> None:
    result = runner.invoke(app, ["chat", *args], input="Hello\n")
    assert result.exit_code == 2
    assert word in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.output


def test_a_specification_builds_a_model_on_a_server(server: Any) -> None:
    spec = AgentSpec(model="openai:other", base_url=server.url, controllers=("remind-fixed",))
    spec.check()
    agent = spec.build()
    assert agent.model.name == "openai:other"
    assert [sensor.name for sensor in agent.sensors] == ["confidence"]
    assert set(agent.degraded) == {"attention_drift"}


def test_a_chat_may_have_tools(server: Any, tmp_path: Path) -> None:
    (tmp_path / "sky.py").write_text(
        'def look(city: str) -> str:\n    """Looks at the sky."""\n    return f"grey over {city}\\x1b[1m"\n'
    )
    call = {"id": "x1", "type": "function", "function": {"name": "look", "arguments": '{"city": "Paris"}'}}
    said = {"role": "assistant", "content": None, "tool_calls": [call]}
    server.answer = lambda request, number: server.completion(said) if not number else "It is grey."
    args = ["chat", "--model", server.url, "--tools", "sky.py"]
    result = runner.invoke(app, args, input="How is Paris?\n")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert '  look(city="Paris")' in lines
    assert "  look returned: grey over Paris\\u001b[1m" in lines
    assert "assistant: It is grey." in lines
    assert server.requests[0]["tools"][0]["function"]["name"] == "look"


def test_a_model_plays_the_user(server: Any, tmp_path: Path) -> None:
    def answer(request: dict[str, Any], number: int) -> str:
        played = "You want a table" in request["messages"][0]["content"]
        said = sum(m["role"] == "assistant" for m in request["messages"])
        return ("A table, please.", "Tonight.", "[END]")[said] if played else f"answer {said}"

    server.answer = answer
    args = ["chat", "--model", server.url, "--user-role", "You want a table.", "--user-model", f"{server.url}#other"]
    result = runner.invoke(app, args)
    assert result.exit_code == 0, result.output
    said = [line for line in result.stdout.splitlines() if line.startswith(("user: ", "assistant: "))]
    assert said == ["user: A table, please.", "assistant: answer 0", "user: Tonight.", "assistant: answer 1"]
    assert {request["model"] for request in server.requests} == {"tiny", "other"}


class Typed:
    """A chat in a pseudo-terminal."""

    def __init__(self, *args: str) -> None:
        self.master, slave = pty.openpty()
        code = "from homeostat.cli.root import main; main()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, "chat", *args],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={**os.environ, "TERM": "dumb", "COLUMNS": "200"},
        )
        os.close(slave)
        self.output = ""

    def until(self, word: str) -> None:
        end = time.monotonic() + 120
        while word not in self.output:
            assert time.monotonic() < end, self.output
            try:
                self.output += os.read(self.master, 4096).decode(errors="replace")
            except OSError:
                break
        assert word in self.output, self.output
        self.output = self.output.partition(word)[2]

    def type(self, line: str) -> None:
        os.write(self.master, line.encode() + b"\n")

    def end(self) -> int:
        status = self.process.wait(60)
        os.close(self.master)
        return status


def test_ctrl_c_at_the_prompt_saves_the_chat(server: Any, tmp_path: Path) -> None:
    typed = Typed("--model", server.url)
    typed.until("you: ")
    typed.type("Hello")
    typed.until("assistant: answer 0")
    typed.until("you: ")
    os.kill(typed.process.pid, signal.SIGINT)
    typed.until("the chat is saved")
    assert typed.end() == 130
    again = Typed("--resume", str(only_run(tmp_path)))
    again.until("assistant: answer 0")
    again.until("you: ")
    again.type("More")
    again.until("assistant: answer 1")
    again.until("you: ")
    again.type("/quit")
    again.until("after 2 turns")
    assert again.end() == 0
    assert len(server.requests) == 2


def test_diagnose_takes_a_judge_on_a_server(server: Any, tiny_folder: Path, tmp_path: Path) -> None:
    server.answer = lambda request, number: (
        '{"GA": {"score": 2}, "RC": {"score": 3}, "KBA": {"score": 4}, "CC": {"score": 5}}'
    )
    args = ["diagnose", "--model", str(tiny_folder), "--suite", "chat", "--count", "2", "--max-new-tokens", "4"]
    result = runner.invoke(app, [*args, "--judge", server.url, "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert len(server.requests) == 4
    assert "3.5" in (tmp_path / "out" / "report.json").read_text()


def test_a_model_on_a_server_is_evaluated_and_where_weights_are_needed_refused(server: Any, tmp_path: Path) -> None:
    give_up = '<tool_call>{"name": "mobile_use", "arguments": {"action": "terminate", "status": "failure"}}</tool_call>'
    server.answer = lambda request, number: give_up
    args = ["eval", "--suite", "atomic", "--episodes", "2", "--model", "openai:tiny", "--base-url", server.url]
    result = runner.invoke(app, [*args, "--json", "found.json"])
    assert result.exit_code == 0, result.output
    assert len(server.requests) == 2
    found = json.loads((tmp_path / "found.json").read_text())["arguments"]
    assert (found["model"], found["weights"], found["base_url"]) == ("openai:tiny", None, server.url)
    refused = runner.invoke(app, ["profile", "--model", "openai:tiny", "--out", "heads.json"])
    assert refused.exit_code == 2
    assert "weights are needed here" in refused.stderr
