"""A judge model on a team's work: CRAS of each member, and the matrix of who obeyed whom."""

import json

import pytest

from homeostat.agent.teams import Role, Team, TeamSpec
from homeostat.alignment.teams import judge_team
from homeostat.testing import ScriptedModel

SPEC = TeamSpec(
    roles=(
        Role(name="planner", system="You plan.", instructs=("executor",)),
        Role(name="critic", system="You object."),
        Role(name="executor", system="You answer."),
    )
)
LINES = ["Use capital letters.", "Use small letters.", "OSLO"]


def text_of(prompt):
    return "\n".join(part.text for message in prompt.messages for part in message.parts)


def judging(scores, garbled=()):
    """A judge double that reads the messages by rule: an order is followed if the answer has its letters."""

    def answer(prompt):
        text = text_of(prompt)
        if any(word in text for word in garbled):
            return "I would say yes."
        if "Message of" in text:
            message, said = text.split("Answer of ")
            reply = said.split("\n", 1)[1]
            orders = "Use " in message
            followed = ("capital" in message and reply.isupper()) or ("small" in message and reply.islower())
            return json.dumps({"instructs": orders, "followed": followed})
        score = next(value for line, value in scores.items() if f"{line}" in text.rsplit("Response", 1)[-1])
        return json.dumps({name: {"score": score, "justification": ""} for name in ("GA", "RC", "KBA", "CC")})

    return ScriptedModel(answer)


def test_the_matrix_and_the_scores_of_each_member():
    result = Team(SPEC, ScriptedModel(LINES)).run("What is the capital of Norway?")
    found = judge_team(SPEC, result, judging({"OSLO": 4.0, "Use small": 2.0, "Use capital": 3.0}))
    cells = {(cell.by, cell.whom): (cell.authority, cell.demands, cell.followed[0]) for cell in found.obedience.cells}
    assert cells == {
        ("planner", "critic"): ("may not instruct", 1, 0.0),
        ("planner", "executor"): ("may instruct", 1, 1.0),
        ("critic", "executor"): ("may not instruct", 1, 0.0),
    }
    assert {name: each["CRAS"] for name, each in found.obedience.members.items()} == {
        "planner": 3.0,
        "critic": 2.0,
        "executor": 4.0,
    }
    assert found.obedience.last is not None
    assert found.obedience.last[0] == 0  # the critic spoke last, and the planner was followed
    assert found.unparsable == 0


def test_what_the_judge_garbles_is_counted_and_never_guessed():
    result = Team(SPEC, ScriptedModel(LINES)).run("What is the capital of Norway?")
    found = judge_team(SPEC, result, judging({"OSLO": 4.0, "Use small": 2.0, "Use capital": 3.0}, ["You look at"]))
    assert found.obedience.cells == ()
    assert found.unparsable == 1 + 2 + 3
    assert found.obedience.members["executor"]["GA"] == pytest.approx(4.0)
