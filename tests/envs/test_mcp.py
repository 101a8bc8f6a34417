"""``McpServer``: tools of real MCP servers over stdio and HTTP, their hints, their failures and their end."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from homeostat.actions import Answer, Call, Calls
from homeostat.agent import Agent
from homeostat.envs.tools import McpServer, Tool, ToolEnv
from homeostat.errors import ActionError, ConfigError, EnvError, UnknownName
from homeostat.testing import ScriptedModel

pytest.importorskip("mcp", reason="needs the extra mcp")
psutil = pytest.importorskip("psutil")

PEER = [sys.executable, str(Path(__file__).with_name("mcp_peer.py"))]


def children() -> list[Any]:
    return [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]


def named(server: McpServer) -> dict[str, Tool]:
    return {tool.spec.name: tool for tool in server.tools()}


@pytest.fixture(scope="module")
def peer() -> Iterator[McpServer]:
    with McpServer(PEER, trust_hints=True, seconds=20) as server:
        yield server


@pytest.mark.skipif(find_spec("mcp_server_time") is None, reason="needs mcp-server-time")
def test_somebody_elses_server_in_an_episode() -> None:
    asked = '{"source_timezone": "Europe/Paris", "time": "12:00", "target_timezone": "Asia/Tokyo"}'
    call = '<tool_call>{"name": "convert_time", "arguments": %s}</tool_call>'
    before = len(children())
    env = ToolEnv([McpServer([sys.executable, "-m", "mcp_server_time"])])
    assert set(env.tools) == {"convert_time", "get_current_time"}
    assert all(tool.spec.changes and not tool.spec.repeatable for tool in env.tools.values())  # hints are not believed
    assert env.tools["convert_time"].spec.parameters["required"] == ["source_timezone", "time", "target_timezone"]
    model = ScriptedModel([call % "{}", call % asked, "It is 20:00 in Tokyo."])
    episode = Agent(model, sensors=[], controllers=[]).run("When it is noon in Paris, how late is it in Tokyo?", env)
    (missing, converted) = env.outcome().calls
    assert "required" in missing[1]
    assert "+09:00" in converted[1]
    assert "T20:00:00" in converted[1] or "T19:00:00" in converted[1]  # Paris has summer time, Tokyo has none
    assert (episode.ended, episode.steps) == ("finished", 3)
    env.close()
    assert len(children()) == before
    with pytest.raises(ActionError, match="is closed"):
        env.tools["convert_time"].call({"source_timezone": "UTC", "time": "12:00", "target_timezone": "UTC"})


def test_hints_count_only_where_they_are_trusted(peer: McpServer) -> None:
    trusted = {name: (tool.spec.changes, tool.spec.repeatable) for name, tool in named(peer).items()}
    assert (trusted["list_notes"], trusted["set_note"], trusted["sleep"]) == (
        (False, True),
        (True, True),
        (True, False),
    )
    with McpServer(PEER, only=["list_notes"], prefix="my_") as careful:
        (tool,) = careful.tools()
        assert (tool.spec.name, tool.spec.changes, tool.spec.repeatable) == ("my_list_notes", True, False)
        assert tool.call({}) == '{"result": []}'  # there is no content, so the structured content is shown
        assert {"list_notes", "my_list_notes"} <= set(ToolEnv([list(peer.tools()), careful]).tools)


def test_results_are_text(peer: McpServer) -> None:
    tools = named(peer)
    assert tools["set_note"].call({"text": "Grüße 🌍\u2028"}) == "noted: Grüße 🌍\u2028"
    assert "Grüße" in tools["list_notes"].call({})
    assert tools["picture"].call({}) == "see:\n(image of the type image/png, 6 bytes, which can't be shown)"


def test_a_server_sees_few_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "hush")
    with McpServer(PEER, variables={"COLOUR": "red"}) as server:
        seen = named(server)["surroundings"].call({})
    assert "hush" not in seen
    assert '"COLOUR": "red"' in seen or '"COLOUR":"red"' in seen


def test_a_slow_call_is_given_up_and_the_server_goes_on() -> None:
    with McpServer(PEER, seconds=0.5) as server:
        tools = named(server)
        with pytest.raises(ActionError, match=r"sleep.*(0\.5|[Tt]imed? ?out)"):
            tools["sleep"].call({"seconds": 1.5})
        time.sleep(1.2)
        assert tools["set_note"].call({"text": "on"}) == "noted: on"


def test_a_server_that_dies_is_a_clear_error_and_the_episode_goes_on() -> None:
    env = ToolEnv([McpServer(PEER)])
    with pytest.raises(ActionError, match=r"die: the MCP server .* has ended \(its last words: I was told to die\)"):
        env.act(Call(tool="die"))
    with pytest.raises(ActionError, match=r"list_notes: the MCP server .* has ended"):
        env.act(Call(tool="list_notes"))
    env.act(Answer(text="It is gone."))
    assert env.ended
    env.close()


def test_one_failed_call_of_several_is_only_a_result(peer: McpServer) -> None:
    env = ToolEnv([peer])
    env.act(Calls(calls=(Call(tool="set_note", arguments={}), Call(tool="set_note", arguments={"text": "b"}))))
    shown = env.observe().conversation
    assert shown is not None
    assert [turn.text.startswith("error: ") for turn in shown.turns if turn.role == "tool"] == [True, False]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["no-such-program-at-all"], "No such file"),
        ([sys.executable, "-c", "print('hello')"], "Connection closed"),
        ([sys.executable, "-c", "import sys; sys.exit('bad option')"], "its last words: bad option"),
        ([sys.executable, "-c", "import time; time.sleep(60)"], "within 1 s"),
    ],
)
def test_a_program_that_is_no_server(command: list[str], says: str) -> None:
    with pytest.raises(EnvError, match=says) as caught:
        ToolEnv([McpServer(command, start_seconds=1)])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "neither a command nor a URL"),
        ({"command": ["x"], "url": "http://x"}, "both 'x' and 'http://x'"),
        ({"url": "ftp://x"}, "no HTTP address"),
        ({"command": "x", "seconds": 0}, "more than 0"),
    ],
)
def test_settings_that_can_not_be(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        McpServer(**settings)


def test_names_that_can_not_be(peer: McpServer) -> None:
    with pytest.raises(ConfigError, match="two tools are named 'list_notes'"):
        ToolEnv([list(peer.tools()), list(peer.tools())])
    with pytest.raises(UnknownName, match=r"'list_note'.*list_notes"):
        McpServer(PEER, only=["list_note"]).tools()


def test_a_server_behind_a_url_with_a_header() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = subprocess.Popen([*PEER, str(port)])
    try:
        for _ in range(200):
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        url = f"http://user:hidden@127.0.0.1:{port}/mcp?token=hidden"
        with pytest.raises(EnvError, match="can't be used") as caught:
            McpServer(url=url, start_seconds=20).tools()
        assert "hidden" not in str(caught.value)
        with McpServer(url=f"http://127.0.0.1:{port}/mcp", headers={"x-key": "secret"}) as server:
            assert "secret" not in repr(server)
            tools = named(server)
            assert tools["set_note"].call({"text": "over HTTP"}) == "noted: over HTTP"
            with pytest.raises(ActionError):
                tools["die"].call({})
            with pytest.raises(ActionError):
                tools["list_notes"].call({})
    finally:
        program.kill()
        program.wait()


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"type": "array"}, "make it an object"),
        ({"type": "object", "properties": {"a": {"type": "strong"}}}, "can't be used"),
        ({"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/x.json"}}}, "is not fetched"),
    ],
)
def test_a_schema_that_can_not_be_used(parameters: dict[str, Any], says: str) -> None:
    from homeostat.conversation import ToolSpec

    with pytest.raises(ConfigError, match=says):
        Tool(ToolSpec(name="t", parameters=parameters), lambda arguments: "")


def test_a_broken_reference_is_an_error_of_the_call() -> None:
    from homeostat.conversation import ToolSpec

    broken = {"type": "object", "properties": {"a": {"$ref": "#/$defs/missing"}}}
    with pytest.raises(ActionError, match="schema is broken"):
        Tool(ToolSpec(name="t", parameters=broken), lambda arguments: "").call({"a": 1})
