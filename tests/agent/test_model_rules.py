"""Rules that a model reads at the start of an episode."""

import json
from pathlib import Path
from typing import Any

import pytest

from homeostat import actions as a
from homeostat.agent import Agent, AgentSpec, LoopLimits, read_trace
from homeostat.agent.events import Act, RuleRead, Started
from homeostat.cli.event_text import lines
from homeostat.controllers import Guard
from homeostat.envs.core import TaskInfo
from homeostat.envs.mobile_use import Grid
from homeostat.envs.phone import PhoneEnv
from homeostat.sensors.chat.messages import Prompt
from homeostat.testing import ScriptedModel

SACRED, POLITE = "everything in here is sacred, old drafts too", "be polite"
RULES = (SACRED, "never buy anything", POLITE)
ANSWERS = {
    SACRED: {"means": "the agent must not delete anything", "objects": [], "exceptions": ["old drafts"]},
    POLITE: {"means": "this is only style", "objects": [], "exceptions": []},
}


class OneNote(PhoneEnv):
    """The phone, on the dialog that a long press on a note opens."""

    def __init__(self) -> None:
        super().__init__(split="test", adverts=0)

    def reset_task(self, task: str | None = None, *, seed: int | None = None) -> TaskInfo:
        super().reset_task("notes_delete", seed=1)
        self.device.act(a.Open(app="notes"))
        row = next(p for p in self.device.placed() if p.widget.role == "item")
        self.device.act(a.LongPress(point=((row.anchor[0] + 0.5) / 9, (row.anchor[1] + 0.5) / 16)))
        return TaskInfo(name="free", goal="tidy up", rules=RULES, optimal_steps=1, max_steps=2)

    @property
    def notes(self) -> int:
        return int(self.device.db.execute("select count(*) from notes").fetchone()[0])

    @property
    def delete(self) -> str:
        """The answer that taps on delete."""
        box = next(e.box for e in self.observe().elements if e.text == "delete")
        at = [int((box[0] + box[2]) / 2 * 144), int((box[1] + box[3]) / 2 * 256)]
        return json.dumps({"action": "click", "coordinate": at})


def model(env: OneNote, answers: dict[str, Any] = ANSWERS, **options: Any) -> ScriptedModel:
    tap = env.delete

    def say(prompt: Prompt) -> str:
        last = "".join(part.text for part in prompt.messages[-1].parts)
        return next((json.dumps(found) for rule, found in answers.items() if last.endswith(rule)), tap)

    return ScriptedModel(say, **options)


def played(controllers: list[Any], folder: Path | None = None, **options: Any) -> tuple[OneNote, Any, list[Any]]:
    env = OneNote()
    info = env.reset_task()
    run = Agent(model(env, **options), controllers=controllers).start(info, env, run_folder=folder)
    events = list(run)
    return env, run.result, events


def test_what_the_model_reads_is_kept_told_and_shown(tmp_path: Path) -> None:
    before = OneNote().reset_task() and played([])[0].notes
    env, episode, events = played([Guard(read_by_model=True)], tmp_path / "run")
    assert env.notes == before + 1
    read = [event for event in events if isinstance(event, RuleRead)]
    assert [event.read.rule for event in read] == [SACRED, POLITE]
    assert [event.read.acts for event in read] == [("remove",), ()]
    assert [event for event in read_trace(tmp_path / "run").events if isinstance(event, RuleRead)] == read
    assert isinstance(events[0], Started)
    assert events[0].unread == (SACRED, POLITE)
    assert events.index(read[0]) == 1
    acts = [event for event in events if isinstance(event, Act)]
    assert [(event.outcome, SACRED in event.error) for event in acts] == [("refused", True)] * 2
    assert episode.calls == 2 + len(acts)
    told = [line for event in read for line in lines(event, Grid(144, 256))]
    assert told == [
        f"  the model reads “{SACRED}” as forbidding: remove; enforced without the exception: old drafts",
        f"  the model reads “{POLITE}” as forbidding: nothing",
    ]


def test_without_the_option_no_model_is_asked() -> None:
    _, episode, events = played([Guard()])
    assert not [event for event in events if isinstance(event, RuleRead)]
    assert next(event.outcome for event in events if isinstance(event, Act)) == "done"
    assert episode.calls == episode.steps


def test_the_answer_is_held_to_the_schema_and_to_the_limits() -> None:
    env = OneNote()
    info = env.reset_task()
    asked = model(env, capabilities=frozenset({"text", "schema"}))
    Agent(asked, controllers=[Guard(read_by_model=True)], limits=LoopLimits(plan_tokens=77)).run(info, env)
    first, second, third = asked.calls[:3]
    assert first["schema"]["properties"]["exceptions"]["items"]["pattern"].count("sacred")
    assert second["schema"] != first["schema"]
    assert first["max_new_tokens"] == second["max_new_tokens"] == 77
    assert "schema" not in third
    assert [part.label for part in asked.prompts[0].messages[-1].parts] == ["rules"]


@pytest.mark.parametrize("answer", ["I don't know", {"means": ["remove"]}])
def test_an_answer_that_cannot_be_read_does_not_end_the_episode(answer: Any) -> None:
    _, episode, events = played([Guard(read_by_model=True)], answers={SACRED: answer, POLITE: answer})
    read = [event for event in events if isinstance(event, RuleRead)]
    assert all("no answer" in event.read.error for event in read)
    assert episode.steps
    assert all("could not read the rule" in line for event in read for line in lines(event, Grid(9, 9)))


def test_a_resumed_run_knows_what_was_read_and_asks_no_more(tmp_path: Path) -> None:
    env = OneNote()
    info = env.reset_task()
    agent = Agent(model(env), controllers=[Guard(read_by_model=True)])
    run = agent.start(info, env, run_folder=tmp_path / "run")
    for event in run:
        if isinstance(event, Act):
            run.close()
    again = OneNote()
    again.reset_task()
    second = Agent(model(again), controllers=[Guard(read_by_model=True)])
    notes = again.notes
    resumed = second.resume(tmp_path / "run", again)
    events = list(resumed)
    assert not [event for event in events if isinstance(event, RuleRead)]
    assert [event.outcome for event in events if isinstance(event, Act)] == ["refused"]
    assert again.notes == notes
    assert len([e for e in read_trace(tmp_path / "run").events if isinstance(e, RuleRead)]) == 2


def test_an_agent_as_data_names_it() -> None:
    AgentSpec(controllers=("default", "model-guard")).check()
    AgentSpec(controllers="model-guard").check()
