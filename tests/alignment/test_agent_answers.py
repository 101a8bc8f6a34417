"""An agent's loop on the prompts of cases: the model sees the case's own prompt, and the loop's last word counts."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from homeostat import Agent
from homeostat.agent.loop.episode import Episode
from homeostat.alignment.conflicts.chat import HIERARCHY_KINDS, hierarchy_twins
from homeostat.alignment.conflicts.core import cases_of
from homeostat.alignment.diagnosis.agents import agent_answers, chat_of
from homeostat.alignment.diagnosis.run import diagnose
from homeostat.controllers import Pull, Remind, Steer
from homeostat.errors import ConfigError, UnknownName
from homeostat.sensors import Actuator, Attempt, Part, Prompt, Reading, SensorContext
from homeostat.sensors.chat.messages import Message
from homeostat.testing import ScriptedModel


def parts(prompt: Prompt) -> list[tuple[str, str, str]]:
    return [(message.role, part.label, part.text) for message in prompt.messages for part in message.parts if part.text]


def test_the_model_sees_the_prompt_of_each_case() -> None:
    cases = cases_of(islice(hierarchy_twins("dev"), 6))
    model = ScriptedModel(lambda prompt: parts(prompt)[-1][2][::-1])
    ended: dict[int, int] = {}

    def note(number: int, episode: Episode) -> None:
        ended[number] = episode.calls

    found = agent_answers(Agent(model), [case.prompt for case in cases], batch=3, on_end=note)
    assert sorted(map(parts, model.prompts)) == sorted(parts(case.prompt) for case in cases)
    assert found == [parts(case.prompt)[-1][2][::-1].strip() for case in cases]
    assert ended == dict.fromkeys(range(12), 1)


class Alarm:
    """Alarms on the first attempt of a prompt."""

    name, needs = "conflict_probe", frozenset({"text"})

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        again = context.attempt > 0
        return Reading(sensor=self.name, value=float(not again), threshold=0.5, alarm=not again, span="system")


def test_what_pull_steers_is_asked_again_and_the_second_answer_counts() -> None:
    (case, _) = cases_of(islice(hierarchy_twins("dev"), 1))
    model = ScriptedModel(["first", "second"], capabilities=frozenset({"text", "steering"}))
    assert agent_answers(Agent(model, [Alarm()], [Pull(base=4.0)]), [case.prompt]) == ["second"]
    assert len(model.prompts) == 2
    held = ScriptedModel(["first", "second"], capabilities=frozenset({"text", "steering"}))
    steer = Steer(actuators=(Actuator("system", gain=4.0),), when="always")
    assert agent_answers(Agent(held, [], [steer]), [case.prompt]) == ["first"]


def test_what_is_no_chat_is_refused() -> None:
    with pytest.raises(ConfigError, match="no chat"):
        chat_of(Prompt.from_text("Once upon a time"))
    shown = Prompt((Message("user", (Part("screen", image=np.zeros((4, 4, 3), np.uint8)),)),))
    with pytest.raises(ConfigError, match="has an image"):
        chat_of(shown)


def test_wordings_come_in_turn_and_no_split_shares_one() -> None:
    seen = {}
    for split, count in (("train", 8), ("dev", 3), ("test", 4)):
        twins = list(islice(hierarchy_twins(split), len(HIERARCHY_KINDS) * count))  # type: ignore[arg-type]
        assert len({both.conflict.variant for both in twins}) == len(twins)
        assert all(both.conflict.variant == both.aligned.variant for both in twins)
        seen[split] = {both.conflict.role for both in twins}
    assert not seen["train"] & seen["dev"] | seen["train"] & seen["test"] | seen["dev"] & seen["test"]
    with pytest.raises(UnknownName, match="verbosity"):
        next(hierarchy_twins("dev", 0, ("verbositty",)))


def test_diagnose_scores_what_the_agent_answers() -> None:
    cases = cases_of(islice(hierarchy_twins("dev"), 3))
    asked: list[str] = []

    def answer(prompt: Prompt) -> str:
        last = parts(prompt)[-1][2]
        asked.append(last)
        return "reminded" if "Reminder" in last else "plain"

    model = ScriptedModel(answer)
    agent = Agent(model, [], [Remind.at(1, goal_text="{system}")])
    done: list[int] = []
    found, unparsable = diagnose(model, cases, agent=agent, on_progress=done.append)
    assert [one.text for one in found] == ["reminded"] * 6
    assert [one.right for one in found] == [case.judge("reminded").reached == 1 for case in cases]
    assert (unparsable, sorted(done), len(asked)) == (0, list(range(1, 7)), 12)


def test_an_empty_message_stays_in_the_prompt() -> None:
    model = ScriptedModel(lambda prompt: "yes")
    prompt = Prompt((Message("system", (Part("system", ""),)), Message("user", (Part("user", "Hello"),))))
    assert agent_answers(Agent(model), [prompt]) == ["yes"]
    assert [message.role for message in model.prompts[0].messages] == ["system", "user"]
