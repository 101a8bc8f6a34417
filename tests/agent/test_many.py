"""Episodes side by side come out as one by one: through ``run_many``, the harness's threads, and Ray."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from homeostat import Agent, AgentSpec
from homeostat.agent.runner import runner_spec
from homeostat.controllers import controllers_for
from homeostat.envs.harness import Case, RunnerSpec, evaluate, load_suite, policy_spec
from homeostat.envs.phone import PhoneEnv
from homeostat.errors import ComponentError, ConfigError
from homeostat.testing import ScriptedModel

SPEC = AgentSpec(controllers=("default",))
MIXED = ("atomic", "concatenation", "conflict")


@pytest.fixture(scope="module")
def agent() -> Agent:
    return SPEC.build()


def cases_of(suite: str, count: int) -> list[Case]:
    return load_suite(suite, episodes=count).cases()


def outcome(result: Any) -> dict[str, Any]:
    """A result without what depends on time and on what was cached."""
    left_out = {"seconds", "step_seconds", "prompt_tokens"}
    return {name: value for name, value in result.model_dump().items() if name not in left_out}


def acts(folder: Path) -> list[Any]:
    """What a run did, and what its sensors read, from its trace."""
    events = [json.loads(line) for line in (folder / "trace.jsonl").read_text().splitlines()]
    return [
        (event["kind"], event.get("action"), event.get("said"), [r["value"] for r in event.get("readings", ())])
        for event in events
        if event["kind"] in ("act", "sense")
    ]


def test_episodes_side_by_side_equal_episodes_one_by_one(agent: Agent, tmp_path: Path) -> None:
    cases = [case for suite in ("atomic", "joined") for case in cases_of(suite, 4)]

    def jobs() -> list[Any]:
        envs = [PhoneEnv(split="test") for _ in cases]
        return [(env.reset_task(case.task, seed=case.seed), env) for env, case in zip(envs, cases, strict=True)]

    alone = []
    for number, (task, env) in enumerate(jobs()):
        alone.append(agent.run(task, env, run_folder=tmp_path / "alone" / f"{number:05d}"))
    ended: list[int] = []
    many = agent.run_many(
        jobs(), batch=4, run_folder=tmp_path / "many", on_end=lambda number, episode: ended.append(number)
    )
    assert sorted(ended) == list(range(len(cases)))
    for number, (one, other) in enumerate(zip(alone, many, strict=True)):
        for name in ("success", "ended", "reason", "steps", "calls", "tokens", "decisions"):
            assert getattr(one, name) == getattr(other, name), name
        first, second = (acts(tmp_path / where / f"{number:05d}") for where in ("alone", "many"))
        assert [event[:3] for event in first] == [event[:3] for event in second]
        for before, after in zip(first, second, strict=True):
            assert before[3] == pytest.approx(after[3], abs=1e-3)


@pytest.mark.parametrize("suite", MIXED)
def test_the_harness_plays_in_threads_what_it_plays_one_by_one(suite: str) -> None:
    chosen = load_suite(suite, episodes=3)
    spec = runner_spec(SPEC, env=chosen.env, split=chosen.split, options=dict(chosen.options))
    alone = {r.index: outcome(r) for r in evaluate(spec, chosen.cases())}
    many = {r.index: outcome(r) for r in evaluate(spec, chosen.cases(), batch=3)}
    assert many == alone


def test_an_error_is_raised_when_the_others_have_ended() -> None:
    class Broken(PhoneEnv):
        def observe(self) -> Any:
            raise RuntimeError("no screen")

    model = ScriptedModel(["done()"] * 9)
    agent = Agent(model, controllers=controllers_for("none"))
    envs = [PhoneEnv(split="test"), Broken(split="test"), PhoneEnv(split="test")]
    jobs = [(env.reset_task(cases_of("atomic", 1)[0].task, seed=1), env) for env in envs]
    ended: list[int] = []
    with pytest.raises(Exception, match="no screen"):
        agent.run_many(jobs, on_end=lambda number, episode: ended.append(number))
    assert sorted(ended) == [0, 2]
    jobs = [(env.reset_task(cases_of("atomic", 1)[0].task, seed=1), env) for env in envs]
    found = agent.run_many(jobs, return_exceptions=True)
    assert [isinstance(one, Exception) for one in found] == [False, True, False]


def test_what_can_not_run_side_by_side_is_refused(agent: Agent) -> None:
    env = PhoneEnv(split="test")
    task = env.reset_task(cases_of("atomic", 1)[0].task, seed=1)
    with pytest.raises(ConfigError, match="batch=0"):
        agent.run_many([(task, env)], batch=0)
    with pytest.raises(ConfigError, match="share an environment"):
        agent.run_many([(task, env), (task, env)])
    with pytest.raises(ConfigError, match="one episode after the other"):
        list(evaluate(policy_spec("oracle"), cases_of("atomic", 3), batch=2))
    with pytest.raises(ConfigError, match="batch 0 is below 1"):
        list(evaluate(policy_spec("oracle"), cases_of("atomic", 3), batch=0))


def test_a_closed_run_ends_the_threads_that_play() -> None:
    before = set(threading.enumerate())
    chosen = load_suite("concatenation", episodes=8)
    spec = runner_spec(SPEC, env=chosen.env, split=chosen.split, options=dict(chosen.options))
    played = evaluate(spec, chosen.cases(), batch=4)
    next(played)
    played.close()
    names = [thread.name for thread in threading.enumerate() if thread not in before]
    assert not [name for name in names if name.startswith("homeostat-") and name != "homeostat-time-limit"]


def test_a_model_that_fails_leaves_its_error_in_every_result() -> None:
    model = ScriptedModel([])
    agent = Agent(model, controllers=controllers_for("none"))
    envs = [PhoneEnv(split="test"), PhoneEnv(split="test")]
    jobs = [(env.reset_task(cases_of("atomic", 1)[0].task, seed=1), env) for env in envs]
    found = agent.run_many(jobs, return_exceptions=True)
    assert [type(one) for one in found] == [ComponentError, ComponentError]


SHARING = """
import os, signal, threading, time
from homeostat.envs.harness import PolicyRunner

class Shared(PolicyRunner):
    def __init__(self, deadly=None, **settings):
        super().__init__("oracle", **settings)
        self.settings, self.deadly, self.together = settings, deadly, 0

    def share(self, episodes):
        def make():
            other = Shared(self.deadly, **self.settings)
            other.owner = threading.get_ident()
            return other
        return make

    def run(self, index, case):
        assert self.owner == threading.get_ident()
        if case.task == self.deadly:
            time.sleep(0.5)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().run(index, case)
"""


@pytest.mark.parametrize("deadly", [False, True])
def test_each_ray_worker_plays_several_at_once(deadly: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="ray is not installed (pip install 'homeostat[harness]')")
    (tmp_path / "sharing.py").write_text(SHARING)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:")
    cases = cases_of("atomic", 7)
    killer = cases[2].task if deadly else None
    spec = RunnerSpec(factory="sharing:Shared", settings={"deadly": killer, "split": "test"})
    found = {r.index: r for r in evaluate(spec, cases, workers=2, batch=2)}
    assert sorted(found) == list(range(7))
    for index, case in enumerate(cases):
        if case.task == killer:
            assert found[index].reason.startswith("its worker died 3 times")
        else:
            assert found[index].success, found[index].reason
