"""``Escalate(changes=True)``: no tool that changes something is called without the user's consent."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from homeostat.actions import Action, Call
from homeostat.agent import Agent, Episode, read_trace
from homeostat.agent.events import Act, Asked, Decide
from homeostat.controllers import (
    Choose,
    Confirm,
    ControlContext,
    Decision,
    Escalate,
    Guard,
    Perform,
    Proceed,
    Sample,
    check_controller,
)
from homeostat.envs.tools import ToolEnv, tool
from homeostat.errors import ConfigError
from homeostat.sensors import Reading
from homeostat.testing import ScriptedModel

SEND = '<tool_call>{"name": "send", "arguments": {"to": "Anna"}}</tool_call>'
LOOK = '<tool_call>{"name": "look", "arguments": {}}</tool_call>'
BOTH = LOOK + SEND
ASKED = 'The agent wants to call send(to="Anna"). Is that allowed? Answer yes or no.'
CONSENT = Escalate(changes=True, alarms=False)


@tool(changes=False)
def look() -> str:
    """Looks."""
    return "grey"


def world() -> tuple[ToolEnv, list[str]]:
    sent: list[str] = []

    def send(to: str) -> str:
        """Sends a message."""
        sent.append(to)
        return "sent"

    return ToolEnv([look, send]), sent


def run(
    answers: Sequence[str], on_ask: Callable[[str], str], *more: object
) -> tuple[Episode, list[str], ScriptedModel]:
    env, sent = world()
    model = ScriptedModel(answers)
    agent = Agent(model, sensors=[], controllers=[*more, CONSENT])
    return agent.run("Tell Anna.", env, on_ask=on_ask), sent, model


@pytest.mark.parametrize("answer", ["yes", " Y ", "Yes."])
def test_yes_carries_the_call_out_without_asking_the_model_again(answer: str) -> None:
    asked: list[str] = []
    episode, sent, model = run([LOOK, SEND, "done"], lambda question: asked.append(question) or answer)
    assert asked == [ASKED]
    assert sent == ["Anna"]
    assert (episode.steps, episode.calls, len(model.prompts)) == (3, 3, 3)


@pytest.mark.parametrize(("answer", "told"), [("no", ""), ("only Bob", "the user said: only Bob"), ("", "")])
def test_anything_else_refuses_it_and_the_model_is_told(answer: str, told: str) -> None:
    episode, sent, model = run([SEND, "I did not send it."], lambda question: answer)
    assert sent == []
    said = " ".join(part.text for message in model.prompts[1].messages for part in message.parts)
    assert "the user did not allow that" in said
    assert told in said
    assert (episode.ended, [record.kind for record in episode.decisions]) == ("finished", ["confirm", "refuse"])


def test_a_turn_with_a_changing_call_among_others_is_asked_as_a_whole() -> None:
    asked: list[str] = []
    _, sent, _ = run([BOTH, "done"], lambda question: asked.append(question) or "no")
    assert (asked, sent) == ([ASKED], [])


def test_what_is_refused_anyway_is_not_asked() -> None:
    asked: list[str] = []
    env, sent = world()
    guarded = Agent(ScriptedModel([SEND, "no"]), sensors=[], controllers=[CONSENT, Guard(allowed_tools={"look"})])
    guarded.run("Tell Anna.", env, on_ask=lambda question: asked.append(question) or "yes")
    assert (asked, sent) == ([], [])


@pytest.mark.parametrize(("answer", "expected"), [("yes", ["Anna"]), ("no", [])])
def test_the_question_is_answered_in_another_process(tmp_path: Path, answer: str, expected: list[str]) -> None:
    env, sent = world()
    agent = Agent(ScriptedModel([SEND]), sensors=[], controllers=[CONSENT])
    waiting = agent.run("Tell Anna.", env, run_folder=tmp_path / "run")
    assert (waiting.ended, waiting.question, sent) == ("asked", ASKED, [])

    fresh, sent = world()
    other = Agent(ScriptedModel(["done"]), sensors=[], controllers=[CONSENT])
    episode = other.resume(tmp_path / "run", fresh, answer=answer).result
    assert (episode.ended, sent) == ("finished", expected)
    events = read_trace(tmp_path / "run").events
    assert [event.answer for event in events if isinstance(event, Asked)] == [answer]
    first = next(event for event in events if isinstance(event, Act))
    assert first.outcome == ("done" if expected else "refused")
    kinds = [event.decision.kind for event in events if isinstance(event, Decide)]
    assert kinds == ["proceed", "confirm", *([] if expected else ["refuse"]), "proceed"]


class Insists:
    """Carries the call out by itself, or samples and chooses it."""

    name = "insists"
    sensors: frozenset[str] = frozenset()

    def __init__(self, how: str) -> None:
        self.how = how

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Decision:
        if context.step:
            return Proceed()
        if self.how == "performs":
            call = Perform(action=Call(tool="send", arguments={"to": "Anna"}))
            return call if context.phase == "attempt" else Proceed()
        if context.phase == "attempt":
            return Sample(n=1)
        return Choose(index=1) if context.phase == "candidates" else Proceed()


@pytest.mark.parametrize("how", ["performs", "chooses"])
@pytest.mark.parametrize(("answer", "expected"), [("yes", ["Anna"]), ("no", [])])
def test_whoever_chose_the_call(how: str, answer: str, expected: list[str]) -> None:
    asked: list[str] = []
    answers = [LOOK, SEND, "done"] if how == "chooses" else [LOOK, "done"]
    episode, sent, _ = run(answers, lambda question: asked.append(question) or answer, Insists(how))
    assert (asked, sent) == ([ASKED], expected)
    assert "confirm" in [record.kind for record in episode.decisions]


def test_a_run_that_is_resumed_under_a_stricter_agent_does_not_act_unasked(tmp_path: Path) -> None:
    class Stopped(BaseException):
        pass

    class Lax:
        name = "lax"
        sensors: frozenset[str] = frozenset()

        def decide(self, readings: Sequence[Reading], context: ControlContext) -> Decision:
            return Proceed()

        def refuse(self, action: Action, context: ControlContext) -> None:
            return None

    env, sent = world()
    started = Agent(ScriptedModel([SEND]), sensors=[], controllers=[Lax()]).start(
        "Tell Anna.", env, run_folder=tmp_path / "run"
    )
    for event in started:
        if isinstance(event, Decide) and event.decision.kind == "proceed":
            started.close()
            break
    assert sent == []
    fresh, sent = world()
    asked: list[str] = []
    strict = Agent(ScriptedModel(["done"]), sensors=[], controllers=[CONSENT])
    strict.resume(tmp_path / "run", fresh, on_ask=lambda question: asked.append(question) or "no")
    assert sent == []


def test_the_controller_by_itself() -> None:
    check_controller(CONSENT)
    context = ControlContext(phase="attempt", goal="g", instruction="g")
    assert CONSENT.confirm(Call(tool="send"), context) is None  # an unknown tool does nothing
    env, _ = world()
    tools = tuple(one.spec for one in env.tools.values())
    asked = CONSENT.confirm(Call(tool="send", arguments={"to": "Anna"}), context.model_copy(update={"tools": tools}))
    assert asked == Confirm(question=ASKED, cause="changes:send")
    assert Escalate().confirm(Call(tool="send"), context.model_copy(update={"tools": tools})) is None
    with pytest.raises(ConfigError, match="never asks"):
        Escalate(alarms=False)
    with pytest.raises(ConfigError, match=r"does not contain \{calls\}"):
        Escalate(consent="May I?")
