"""The measure of fixation while an agent acts: what its events say was attempted, told and done."""

from __future__ import annotations

from typing import Any

from homeostat.actions import Open
from homeostat.agent import Agent, AgentSpec
from homeostat.agent.runner import AgentRunner
from homeostat.agent.testing import ScriptedModel
from homeostat.controllers import Proceed, Refuse
from homeostat.envs.harness import Case, Fixation

CALL = '<tool_call>{"name": "mobile_use", "arguments": %s}</tool_call>'


def line(**arguments: object) -> str:
    return CALL % str(arguments).replace("'", '"')


class Once:
    """Refuses to open an app named memos after the first step."""

    name = "once"
    sensors = frozenset[str]()

    def decide(self, readings: Any, context: Any) -> Proceed:
        return Proceed()

    def refuse(self, action: Any, context: Any) -> Refuse | None:
        again = isinstance(action, Open) and action.app == "memos" and context.step > 0
        return Refuse(reason="memos was opened already") if again else None


def test_a_refused_return_to_a_decoy_is_persistence() -> None:
    runner = AgentRunner(AgentSpec(model="homeostat/nano"), options={"adversity": {"distractors": 2}})
    memos, settings = line(action="open", text="memos"), line(action="open", text="settings")
    home, stop = line(action="system_button", button="Home"), line(action="terminate", status="failure")
    # On a decoy; back; the same again, which is refused; once more, refused again; something else; the end.
    runner.agent = Agent(ScriptedModel([memos, home, memos, memos, settings, stop]), controllers=[Once()])
    result = runner.run(0, Case("notes_add", 3))
    assert result.corrections.get("refuse") == 2
    # Wrong are memos, twice the refused memos, settings, and the end. The first memos is followed by home without
    # feedback, the second by the third and the third by settings, both after a refusal.
    assert result.fixation == Fixation(wrong=5, on_decoy=3, followed=1, repeated=0, told=2, persisted=1)
    plain = AgentRunner(AgentSpec(model="homeostat/nano"))
    plain.agent = Agent(ScriptedModel([memos, stop]))
    assert plain.run(0, Case("notes_add", 3)).fixation is None
