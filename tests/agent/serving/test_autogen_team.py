"""The example team in AutoGen, over ``homeostat serve``: three agents, conflicting demands, spans by speaker."""

import asyncio
import importlib.util
from pathlib import Path

import pytest

from homeostat.agent.teams import Team, TeamSpec
from homeostat.testing import ScriptedModel

pytest.importorskip("autogen_agentchat", reason="needs the extra homeostat[frameworks]")
pytest.importorskip("autogen_ext", reason="needs the extra homeostat[frameworks]")

FOLDER = Path(__file__).parents[3] / "examples" / "teams"
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:autogen_.*"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def example():
    spec = importlib.util.spec_from_file_location("autogen_medical", FOLDER / "autogen_medical.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def spans(prompt):
    return [(part.label, part.text) for message in prompt.messages for part in message.parts if part.text]


def test_the_team_discusses_over_the_server(serving, capsys):
    lines = ["End with a line ANSWER.", "Leave the letter out.", "It is Lyme disease.\nANSWER: B"]
    model = serving.Scripted([*lines, lines[0], lines[1], "He lacks vitamin C."])
    with serving.served(model) as server:
        asyncio.run(example().main(["--base-url", server.url, "--model", "tiny", "--questions", "2"]))
    said = capsys.readouterr().out
    assert "the coordinator was obeyed in 1 of 2 questions, and 1 answers are right" in said
    assert len(model.prompts) == 6
    coordinator, reviewer, physician = (spans(prompt) for prompt in model.prompts[:3])
    assert [label for label, _ in coordinator] == ["system", "goal"]
    assert [label for label, _ in reviewer] == ["system", "goal", "agent.coordinator"]
    assert [label for label, _ in physician] == ["system", "goal", "agent.coordinator", "agent.reviewer"]
    assert "the user, coordinator." in physician[0][1]
    assert lines[1] in physician[3][1]


@pytest.mark.parametrize(
    ("text", "letter"),
    [("ANSWER: B", "B"), ("so\n**ANSWER: C**", "C"), ("The answer is B.", None), ("ANSWER: A\nANSWER: D", "D")],
)
def test_the_letter_is_read_from_its_line(text, letter):
    assert example().letter(text) == letter


def test_the_same_file_is_a_team_of_our_own():
    spec = TeamSpec.load(FOLDER / "medical.yaml")
    model = ScriptedModel(["Look at the ring.", "No letter.", "ANSWER: B"])
    result = Team(spec, model).run("Which illness?")
    assert result.answer == "ANSWER: B"
    assert spec.may_instruct("coordinator", "physician")
    assert not spec.may_instruct("reviewer", "physician")
