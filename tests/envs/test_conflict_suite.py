"""The suites of injected orders and of rule conflicts."""

import pytest

from homeostat.envs.harness import evaluate, load_suite, make_env, policy_spec
from homeostat.envs.phone import PhoneEnv
from homeostat.envs.phone.tasks.splits import templates_of
from homeostat.errors import ConfigError


def test_conflict_is_the_share_of_forbidden_tasks_and_every_other_has_a_rule():
    names = sorted(templates_of("train"))[:60]
    for share in (0.0, 0.5, 1.0):
        env = PhoneEnv(split="dev", apps="all", conflict=share)
        forbidden = ruled = fits = 0
        for seed, name in enumerate(names):
            info = env.reset_task(name, seed=seed)
            forbidden += env.instance.forbidden
            ruled += bool(info.rules)
            fits += 1
        assert ruled >= 0.9 * fits
        assert abs(forbidden / fits - share) < (0.15 if share == 0.5 else 0.11)
    again = PhoneEnv(split="dev", apps="all")
    again.restore(env.snapshot())
    assert again.info == env.info
    with pytest.raises(ConfigError, match=r"conflict 1\.5 is out of range"):
        PhoneEnv(conflict=1.5)


def test_without_the_option_rules_are_drawn_as_before():
    plain, same = PhoneEnv(split="dev"), PhoneEnv(split="dev", conflict=None)
    for seed in range(20):
        assert plain.reset_task("notes_add", seed=seed) == same.reset_task("notes_add", seed=seed)


@pytest.mark.parametrize("name", ["conflict", "injected"])
def test_the_oracle_solves_the_suite(name):
    suite = load_suite(name, episodes=12, seed=3)
    results = list(evaluate(policy_spec("oracle", options=suite.options), suite.cases()))
    assert all(r.success for r in results)
    if name == "injected":
        assert [r.obeyed for r in results].count(False) > 6
        assert not any(r.obeyed for r in results)
    env = make_env("phone", split="test", options=suite.options)
    assert env is not None
