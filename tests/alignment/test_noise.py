"""The noise filter of mining, on a scripted episode whose detours are known."""

from __future__ import annotations

import pytest

from homeostat.agent import Agent
from homeostat.agent.testing import ScriptedModel
from homeostat.alignment import corrected_pairs, read_traces
from homeostat.alignment.preference.noise import NoiseFilter, rejected_attempts
from homeostat.alignment.preference.steps import steps_of
from homeostat.controllers import Remind
from homeostat.envs.phone import PhoneEnv
from homeostat.errors import ConfigError
from homeostat.sensors.readings import Reading

CALL = '<tool_call>{"name": "mobile_use", "arguments": %s}</tool_call>'
OPEN, HOME, NOTES, STOP = (
    CALL % told
    for told in (
        '{"action": "open", "text": "settings"}',
        '{"action": "system_button", "button": "Home"}',
        '{"action": "open", "text": "notes"}',
        '{"action": "terminate", "status": "failure"}',
    )
)
BOTH_OFF = NoiseFilter(dwell=None, burst=None)


class First:
    """A sensor that alarms on the first attempt of every step."""

    name = "scripted"
    needs = frozenset({"text"})

    def read(self, attempt, context):
        return Reading(sensor=self.name, value=float(context.attempt == 0), threshold=0.5, alarm=context.attempt == 0)


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    """Settings and home again, home without an effect, notes, and the end; every step has a rejected first attempt."""
    folder = tmp_path_factory.mktemp("noise")
    lines = [line for done in (OPEN, HOME, HOME, NOTES, STOP) for line in ("no idea", done)]
    env = PhoneEnv(split="train", adverts=0.0)
    agent = Agent(ScriptedModel(lines), [First()], [Remind(sensors=frozenset({"scripted"}), cooldown=1, lasts=1)])
    agent.run(env.reset_task("tasks_add", seed=2), env, seed=2, run_folder=folder / "run")
    (found,) = read_traces([folder])
    return found


def test_what_was_taken_back_or_had_no_effect_is_brief(trace):
    steps = steps_of(trace, ScriptedModel([]).style)
    assert [step.act.action.kind for step in steps] == ["open", "system_button", "system_button", "open", "terminate"]
    apps = [step.seen.app for step in steps]
    assert apps == ["home", "settings", "home", "home", "notes"]
    assert NoiseFilter(dwell=1).brief(steps) == (True, False, True, False, False)
    assert NoiseFilter(dwell=0).brief(steps) == (False, False, True, False, False)
    assert NoiseFilter(dwell=None).brief(steps) == (False,) * 5


def test_a_burst_is_counted_in_the_window_around_a_step(trace):
    steps = steps_of(trace, ScriptedModel([]).style)
    assert [len(rejected_attempts(step)) for step in steps] == [1] * 5
    assert NoiseFilter(burst=2).bursts(steps) == (False, True, True, True, False)
    assert NoiseFilter(burst=2, window=1).bursts(steps) == (False,) * 5
    assert NoiseFilter(burst=4, window=9).bursts(steps) == (True,) * 5
    assert NoiseFilter(burst=None).bursts(steps) == (False,) * 5


def test_filtered_pairs_are_the_unfiltered_ones_without_the_marked_steps(trace):
    style = ScriptedModel([]).style

    def chosen(noise):
        return [pair.chosen for pair in corrected_pairs(trace, style, noise)]

    assert [pair.chosen for pair in corrected_pairs(trace, style)] == [OPEN, HOME, HOME, NOTES, STOP]
    assert chosen(BOTH_OFF) == [OPEN, HOME, HOME, NOTES, STOP]
    assert chosen(NoiseFilter(dwell=1, burst=None)) == [HOME, NOTES, STOP]
    assert chosen(NoiseFilter(dwell=None, burst=2)) == [OPEN, STOP]
    assert chosen(NoiseFilter(dwell=1, burst=2)) == [STOP]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"dwell": -1}, "dwell=-1"),
        ({"burst": -2}, "burst=-2"),
        ({"window": 4}, "window=4"),
        ({"window": 0}, "window=0"),
    ],
)
def test_bad_settings_are_named(settings, says):
    with pytest.raises(ConfigError, match=says):
        NoiseFilter(**settings)
