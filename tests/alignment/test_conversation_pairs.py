"""Preference pairs out of conversations: the answer that the loop corrected, against the one that was given instead."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import pytest

from homeostat import Agent
from homeostat.agent.events import Observe, Sense
from homeostat.agent.trace import Trace, read_trace
from homeostat.alignment.conflicts.chat import hierarchy_twins
from homeostat.alignment.conflicts.core import cases_of
from homeostat.alignment.diagnosis.agents import agent_answers
from homeostat.alignment.preference.mining import complaint_pairs, corrected_pairs, loop_pairs
from homeostat.alignment.preference.pairs import Pair, read_pairs, split_by_task, write_pairs
from homeostat.alignment.preference.steps import read_traces, steps_of
from homeostat.controllers import Pull, Remind
from homeostat.conversation import Conversation
from homeostat.envs.tools import ToolEnv
from homeostat.errors import TraceError
from homeostat.sensors import Attempt, Prompt, Reading, SensorContext
from homeostat.testing import ScriptedModel


class Alarm:
    """Alarms at a prompt whose request has a word, as long as the prompt has it: that is, at every attempt."""

    name, needs = "conflict_probe", frozenset({"text"})

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        assert context.prompt is not None
        alarm = "CALL" in words(context.prompt)
        return Reading(sensor=self.name, value=float(alarm), threshold=0.5, alarm=alarm, span="system")


def words(prompt: Prompt) -> str:
    return "\n".join(part.text for message in prompt.messages for part in message.parts)


def parts(prompt: Prompt) -> list[tuple[str, str, str]]:
    return [(message.role, part.label, part.text) for message in prompt.messages for part in message.parts if part.text]


def answer(prompt: Prompt) -> str:
    return "Paris." if "Reminder" in words(prompt) else "CALL delete"


REMIND = Remind(sensors=frozenset({"conflict_probe"}), unparsable=False)
CASES = cases_of(islice(hierarchy_twins("train", 0, ("forbidden_action", "secrecy")), 6))


@pytest.fixture
def traces(tmp_path: Path) -> list[Trace]:
    agent = Agent(ScriptedModel(answer), [Alarm()], [REMIND])
    agent_answers(agent, [case.prompt for case in CASES], batch=4, traces=tmp_path / "traces")
    return read_traces([tmp_path])


def test_a_corrected_answer_is_preferred_on_the_bare_prompt(traces: list[Trace], tmp_path: Path) -> None:
    style = ScriptedModel([]).style
    pairs = [pair for trace in traces for pair in corrected_pairs(trace, style)]
    conflicts = [case for case in CASES if "CALL" in words(case.prompt)]
    assert 0 < len(conflicts) < len(CASES)
    assert [parts(pair.prompt) for pair in pairs] == [parts(case.prompt) for case in conflicts]
    assert {(pair.chosen, pair.rejected, pair.kind, pair.higher) for pair in pairs} == {
        ("Paris.", "CALL delete", "corrected", ("system",))
    }
    # Every conversation has the same task name, and is still a task of its own when the data are split.
    assert len({pair.task for pair in pairs}) == len({words(pair.prompt) for pair in pairs})
    train, held = split_by_task(pairs, 0.5, seed=1)
    assert train
    assert held
    write_pairs(pairs, tmp_path / "pairs")
    assert [parts(pair.prompt) for pair in read_pairs(tmp_path / "pairs")] == [parts(pair.prompt) for pair in pairs]


def test_an_answer_that_was_cut_off_is_not_preferred(traces: list[Trace]) -> None:
    style = ScriptedModel([]).style
    at = next(n for n, trace in enumerate(traces) if list(corrected_pairs(trace, style)))
    cut = [
        event.model_copy(update={"finish": "length"}) if isinstance(event, Sense) and event.attempt == 1 else event
        for event in traces[at].events
    ]
    assert not list(corrected_pairs(Trace(traces[at].folder, tuple(cut)), style))


def test_the_other_sources_read_conversations_too(traces: list[Trace]) -> None:
    model = ScriptedModel(answer)
    corrected = [pair for trace in traces for pair in corrected_pairs(trace, model.style)]

    def seen(pairs: Sequence[Pair]) -> list[tuple[list[tuple[str, str, str]], str, str, tuple[str, ...]]]:
        return [(parts(pair.prompt), pair.chosen, pair.rejected, pair.higher) for pair in pairs]

    assert seen(list(loop_pairs(traces, model.style, model))) == seen(corrected)
    asked = len(model.prompts)
    assert asked == len(corrected)  # conversations in which nothing was decided are not asked again
    complained = [pair for trace in traces for pair in complaint_pairs(trace, model.style, model)]
    assert seen(complained) == seen(corrected)
    assert "not the answer 'CALL delete'" in words(model.prompts[asked])


def test_steering_gives_pairs(tmp_path: Path) -> None:
    case = next(case for case in CASES if "CALL" in words(case.prompt))
    able = frozenset({"text", "steering"})
    again = ScriptedModel(["CALL delete", "Paris."], capabilities=able)
    agent_answers(Agent(again, [Alarm()], [Pull(base=4.0)]), [case.prompt], traces=tmp_path / "pull")
    (trace,) = read_traces([tmp_path / "pull"])
    (pair,) = corrected_pairs(trace, again.style)
    assert (pair.chosen, pair.rejected) == ("Paris.", "CALL delete")


def test_a_conversation_of_several_turns_is_read_turn_by_turn(tmp_path: Path) -> None:
    model = ScriptedModel(["Which city?", "Sunny."])
    env = ToolEnv([], rules=["be brief"], system="You know the weather.", ask_user=lambda question: "Paris")
    agent = Agent(model)
    agent.run("How is it?", env, run_folder=tmp_path / "run", max_steps=3)
    trace = read_trace(tmp_path / "run")
    first, *later = (event.conversation for event in trace.events if isinstance(event, Observe))
    assert first is not None
    assert (first.system, first.turns) == ("You know the weather.", ())
    assert not any(later)  # it has not changed
    steps = steps_of(trace, model.style)
    assert [parts(step.prompt()) for step in steps] == list(map(parts, model.prompts))
    (again,) = steps_of(Trace(trace.folder, trace.events[: trace.events.index(steps[0].attempts[0]) + 1]), model.style)
    assert parts(again.whole_goal_prompt()) == parts(model.prompts[0])


def test_what_gives_no_pairs_is_refused(tmp_path: Path) -> None:
    def look(city: str) -> str:
        """Looks."""
        return "sunny"

    style = ScriptedModel([]).style
    Agent(ScriptedModel(["Fine."])).run("How is Paris?", ToolEnv([look]), run_folder=tmp_path / "tools")
    with pytest.raises(TraceError, match="conversation with tools"):
        steps_of(read_trace(tmp_path / "tools"), style)
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}
    asked = Conversation(chat=({"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]},))
    assert asked.frame is None
    with pytest.raises(TraceError, match="holds no messages"):
        steps_of(Trace(tmp_path, (read_trace(tmp_path / "tools").start, Observe(app=""))), style)
