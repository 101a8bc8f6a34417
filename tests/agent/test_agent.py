"""What ``Agent`` refuses, what the package exports, and the whole loop on a tiny random vision-language model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import homeostat.agent
import homeostat.agent.models
from homeostat.agent import Agent, LoopLimits, TransformersModel, read_trace
from homeostat.agent.events import Sense
from homeostat.controllers.decisions import Proceed
from homeostat.errors import ConfigError
from homeostat.sensors import AttentionDrift, Confidence

DONE = '{"action": "terminate", "status": "success"}'


class Listener:
    def __init__(self, name: str, *sensors: str) -> None:
        self.name, self.sensors = name, frozenset(sensors)
        self.heard: list[list[str]] = []

    def decide(self, readings: Any, context: Any) -> Any:
        self.heard.append([r.sensor for r in readings])
        return Proceed()


def test_a_sensor_that_the_model_can_not_serve_is_refused(tools: Any, lamp: Any) -> None:
    model = tools.Scripted([DONE])
    with pytest.raises(ConfigError, match="needs attention, which 'scripted' does not offer"):
        Agent(model, [AttentionDrift()])
    sensors = [AttentionDrift(), tools.Counter()]
    agent = Agent(model, sensors, [Listener("l", AttentionDrift().name)], allow_degraded=True)
    assert list(agent.degraded) == [AttentionDrift().name]
    assert [s.name for s in agent.sensors] == ["counter"]
    assert agent.run(lamp.reset_task("lamp_off"), lamp).success


def test_duplicates_and_deaf_controllers_are_refused(tools: Any) -> None:
    model = tools.Scripted([DONE])
    with pytest.raises(ConfigError, match="two sensors are named 'counter'"):
        Agent(model, [tools.Counter(), tools.Counter()])
    with pytest.raises(ConfigError, match="two controllers are named 'a'"):
        Agent(model, controllers=[Listener("a"), Listener("a")])
    with pytest.raises(ConfigError, match=r"'a' listens to 'drift', which is not among the sensors \(counter\)"):
        Agent(model, [tools.Counter()], [Listener("a", "drift")])


def test_a_controller_hears_the_sensors_it_names(tools: Any, lamp: Any) -> None:
    class Other(tools.Counter):
        name = "other"

    some, every = Listener("some", "other"), Listener("every")
    Agent(tools.Scripted([DONE]), [tools.Counter(), Other()], [some, every]).run(lamp.reset_task("lamp_off"), lamp)
    assert some.heard == [[], ["other"]]
    assert every.heard == [[], ["counter", "other"]]


def test_bad_tasks_are_refused(tools: Any, lamp: Any) -> None:
    agent = Agent(tools.Scripted([DONE]))
    with pytest.raises(ConfigError, match="goal ' ' is empty"):
        agent.run(" ", lamp)
    task = lamp.reset_task("lamp_on")
    with pytest.raises(ConfigError, match="'lamp_on' has its own"):
        agent.run(task, lamp, rules=["never"])
    with pytest.raises(ConfigError, match="max_steps=0 leaves no step"):
        agent.run(task, lamp, max_steps=0)


def test_a_goal_in_words_starts_a_free_run(tools: Any, lamp: Any) -> None:
    lamp.state["on"] = True
    agent = Agent(tools.Scripted(['{"action": "click", "coordinate": [1, 1]}']))
    episode = agent.run("Turn it on", lamp, max_steps=3, seed=4)
    assert (episode.task.name, episode.task.goal, episode.task.seed) == ("free", "Turn it on", 4)
    assert (episode.ended, episode.steps) == ("budget", 3)
    assert lamp.state["log"] == ["click"] * 3


def test_a_listener_sees_every_event_and_may_end_the_run(tools: Any, lamp: Any) -> None:
    streamed = [type(e) for e in Agent(tools.Scripted([DONE])).start(lamp.reset_task("lamp_off"), lamp)]
    assert streamed[0].__name__ == "Started"
    assert streamed[-1].__name__ == "Finish"
    with Agent(tools.Scripted([DONE])).start(lamp.reset_task("lamp_off"), lamp) as run:
        for event in run:
            if isinstance(event, Sense):
                break
    assert not run.done
    with pytest.raises(ConfigError, match="closed before its end"):
        _ = run.result


def test_the_whole_loop_on_a_tiny_model(tools: Any, llava: Any, lamp: Any, tmp_path: Path) -> None:
    """Random weights say nothing that parses: probed, sensed, asked again, and collapsed."""
    model = TransformersModel(*llava, name="tiny")
    sensors = [AttentionDrift(), Confidence()]
    limits = LoopLimits(max_new_tokens=8)
    agent = Agent(model, sensors, limits=limits)
    episode = agent.run(lamp.reset_task("lamp_on"), lamp, run_folder=tmp_path / "run")
    assert (episode.ended, episode.success, episode.steps) == ("collapse", False, 3)
    attempts = read_trace(tmp_path / "run").attempts
    assert len(attempts) == 3
    for attempt in attempts:
        assert attempt.action is None
        assert "no tool call" in (attempt.unparsable or "")
        assert len(attempt.tokens) == len(attempt.logprobs) == 8
        assert {r.sensor for r in attempt.readings} == {s.name for s in sensors}
        assert set(attempt.mass) == {"system", "goal", "history", "screen", "output"}
        assert 0 < sum(attempt.mass.values()) <= 1.0001
    assert attempts[0].cached_tokens == 0
    assert attempts[1].cached_tokens > 0
    unprobed = [e for e in Agent(model, limits=limits).start(lamp.reset_task("lamp_on"), lamp) if isinstance(e, Sense)]
    assert [e.tokens for e in unprobed] == [e.tokens for e in attempts]
    assert unprobed[0].mass == {}


def test_exports() -> None:
    assert set(homeostat.agent.__all__) == {
        "TEXT",
        "VERBOSE",
        "Agent",
        "AgentSpec",
        "AndroidWorldAgent",
        "AttentionRecord",
        "ChatModel",
        "Episode",
        "Event",
        "LoopLimits",
        "Model",
        "PromptStyle",
        "Run",
        "SimulatedUser",
        "Trace",
        "TransformersModel",
        "TurnReadings",
        "nano_path",
        "read_trace",
        "readings_by_turn",
        "turn_table",
    }
    assert all(getattr(homeostat.agent, name) is not None for name in homeostat.agent.__all__)
    assert dir(homeostat.agent) == sorted(homeostat.agent.__all__)
    with pytest.raises(AttributeError, match="attribute Robot"):
        homeostat.agent.Robot  # noqa: B018


def test_exports_of_models() -> None:
    names = {"ChatModel", "Model", "TransformersModel", "answer_all", "nano_path", "resolve", "weights_hash"}
    assert set(homeostat.agent.models.__all__) == names
    assert all(getattr(homeostat.agent.models, name) is not None for name in names)


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = "{'torch', 'transformers', 'langgraph', 'pydantic'}"
    code = f"import homeostat.agent.models, sys; print(*{heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
