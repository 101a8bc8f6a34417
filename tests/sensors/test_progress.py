"""Progress: the detectors by hand, and on the phone's own compositional tasks."""

import dataclasses
from pathlib import Path

import pytest

from homeostat import actions as a
from homeostat.agent.events import Act, Observe, Started
from homeostat.agent.replay import steps_of, trace_progress
from homeostat.agent.trace import Trace
from homeostat.envs.phone import PhoneEnv
from homeostat.errors import ConfigError
from homeostat.sensors import Attempt, Progress, SensorContext, check_sensor
from homeostat.sensors.progress import StepFacts, progress

TAP = a.Click(point=(0.5, 0.5))
DONE = a.Terminate(status="success")


def kinds(found):
    return [(one.kind, one.step, one.subtask) for one in found]


def test_the_detectors_by_hand():
    steps = [
        StepFacts((False, False), "notes", TAP),
        StepFacts((True, False), "notes", TAP),  # acts in notes, where all is done
        StepFacts((True, False), "music", TAP),  # nobody asked for music
        StepFacts((False, False), "home", TAP),  # the note is gone again
        StepFacts((False, True), "clock", DONE),
    ]
    assert kinds(progress(steps, ["notes", "clock"])) == [
        ("over", 1, 0),
        ("drift", 2, None),
        ("over", 3, 0),
        ("under", 4, 0),
    ]
    assert kinds(progress(steps, ["notes", "clock"], first=4)) == [("under", 4, 0)]
    assert ("over", 4, None) in kinds(progress(steps, ["notes", "clock"], optimal_steps=2))
    assert kinds(progress(steps, ["notes", ""])) == [("over", 3, 0), ("under", 4, 0)]
    telling = [StepFacts((True, False), "notes", a.Answer(text="9")), StepFacts((True, False), "x", a.Answer(text="9"))]
    assert progress(telling, ["notes", "clock"]) == ()  # an answer is told to the user, in no app
    giving_up = [StepFacts((False,), "notes", a.Terminate(status="failure"))]
    assert progress(giving_up, ["notes"]) == ()
    with pytest.raises(ConfigError, match="step 0 has 2 checks for 1 subtasks"):
        progress(steps, ["notes"])


def walk(env, task, seed, actions=None):
    """The oracle's walk as a trace, or these actions instead."""
    info = env.reset_task(task, seed=seed)
    events = [
        Started(run="r", task=info, judged=True, seed=seed, model="oracle", sensors=(), controllers=()),
    ]
    for step in range(info.max_steps):
        seen = env.observe()
        events.append(Observe(step=step, app=seen.app))
        action = env.instance.oracle(env.device, env.answers) if actions is None else actions[step]
        events.append(Act(step=step, action=action))
        if isinstance(action, a.Terminate):
            break
        env.act(action)
    return Trace(Path("r"), tuple(events))


@pytest.fixture(scope="module")
def env():
    from homeostat.envs.phone.apps import APPS

    made = PhoneEnv(split="dev", apps=tuple(APPS))
    yield made
    made.close()


TASKS = 8


@pytest.fixture(scope="module")
def composed():
    from homeostat.envs.phone.tasks.composed import COMPOSED

    return sorted(name for name, t in COMPOSED.items() if "concat" in str(getattr(t, "kind", "")))[:TASKS]


def test_the_oracle_stops_when_all_is_done_and_undoes_nothing(env, composed):
    assert len(composed) == TASKS
    for name in composed:
        found = trace_progress(walk(env, name, 3), env)
        assert not [one for one in found if one.kind == "under"], (name, found)
        assert not [one for one in found if "not any more" in one.reason], (name, found)


def test_an_oracle_that_reads_and_tells_on_the_way_has_no_findings(env):
    """Parts that are read are done once seen; the oracle then answers in front of them, while others are open."""
    from homeostat.envs.phone.tasks.composed import COMPOSED

    telling = 0
    for kind in ("transition", "deepdive"):
        for name in sorted(n for n, t in COMPOSED.items() if t.kind == kind)[:TASKS]:
            trace = walk(env, name, 3)
            telling += any(isinstance(act.action, a.Answer) for act in trace.acts)
            assert trace_progress(trace, env) == (), name
    assert telling >= TASKS


def test_a_stop_before_the_last_subtask_is_seen(env, composed):
    seen = 0
    for name in composed:
        whole = walk(env, name, 3)
        facts = steps_of(whole, _at_start(env, name))
        assert sum(facts[-1].done) > sum(facts[0].done)
        last = next(k for k, one in enumerate(facts) if one.done == facts[-1].done)
        early = [act.action for act in whole.acts[: last - 1]] + [DONE]
        cut = walk(env, name, 3, early)
        under = [one for one in trace_progress(cut, env) if one.kind == "under"]
        assert under
        assert under[0].step == len(early) - 1
        seen += 1
    assert seen == TASKS


def _at_start(env, name):
    env.reset_task(name, seed=3)
    return env


def test_the_sensor_reads_one_action_after_the_other(env, composed):
    sensor = Progress()
    trace = walk(env, composed[0], 3)
    facts = steps_of(trace, _at_start(env, composed[0]))
    apps = env.subtask_apps()
    history = ()
    for k, one in enumerate(facts):
        observation = dataclasses.replace(env.observe(), app=one.app)
        told = {"subtasks": one.done, "subtask_apps": apps, "action": one.action}
        context = SensorContext(goal="g", step=k, history=history, observation=observation, **told)
        reading = sensor.read(Attempt("x"), context)
        assert reading.judged
        assert not reading.alarm, reading.reason
        history = (*history, reading)
    early = {"subtasks": facts[0].done, "subtask_apps": apps, "action": DONE, "optimal_steps": 5}
    stop = sensor.read(Attempt("x"), SensorContext(goal="g", step=10, history=history, **early))
    assert stop.detail["under"] == len(apps)
    assert stop.detail["over"] == len(apps) + 1  # all were done by then, and it is twice as late
    assert stop.alarm
    assert not sensor.read(Attempt("x"), SensorContext(goal="g")).judged


def test_the_loop_fills_in_what_the_sensor_takes(composed):
    from homeostat.agent import Agent, TransformersModel
    from homeostat.envs.phone.apps import APPS

    env = PhoneEnv(split="dev", apps=tuple(APPS))
    agent = Agent(TransformersModel.load("homeostat/nano"), sensors=[Progress()], controllers=[])
    task = env.reset_task("weather_read_home", seed=2)
    readings = [r for event in agent.start(task, env) if event.kind == "sense" for r in event.readings]
    assert readings
    assert all(r.judged and r.subtasks for r in readings)


def test_the_contract_is_kept():
    check_sensor(Progress())
    with pytest.raises(ConfigError, match="threshold=-1"):
        Progress(-1)
