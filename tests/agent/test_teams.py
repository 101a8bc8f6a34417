"""Teams: roles as data, the message bus, turns by order or by a leader, budgets, traces, and death in the middle."""

import json
from itertools import islice
from pathlib import Path

import pytest

from homeostat.agent import read_trace
from homeostat.agent.loop.limits import LoopLimits
from homeostat.agent.teams import Role, Team, TeamLimits, TeamSpec, TeamWording
from homeostat.alignment.conflicts.team import team_scenes
from homeostat.controllers import Guard
from homeostat.envs.tools import tool
from homeostat.errors import CheckpointError, ConfigError, UnknownName
from homeostat.testing import ScriptedModel

PLANNER = Role(name="planner", system="You plan.", instructs=("executor",))
CRITIC = Role(name="critic", system="You object.")
EXECUTOR = Role(name="executor", system="You answer.", tools=("look",))
SPEC = TeamSpec(roles=(PLANNER, CRITIC, EXECUTOR))


@tool(changes=False)
def look(city: str) -> str:
    """Looks at the sky."""
    return f"the sky over {city} is grey"


def send(to: str) -> str:
    """Sends a message to somebody."""
    return f"sent to {to}"


def call(name, /, **arguments):
    return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"


def spans(prompt):
    """(role, label, text) of every part."""
    return [(m.role, p.label, p.text) for m in prompt.messages for p in m.parts if p.label != "template"]


def test_every_member_sees_its_own_role_and_the_others_as_spans_of_their_own():
    model = ScriptedModel(["Use JSON.", "No JSON!", call("look", city="Oslo"), "Grey."])
    result = Team(SPEC, model, tools=[look]).run("How is Oslo?")
    assert (result.ended, result.answer) == ("finished", "Grey.")
    assert [(one.by, one.text) for one in result.said] == [
        ("planner", "Use JSON."),
        ("critic", "No JSON!"),
        ("executor", "Grey."),
    ]
    assert [turn.steps for turn in result.turns] == [1, 1, 2]
    planner, critic, executor, after = map(spans, model.prompts)
    assert [label for _, label, _ in planner] == ["system", "goal"]
    assert [label for _, label, _ in critic] == ["system", "goal", "agent.planner"]
    assert [(role, label) for role, label, _ in executor] == [
        ("system", "system"),
        ("system", "tools"),
        ("user", "goal"),
        ("user", "agent.planner"),
        ("user", "agent.critic"),
    ]
    assert executor[3][2] == "[planner] Use JSON."
    assert executor[0][2].startswith("You answer.")
    assert "the user, planner." in executor[0][2]
    assert "planner, executor" in critic[0][2]
    assert after[-1][1] == "tool.look"


def test_a_member_sees_its_earlier_messages_as_its_own():
    model = ScriptedModel(["a plan", "an objection", "a draft", "a better plan", "fine", "the answer"])
    result = Team(SPEC.model_copy(update={"rounds": 2}), model, tools=[look]).run("Work.")
    assert result.answer == "the answer"
    assert [(role, label) for role, label, _ in spans(model.prompts[3])] == [
        ("system", "system"),
        ("user", "goal"),
        ("assistant", "history"),
        ("user", "agent.critic"),
        ("user", "agent.executor"),
    ]


def test_a_leader_chooses_who_speaks():
    lead = Role(name="lead", instructs=("worker", "checker"))
    spec = TeamSpec(roles=(lead, Role(name="worker"), Role(name="checker")), leader="lead")
    model = ScriptedModel(
        [
            call("ask_member", name="nobody", message="Hello"),
            call("ask_member", name="checker", message="Is 7 prime?"),
            "Yes, it is.",
            call("ask_member", name="worker", message="Write it down."),
            "7 is prime.",
            "The team says: 7 is prime.",
        ]
    )
    result = Team(spec, model).run("What about 7?")
    assert (result.ended, result.answer) == ("answered", "The team says: 7 is prime.")
    assert [turn.member for turn in result.turns] == ["lead", "checker", "lead", "worker", "lead"]
    assert result.said[0].model_dump() == {"by": "lead", "text": "Is 7 prime?", "to": "checker"}
    worker = spans(model.prompts[4])
    assert [label for _, label, _ in worker] == ["system", "goal", "agent.lead"]  # not what the checker said
    last = spans(model.prompts[5])
    assert [label for _, label, _ in last][3:] == ["history", "agent.checker", "history", "agent.worker"]
    assert '"name": "checker"' in last[3][2]
    assert "nobody" in str(spans(model.prompts[1])[-1])


def test_a_leader_is_told_that_a_member_said_nothing():
    lead = Role(name="lead", instructs=("worker",))
    spec = TeamSpec(roles=(lead, Role(name="worker")), leader="lead", loop=LoopLimits(garbled=1))
    model = ScriptedModel([call("ask_member", name="worker", message="Go."), "", "Nobody knows."])
    result = Team(spec, model).run("Work.")
    assert result.turns[1].ended == "collapse"
    assert result.answer == "Nobody knows."
    assert "no answer" in spans(model.prompts[2])[-1][2]


def test_members_may_have_models_of_their_own():
    small, large = ScriptedModel(["small"]), ScriptedModel(["large"])
    spec = TeamSpec(roles=(Role(name="one"), Role(name="two", model="large")))
    result = Team(spec, {"": small, "large": large}).run("Work.")
    assert [one.text for one in result.said] == ["small", "large"]
    with pytest.raises(UnknownName, match="model of member 'two'"):
        Team(spec, {"": small})
    with pytest.raises(UnknownName, match="tool of member 'executor'"):
        Team(SPEC, small)


def test_a_members_rules_bind_that_member_alone():
    rule = "never send a message"
    roles = (Role(name="one", tools=("send",), rules=(rule,)), Role(name="two", tools=("send",)))
    model = ScriptedModel([call("send", to="Anna"), "No.", call("send", to="Anna"), "Done."])
    events = list(Team(TeamSpec(roles=roles), model, tools=[send], controllers=[Guard()]).start("Tell Anna."))
    acts = [(e.member, e.event.outcome) for e in events if e.event.kind == "act"]
    assert acts == [("one", "refused"), ("one", "done"), ("two", "done"), ("two", "done")]


@pytest.mark.parametrize(
    ("limits", "turns"),
    [({"turns": 4}, 4), ({"tokens": 5}, 3), ({"seconds": 1e-6}, 0)],
)
def test_budgets_end_the_work(limits, turns):
    spec = SPEC.model_copy(update={"rounds": 9, "limits": TeamLimits(**limits)})
    result = Team(spec, ScriptedModel(["word"]), tools=[look]).run("Work.")  # a double's answer has two tokens
    assert (result.ended, len(result.turns)) == ("budget", turns)


def test_a_word_ends_the_work_where_the_right_member_says_it():
    spec = SPEC.model_copy(update={"rounds": 3, "until": "APPROVED", "enders": ("critic",), "answers": "executor"})
    model = ScriptedModel(["APPROVED", "not yet", "draft", "plan", "APPROVED"])
    result = Team(spec, model, tools=[look]).run("Work.")
    assert (result.ended, len(result.turns), result.answer) == ("answered", 5, "draft")


def test_attention_is_summed_up_for_every_speaker():
    model = ScriptedModel(["word"], capabilities=frozenset({"text", "attention"}), mass={"agent.planner": 0.25})
    result = Team(SPEC, model, tools=[look]).run("Work.")
    assert result.turns[2].mass["agent.planner"] == pytest.approx(0.25)


class Killed(BaseException):
    """Stands for the process's death."""


SCRIPT = ["a plan", "an objection", call("send", to="Anna"), call("look", city="Oslo"), "the answer"]


def team(at=None, sent=None):
    """A team whose process dies before call ``at`` of the model is answered."""

    def record(to: str) -> str:
        """Sends a message to somebody."""
        (sent if sent is not None else []).append(to)
        return "sent"

    record.__name__ = "send"

    def answer(prompt):
        text = str(spans(prompt))
        if "You plan" in text:
            return SCRIPT[0]
        if "You object" in text:
            return SCRIPT[1]
        return SCRIPT[2 + text.count("tool.")]

    def die(number):
        if number == at:
            raise Killed

    executor = EXECUTOR.model_copy(update={"tools": ("look", "send")})
    return Team(TeamSpec(roles=(PLANNER, CRITIC, executor)), ScriptedModel(answer, on_call=die), tools=[look, record])


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
def test_a_team_that_was_killed_goes_on_where_it_was(tmp_path: Path, at: int):
    sent: list[str] = []
    whole = team().run("Work.")
    with pytest.raises(Killed):
        team(at, sent).run("Work.", folder=tmp_path / "team")
    result = team(None, sent).resume(tmp_path / "team").result
    assert result.said == whole.said
    assert [turn.steps for turn in result.turns] == [turn.steps for turn in whole.turns] == [1, 1, 3]
    assert (result.answer, sent) == ("the answer", ["Anna"])
    again = team(1).resume(tmp_path / "team")
    assert list(again) == []
    assert again.result.said == whole.said


def test_a_turn_that_ended_just_before_death_is_not_made_again(tmp_path: Path):
    folder = tmp_path / "team"
    team().run("Work.", folder=folder)
    lines = (folder / "turns.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "turns.jsonl").write_bytes(b"".join(lines[:2]) + lines[2][:20])  # a partial line
    result = team(1).resume(folder).result
    assert result.answer == "the answer"


def test_the_folder_holds_a_trace_of_every_turn(tmp_path: Path):
    folder = tmp_path / "team"
    team().run("Work.", folder=folder)
    names = sorted(path.name for path in (folder / "turns").iterdir())
    assert names == ["000-planner", "001-critic", "002-executor"]
    assert [act.outcome for act in read_trace(folder / "turns" / names[2]).acts] == ["done"] * 3
    with pytest.raises(ConfigError, match="already holds"):
        team().start("Work.", folder=folder)
    with pytest.raises(ConfigError, match="another specification"):
        Team(SPEC, ScriptedModel([""]), tools=[look]).resume(folder)
    with pytest.raises(CheckpointError, match="no team's work"):
        team().resume(tmp_path / "nothing")


def test_a_team_is_a_yaml_file(tmp_path: Path):
    path = tmp_path / "team.yaml"
    path.write_text(
        "roles:\n- {name: planner, system: You plan., instructs: [executor]}\n- {name: critic, system: You object.}\n"
        "- {name: executor, system: You answer., tools: [look]}\n"
    )
    spec = TeamSpec.load(path)
    assert spec == SPEC
    assert spec.may_instruct("planner", "executor")
    assert spec.may_instruct("user", "critic")
    assert not spec.may_instruct("critic", "executor")
    with pytest.raises(UnknownName, match="did you mean 'executor'"):
        spec.may_instruct("planner", "executer")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[1, 2]", "list"),
        ("roles: [{name: user}]", "can't name a member"),
        ("roles: [{name: a b}]", "can't name a member"),
        ("roles: [{name: a}, {name: a}]", "two members are named 'a'"),
        ("roles: [{name: a, instructs: [b]}, {name: b, instructs: [a]}]", "a instructs b instructs a"),
        ("roles: [{name: a, instructs: [a]}]", "no circles"),
        ("roles: [{name: a, instructs: [c]}]", "unknown member 'c'"),
        ("roles: [{name: a}]\nleader: a", "may instruct nobody"),
        ("roles: [{name: a, instructs: [b]}, {name: b}]\nleader: a\norder: [b]", "exclude each other"),
        ("roles: [{name: a}]\nwording: {message: '{name}'}", "needs {text}"),
        ("roles: [{name: a, sytem: x}]", "roles.0.sytem"),
        ("roles: []", "roles"),
    ],
)
def test_a_faulty_team_file_gets_one_clear_line(tmp_path: Path, text: str, word: str):
    path = tmp_path / "team.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="team file") as caught:
        TeamSpec.load(path)
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_suite_asks_what_a_team_would_ask():
    """The executor's prompt in a running team is the prompt of the suite's case."""
    model = ScriptedModel([""])
    for scene, _ in islice(team_scenes("test", 5, ["format", "peers", "veto"]), 6):
        lines = [*(one.text for one in scene.said), scene.wanted.answer(scene.slots)]
        model = ScriptedModel(lines)
        spec = scene.spec.model_copy(update={"order": (*(one.by for one in scene.said), scene.seat)})
        result = Team(spec, model).run(scene.goal)
        assert result.answer == lines[-1]
        assert spans(model.prompts[-1]) == spans(scene.case(model.style, 0).prompt)


def test_wordings_can_be_left_out():
    spec = SPEC.model_copy(update={"wording": TeamWording(members="", authority="")})
    assert spec.system_text("executor") == "You answer."
