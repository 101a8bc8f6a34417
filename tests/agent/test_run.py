"""The run handle: events, result, async use, several runs on one model, and errors of strangers' parts."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from homeostat import Agent, AgentSpec, CheckpointError, ComponentError, ConfigError, TransformersModel
from homeostat.agent import read_trace
from homeostat.agent.events import Failed, Finish, Started
from homeostat.controllers import Proceed
from homeostat.envs.phone import PhoneEnv
from homeostat.sensors import AttentionDrift, Confidence, Reading
from homeostat.testing import ScriptedModel

CLICK = '{"action": "click", "coordinate": [1, 1]}'
DONE = '{"action": "terminate", "status": "success"}'


def test_a_run_is_iterated_and_has_a_result(lamp: Any) -> None:
    run = Agent(ScriptedModel([CLICK, DONE])).start(lamp.reset_task("lamp_on"), lamp)
    assert not run.done
    first = next(iter(run))
    assert isinstance(first, Started)
    rest = list(run)
    assert isinstance(rest[-1], Finish)
    assert run.done
    assert run.result.success
    assert run.result is run.result
    assert list(run) == []


def test_resume_returns_the_same_type(lamp: Any, tmp_path: Path) -> None:
    agent = Agent(ScriptedModel([CLICK, DONE]))
    first = agent.start(lamp.reset_task("lamp_on"), lamp, run_folder=tmp_path / "run")
    again = agent.resume(tmp_path / "run", lamp)
    assert first.result.model_dump(exclude={"seconds"}) == again.result.model_dump(exclude={"seconds"})
    assert type(first) is type(again)
    assert again.folder == tmp_path / "run"
    with pytest.raises(CheckpointError, match="no checkpoint"):
        list(agent.resume(tmp_path / "nowhere", lamp))


def test_an_asynchronous_application_can_await_and_iterate(tools: Any) -> None:
    threads = set()

    def remember(call: int) -> None:
        threads.add(threading.current_thread().name)

    async def both() -> tuple[Any, list[Any]]:
        one, two = tools.Lamp(), tools.Lamp()
        agent = Agent(ScriptedModel([CLICK, DONE], remember))
        awaited = await agent.start(one.reset_task("lamp_on"), one)
        events = [event async for event in Agent(ScriptedModel([DONE])).start(two.reset_task("lamp_off"), two)]
        return awaited, events

    episode, events = asyncio.run(both())
    assert episode.success
    assert isinstance(events[-1], Finish)
    assert all(name.startswith("homeostat-run") for name in threads)  # the event loop's thread stays free


def test_two_runs_on_one_model_wait_for_each_other() -> None:
    agent = Agent.from_spec(AgentSpec(controllers="none"))
    envs = [PhoneEnv(split="test") for _ in range(2)]
    tasks = [env.reset_task("notes_add", seed=seed) for seed, env in enumerate(envs)]
    alone = [agent.run(task, env, seed=0) for task, env in zip(tasks, envs, strict=True)]
    tasks = [env.reset_task("notes_add", seed=seed) for seed, env in enumerate(envs)]

    async def together() -> list[Any]:
        runs = [agent.start(task, env, seed=0) for task, env in zip(tasks, envs, strict=True)]
        return list(await asyncio.gather(*runs))

    side_by_side = asyncio.run(together())
    facts = [[(e.success, e.steps, e.calls, e.tokens) for e in them] for them in (alone, side_by_side)]
    assert facts[0] == facts[1]


class BrokenSensor:
    name, needs = "mine", frozenset({"text"})

    def read(self, attempt: Any, context: Any) -> Reading:
        raise KeyError("a stranger's bug")


class BrokenController:
    name, sensors = "mine", frozenset[str]()

    def decide(self, readings: Any, context: Any) -> Any:
        if context.phase == "attempt":
            raise ZeroDivisionError("a stranger's bug")
        return Proceed()


class BrokenRefuser(BrokenController):
    def decide(self, readings: Any, context: Any) -> Any:
        return Proceed()

    def refuse(self, action: Any, context: Any) -> Any:
        raise ZeroDivisionError("a stranger's bug")


def broken(kind: str, tools: Any) -> tuple[Agent, Any]:
    model = ScriptedModel([CLICK, DONE])
    env = tools.Lamp()
    if kind == "environment":

        def fails(action: Any) -> None:
            raise OSError("a stranger's bug")

        env.act = fails
    if kind == "model":

        def dies(number: int) -> None:
            raise RuntimeError("a stranger's bug")

        model = ScriptedModel([CLICK], dies)
    sensors = [BrokenSensor()] if kind == "sensor" else []
    controllers = {"controller": [BrokenController()], "refuser": [BrokenRefuser()]}.get(kind, [])
    return Agent(model, sensors, controllers), env


@pytest.mark.parametrize(
    ("kind", "component"),
    [
        ("sensor", "mine"),
        ("controller", "mine"),
        ("refuser", "mine"),
        ("environment", "Lamp"),
        ("model", "scripted"),
    ],
)
def test_a_strangers_bug_is_named_told_and_resumable(kind: str, component: str, tools: Any, tmp_path: Path) -> None:
    agent, env = broken(kind, tools)
    what = "controller" if kind == "refuser" else kind
    run = agent.start(env.reset_task("lamp_on"), env, run_folder=tmp_path / "run")
    with pytest.raises(ComponentError, match=rf"{what} '{component}' raised \w+: .*a stranger's bug") as caught:
        _ = run.result
    assert (caught.value.kind, caught.value.component) == (what, component)
    assert "\n" not in str(caught.value)
    with pytest.raises(ComponentError):  # it stays what it is
        _ = run.result
    last = read_trace(tmp_path / "run").events[-1]
    assert isinstance(last, Failed)
    assert (last.component, last.name) == (what, component)
    mended, fresh = Agent(ScriptedModel([CLICK, DONE]), [tools.Counter()]), tools.Lamp()
    episode = mended.resume(tmp_path / "run", fresh).result
    assert episode.ended in ("success", "premature")
    assert fresh.state["log"][-1] == "terminate"


def test_a_specification_is_the_same_from_python_yaml_and_json(tmp_path: Path) -> None:
    text = "controllers: [guard, tabu]\nsensors: confidence\nlimits: {attempts: 2}\n"
    (tmp_path / "agent.yaml").write_text(text)
    spec = AgentSpec.load(tmp_path / "agent.yaml")
    assert spec == AgentSpec(controllers="guard,tabu", sensors=("confidence",), limits={"attempts": 2})
    assert AgentSpec.model_validate_json(spec.model_dump_json()) == spec
    agent = spec.build()
    assert [c.name for c in agent.controllers] == ["guard", "tabu"]
    assert agent.limits.attempts == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("modle: x", "modle"),
        ("- a", "mapping"),
        ("limits: {attempts: 0}", "limits.attempts"),
        ("a: [", "YAML"),
    ],
)
def test_a_bad_specification_is_refused_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "agent.yaml").write_text(text)
    with pytest.raises(ConfigError, match=says) as caught:
        AgentSpec.load(tmp_path / "agent.yaml")
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="unknown controller 'gaurd'; did you mean 'guard'"):
        AgentSpec(controllers="gaurd").check()


def test_the_default_agent_is_the_command_lines() -> None:
    """README's agent, the specification without arguments and ``homeostat run`` without options are one agent."""
    from homeostat.cli.agent_options import agent_from

    readme, command = Agent.default("homeostat/nano"), agent_from(None).build()
    assert agent_from(None) == AgentSpec()
    assert [vars(s) for s in readme.sensors] == [vars(s) for s in command.sensors]
    assert readme.cascade == command.cascade
    assert [c.name for c in readme.controllers] == ["guard", "decompose", "tabu", "remind"]
    assert readme.limits == command.limits
    assert readme.planner is not None
    assert command.planner is not None
    assert readme.planner.name == command.planner.name == "homeostat/nano-planner"
    assert readme.model.name == command.model.name
    calibrated = {type(s): s.threshold for s in readme.sensors}
    assert calibrated[AttentionDrift] == pytest.approx(-0.407, abs=1e-3)
    assert calibrated[Confidence] == pytest.approx(0.742, abs=1e-3)


def test_the_scripted_model_feeds_sensors(lamp: Any) -> None:
    model = ScriptedModel(lambda prompt: DONE, capabilities=frozenset({"text", "attention", "logprobs"}))
    events = list(Agent(model, [AttentionDrift(), Confidence()]).start(lamp.reset_task("lamp_off"), lamp))
    readings = next(e.readings for e in events if e.kind == "sense")
    assert readings[0].by_span["goal"].mass == pytest.approx(0.3)
    assert readings[1].value == pytest.approx(0.9048, abs=1e-3)
    assert isinstance(TransformersModel.capabilities, frozenset)
