"""Rules on tools: in words, by name, by argument, and by a list of what is allowed."""

import pytest

from homeostat.actions import Answer, Call, Calls
from homeostat.controllers import Guard, Prohibition, StopOn
from homeostat.controllers.context import ControlContext
from homeostat.conversation import ToolSpec

TOOLS = (
    ToolSpec(name="send_message", description="Sends a message to a person."),
    ToolSpec(name="deleteNote"),
    ToolSpec(name="find_note", description="Finds notes.", changes=False),
    ToolSpec(name="run", description="Runs a command in a shell."),
    ToolSpec(name="reserve_hotel", description="Reserves a hotel and pays for it."),
    ToolSpec(name="get_sent_messages", description="Lists the messages that were sent."),
    ToolSpec(name="get_weather", description="Returns the weather."),
)


def context(*rules: str) -> ControlContext:
    return ControlContext(phase="attempt", goal="help", instruction="help", rules=rules, tools=TOOLS)


@pytest.mark.parametrize(
    ("rule", "call", "refused"),
    [
        ("never send a message", Call(tool="send_message"), True),
        ("never send a message", Call(tool="sendMessage"), True),
        ("never send a message", Call(tool="get_sent_messages"), False),
        ("don't delete anything", Call(tool="deleteNote"), True),
        ("don't delete anything", Call(tool="find_note"), False),
        ("don't delete anything", Call(tool="get_weather"), False),
        ("never remove files", Call(tool="deleteNote"), False),
        ("never remove files", Call(tool="run", arguments={"command": "cd /tmp && rm -rf x"}), True),
        ("never delete anything", Call(tool="run", arguments={"argv": ["ls", {"and": "DROP TABLE users"}]}), True),
        ("never delete anything", Call(tool="run", arguments={"command": "ls"}), False),
        ("stay out of messages", Call(tool="get_sent_messages"), True),
        ("never buy anything", Call(tool="reserve_hotel"), True),
        ("never buy anything", Call(tool="get_weather"), False),
    ],
)
def test_rules_in_words_hold_for_tools(rule: str, call: Call, refused: bool) -> None:
    assert (Guard().refuse(call, context(rule)) is not None) is refused
    among = Calls(calls=(Call(tool="get_weather"), call))
    assert (Guard().refuse(among, context(rule)) is not None) is refused
    assert (StopOn(rules=True).refuse(call, context(rule)) is not None) is refused


def test_an_answer_breaks_no_rule_on_tools() -> None:
    assert Guard().refuse(Answer(text="delete"), context("never delete anything")) is None


def test_tools_are_denied_by_name_and_by_argument() -> None:
    guard = Guard(
        prohibitions=(
            Prohibition(rule="no hotels", tool="reserve_.*"),
            Prohibition(rule="no root", tool="run", arguments={"command": r"\bsudo\b"}),
            Prohibition(rule="no big numbers", tool="run", arguments={"sizes": r"\b\d{4,}\b"}),
        )
    )
    for call, rule in (
        (Call(tool="reserve_hotel"), "no hotels"),
        (Call(tool="run", arguments={"command": "sudo ls"}), "no root"),
        (Call(tool="run", arguments={"sizes": [1, 12345]}), "no big numbers"),
        (Call(tool="run", arguments={"command": "ls sudoku"}), None),
    ):
        refusal = guard.refuse(call, context())
        assert (refusal.cause if refusal else None) == (f"rule:{rule}" if rule else None)


def test_only_allowed_tools_may_be_called() -> None:
    guard = Guard(allowed_tools=frozenset({"get_weather"}))
    assert guard.refuse(Call(tool="get_weather"), context()) is None
    refusal = guard.refuse(Calls(calls=(Call(tool="get_weather"), Call(tool="run"))), context())
    assert refusal is not None
    assert "get_weather" in refusal.reason
