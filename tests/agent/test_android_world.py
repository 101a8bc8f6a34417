"""Our agent inside AndroidWorld's interface, on a phone that stands in for its device."""

import pytest

from homeostat.agent import Agent, AndroidWorldAgent, TransformersModel
from homeostat.envs.android import PhoneWorld
from homeostat.envs.phone import PhoneEnv
from homeostat.errors import ConfigError


@pytest.fixture(scope="module")
def agent():
    return Agent(TransformersModel.load("homeostat/nano"))


def test_nano_solves_a_task_step_by_step(agent):
    env = PhoneEnv(split="test", adverts=0)
    world = PhoneWorld(env, "notes_add", seed=1)
    inside = AndroidWorldAgent(world, agent, transition_pause=0)
    inside.set_max_steps(20)
    for _ in range(20):
        result = inside.step(world.info.goal)
        assert result.data["events"]
        if result.done:
            break
    assert result.done
    assert result.data["goal_status"] == "complete"
    assert env.success()


def test_it_is_what_their_harness_asks_for(agent):
    world = PhoneWorld(PhoneEnv(split="test", adverts=0), "notes_add", seed=1)
    inside = AndroidWorldAgent(world, agent, name="ours", transition_pause=0)
    assert (inside.name, inside.env, inside.transition_pause) == ("ours", world, 0)
    assert inside.get_post_transition_state().pixels.shape == (256, 144, 3)


def test_it_ends_at_its_budget_and_starts_anew_after_a_reset(agent):
    env = PhoneEnv(split="test", adverts=0)
    world = PhoneWorld(env, "notes_add", seed=1)
    inside = AndroidWorldAgent(world, agent, transition_pause=None)
    inside.set_max_steps(2)
    done = [inside.step(world.info.goal).done for _ in range(3)]
    assert done == [False, False, True]
    inside.reset(go_home=True)
    assert not inside.step(world.info.goal).done
    with pytest.raises(ConfigError, match="-1"):
        AndroidWorldAgent(world, agent, transition_pause=-1)
