"""``ToolEnv``: functions become tools, arguments are validated, results are turns, and a crash is survived."""

import json

import pytest
from langchain_core.tools import tool as langchain_tool
from pydantic import BaseModel

from homeostat.actions import Answer, Call, Calls, Click, Question
from homeostat.envs.tools import Outcome, Tool, ToolEnv, ToolTask, tool
from homeostat.errors import ActionError, ConfigError, UnknownName


class Stay(BaseModel):
    nights: int
    city: str = "Paris"


@tool(changes=False)
def get_weather(city: str, days: int = 1) -> dict[str, object]:
    """Returns the weather of a city.

    Args:
        city: The city's name.
        days: How many days ahead.
    """
    return {"city": city, "days": days}


async def send(to: str, text: str = "hi") -> str:
    """Sends a message."""
    return f"sent {text!r} to {to}"


def book(stay: Stay) -> str:
    return f"{stay.nights} nights in {stay.city}"


def fails() -> None:
    raise KeyError("no such\nrow")


def test_a_function_becomes_a_schema() -> None:
    spec = Tool.of(get_weather).spec
    assert spec.name == "get_weather"
    assert spec.description == "Returns the weather of a city."
    assert spec.parameters["properties"]["city"] == {"type": "string", "description": "The city's name."}
    assert spec.parameters["properties"]["days"]["default"] == 1
    assert spec.parameters["required"] == ["city"]
    assert (spec.repeatable, spec.changes) == (True, False)
    assert (Tool.of(send).spec.repeatable, Tool.of(send).spec.changes) == (False, True)


def test_the_keys_of_a_schema_stand_in_the_order_of_transformers() -> None:
    from transformers.utils import get_json_schema

    def counts(city: str, days: int = 1, units: list[str] | None = None) -> str:
        """
        Counts the hours of sun.

        Args:
            city: The city's name.
            days: How many days.
            units: Which units.
        """
        return city

    def order(schema: object) -> object:
        return [(key, order(value)) for key, value in schema.items()] if isinstance(schema, dict) else None

    theirs = get_json_schema(counts)["function"]["parameters"]
    ours = dict(Tool.of(counts).spec.parameters)
    assert ours.pop("additionalProperties") is False
    assert list(ours) == list(theirs)
    assert order(ours["properties"]["city"]) == order(theirs["properties"]["city"])
    stay = Tool.of(book).spec.parameters["properties"]["stay"]
    assert list(stay["properties"]) == ["nights", "city"]
    assert stay["properties"]["city"] == {"type": "string", "default": "Paris"}


def test_calls_and_results_are_turns() -> None:
    env = ToolEnv([get_weather, send, book], rules=["be kind"])
    assert env.reset_task(None, seed=3).rules == ("be kind",)
    env.act(Call(tool="get_weather", arguments={"city": "Paris"}, id="c1"))
    env.act(
        Calls(calls=(Call(tool="send", arguments={"to": "Anna"}), Call(tool="book", arguments={"stay": {"nights": 2}})))
    )
    env.act(Answer(text="done"))
    conversation = env.observe().conversation
    assert conversation is not None
    shown = [(turn.role, turn.span, turn.text or [str(call) for call in turn.calls]) for turn in conversation.turns]
    assert shown == [
        ("assistant", "history", ['get_weather(city="Paris")']),
        ("tool", "tool.get_weather", '{"city":"Paris","days":1}'),
        ("assistant", "history", ['send(to="Anna")', 'book(stay={"nights": 2})']),
        ("tool", "tool.send", "sent 'hi' to Anna"),
        ("tool", "tool.book", "2 nights in Paris"),
        ("assistant", "history", "done"),
    ]
    assert conversation.turns[1].call == "c1"
    assert env.ended
    assert [result for _, result in env.outcome().calls][1:] == ["sent 'hi' to Anna", "2 nights in Paris"]


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (Call(tool="get_wether", arguments={"city": "Paris"}), ("get_wether", "get_weather")),
        (Call(tool="get_weather"), ("get_weather", "city")),
        (Call(tool="get_weather", arguments={"city": 3}), ("city", "string")),
        (Call(tool="get_weather", arguments={"city": "Paris", "month": 3}), ("month",)),
        (Call(tool="book", arguments={"stay": {"nights": "many"}}), ("stay.nights", "integer")),
        (Call(tool="fails"), ("fails", "KeyError")),
        (Call(tool="get_weather", arguments={"city": ["x" * 10_000]}), ("city",)),
        (Click(point=(0.5, 0.5)), ("click",)),
    ],
)
def test_what_does_not_fit_is_said_in_one_line_and_to_the_model(call: Call, names: tuple[str, ...]) -> None:
    env = ToolEnv([get_weather, book, fails])
    env.reset_task(None, seed=0)
    with pytest.raises(ActionError) as caught:
        env.act(call)
    message = str(caught.value)
    assert all(name in message for name in names)
    assert len(message) < 1000
    assert "\n" not in message
    if isinstance(call, Call):
        conversation = env.observe().conversation
        assert conversation is not None
        assert conversation.turns[-1].text == f"error: {message}"


def test_only_a_turn_of_which_no_call_succeeded_is_an_error() -> None:
    env = ToolEnv([get_weather, fails])
    env.reset_task(None, seed=0)
    env.act(Calls(calls=(Call(tool="fails"), Call(tool="get_weather", arguments={"city": "Rome"}))))
    with pytest.raises(ActionError):
        env.act(Calls(calls=(Call(tool="fails"), Call(tool="fails"))))


def test_a_question_goes_to_the_user_or_ends_the_episode() -> None:
    env = ToolEnv([], ask_user=lambda question: f"to {question!r}: yes")
    env.reset_task(None, seed=0)
    env.act(Question(text="Really?"))
    conversation = env.observe().conversation
    assert conversation is not None
    assert [(turn.role, turn.text) for turn in conversation.turns] == [
        ("assistant", "Really?"),
        ("user", "to 'Really?': yes"),
    ]
    assert not env.ended
    alone = ToolEnv([])
    alone.reset_task(None, seed=0)
    alone.act(Question(text="Really?"))
    assert alone.ended


def test_a_task_is_judged_by_what_was_done() -> None:
    def check(outcome: Outcome) -> bool:
        return [call.tool for call, _ in outcome.calls] == ["get_weather"] and "Rome" in outcome.answer

    task = ToolTask(
        "rome",
        "How is Rome?",
        check=check,
        rules=("say please",),
        solution=(Call(tool="get_weather", arguments={"city": "Rome"}), "Rome is fine."),
    )
    env = ToolEnv([get_weather], rules=["be kind"], tasks=[task])
    info = env.reset_task("rome", seed=1)
    assert (info.goal, info.rules, info.optimal_steps) == ("How is Rome?", ("be kind", "say please"), 2)
    while not env.ended:
        assert not env.success()
        env.act(env.oracle())
    assert env.success()
    with pytest.raises(UnknownName, match="rome"):
        env.reset_task("rom")


def test_the_conversation_survives_a_restart() -> None:
    env = ToolEnv([get_weather, send])
    env.reset_task(None, seed=0)
    env.act(Call(tool="get_weather", arguments={"city": "Paris"}))
    stored = json.loads(json.dumps(env.snapshot()))
    other = ToolEnv([get_weather, send])
    other.reset_task(None, seed=0)
    other.restore(stored)
    assert other.observe().fingerprint == env.observe().fingerprint
    assert other.outcome() == env.outcome()
    assert env.repeatable(Call(tool="get_weather"))
    assert not env.repeatable(Call(tool="send"))
    assert not env.repeatable(Calls(calls=(Call(tool="get_weather"), Call(tool="send"))))


def test_a_long_result_is_cut_with_a_word() -> None:
    def everything() -> str:
        return "x" * 5_000

    env = ToolEnv([everything], longest_result=1_000)
    env.reset_task(None, seed=0)
    env.act(Call(tool="everything"))
    conversation = env.observe().conversation
    assert conversation is not None
    assert len(conversation.turns[-1].text) < 1_100
    assert "4000 more characters" in conversation.turns[-1].text
    assert len(env.outcome().calls[0][1]) == 5_000


def test_langchain_tools_are_tools() -> None:
    @langchain_tool
    async def search(query: str) -> str:
        """Searches the web."""
        return f"found {query}"

    env = ToolEnv([search, [get_weather]])
    env.reset_task(None, seed=0)
    env.act(Call(tool="search", arguments={"query": "cats"}))
    assert env.outcome().calls[0][1] == "found cats"
    assert set(env.tools) == {"search", "get_weather"}


@pytest.mark.parametrize(
    ("tools", "names"),
    [([get_weather, get_weather], "get_weather"), ([3], "3"), ([lambda *rest: 1], "rest")],
)
def test_what_is_no_tool_is_refused_by_name(tools: list[object], names: str) -> None:
    with pytest.raises(ConfigError, match=names):
        ToolEnv(tools)


def test_many_calls_huge_results_and_no_tools() -> None:
    def huge(n: int) -> str:
        """Returns much."""
        return "ü🌍" * n

    env = ToolEnv([huge], longest_result=200)
    env.act(Calls(calls=tuple(Call(tool="huge", arguments={"n": n}, id=str(n)) for n in range(1, 101))))
    turns = env.observe().conversation
    assert turns is not None
    results = turns.turns[1:]
    assert [turn.call for turn in results] == [str(n) for n in range(1, 101)]
    assert all(len(turn.text) < 300 for turn in results)
    env.act(Call(tool="huge", arguments={"n": 2_000_000}))
    assert "3999800 more characters were cut off" in env.observe().conversation.turns[-1].text  # type: ignore[union-attr]
    empty = ToolEnv([])
    with pytest.raises(ActionError, match="huge"):
        empty.act(Call(tool="huge"))
    empty.act(Answer(text="No tools."))
    assert empty.ended


def test_a_subtask_of_a_plan_ends_with_an_answer_and_the_episode_with_the_last() -> None:
    from homeostat.agent import Agent
    from homeostat.controllers import Decompose

    first, second = '{"instruction": "Look.", "save": "sky"}', '{"instruction": "Send {sky} to Anna."}'
    plan = f'{{"parts": [{first}, {second}]}}'
    answers = iter(
        [
            plan,
            '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>',
            "grey",
            '<tool_call>{"name": "send", "arguments": {"to": "Anna", "text": "grey"}}</tool_call>',
            "Done.",
        ]
    )
    from homeostat.testing import ScriptedModel

    model = ScriptedModel(lambda prompt: next(answers))
    env = ToolEnv([get_weather, send])
    episode = Agent(model, sensors=[], controllers=[Decompose(conversations=True)]).run("Tell Anna the weather.", env)
    assert [call.tool for call, _ in env.outcome().calls] == ["get_weather", "send"]
    assert (env.outcome().answer, episode.ended) == ("Done.", "finished")


def test_calls_are_the_same_whatever_the_order_of_their_arguments() -> None:
    from homeostat.controllers.forest import same_action

    one = Call(tool="send", arguments={"to": "Anna", "text": "hi"}, id="1")
    other = Call(tool="send", arguments={"text": "hi", "to": "Anna"}, id="2")
    assert same_action(one) == same_action(other)
    assert same_action(one) != same_action(Call(tool="send", arguments={"to": "Anna", "text": "Hi!"}))
    assert same_action(Calls(calls=(one, other))) == same_action(Calls(calls=(other, one)))
    assert same_action(Calls(calls=(one, other))) != same_action(one)
