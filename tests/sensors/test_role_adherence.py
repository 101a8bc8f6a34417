"""CRAS: what a judge's text becomes, the truth's scores, their agreement, and real runs on the phone."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from homeostat import actions as a
from homeostat.agent.events import Act, Observe, Started
from homeostat.agent.replay import truth_of
from homeostat.agent.trace import Trace
from homeostat.envs.phone import PhoneEnv
from homeostat.errors import ConfigError, ModelError
from homeostat.sensors import Attempt, RoleAdherence, SensorContext, check_sensor
from homeostat.sensors.context import Truth
from homeostat.sensors.role_adherence import TrueRoleAdherence, judge_agreement, truth_scores
from homeostat.sensors.rubric import DIMENSIONS, GENERIC, Rubric, parse_scores, write_rubric

GOOD = {"GA": 4.5, "RC": 3.25, "KBA": 2.0, "CC": 5.0}
CONTEXT = SensorContext(goal="book a table", rules=("never pay", "be brief"))


def answer(scores, **changes):
    return json.dumps({n: {"score": s, "justification": "so"} for n, s in (scores | changes).items()})


class Api:
    """A judge behind an API, with these answers in turn."""

    def __init__(self, *answers):
        self.answers, self.prompts = list(answers), []

    def generate(self, prompt, *, temperature, max_new_tokens, watch, seed):
        assert temperature == 0.3
        assert watch is False
        self.prompts.append("\n".join(p.text for m in prompt.messages for p in m.parts))
        return [Attempt(self.answers[min(len(self.prompts), len(self.answers)) - 1])]


def test_the_four_scores_and_their_mean():
    judge = Api("Here you are:\n```json\n" + answer(GOOD) + "\n```")
    reading = RoleAdherence(judge, threshold=3.7).read(Attempt("a table for two"), CONTEXT)
    assert reading.value == pytest.approx((4.5 + 3.25 + 2 + 5) / 4)
    assert {n: reading.detail[n] for n in DIMENSIONS} == GOOD
    assert reading.alarm
    asked = judge.prompts[0]
    for piece in ("never pay; be brief", "book a table", "a table for two", "3 is correct but unexceptional"):
        assert piece in asked
    for name in DIMENSIONS:
        assert all(level in asked for level in getattr(GENERIC, name).levels)
    RoleAdherence(judge, role="a waiter").read(Attempt("x"), CONTEXT)
    assert "Role: a waiter" in judge.prompts[1]


@pytest.mark.parametrize(
    "text",
    [
        "I would say four of five.",
        answer({k: v for k, v in GOOD.items() if k != "CC"}),
        answer(GOOD, GA=5.5),
        answer(GOOD, GA=0.5),
        answer(GOOD, GA="4"),
        json.dumps(GOOD),
        answer(GOOD)[:-5],
        "{" * 5000,
        "",
    ],
)
def test_what_cannot_be_parsed_is_counted_and_never_guessed(text):
    reading = RoleAdherence(Api(text)).read(Attempt("x"), CONTEXT)
    assert not reading.judged
    assert not reading.alarm
    assert reading.detail == {"unparsable": 1.0}


def test_the_first_object_that_holds_scores_counts():
    assert parse_scores('{"note": 1} ' + answer(GOOD) + answer(GOOD, GA=1.0)).as_dict() == GOOD
    assert parse_scores(answer(GOOD, GA=4)).GA.score == 4.0


def test_a_rubric_is_written_for_role_and_query_or_refused():
    own = {n: {"levels": [f"{n} level {k}" for k in range(1, 6)]} for n in DIMENSIONS}
    judge = Api("no", json.dumps(own))
    rubric = write_rubric(judge, "a waiter", "book a table")
    assert rubric == Rubric.model_validate(own)
    assert "a waiter" in judge.prompts[0]
    assert "book a table" in judge.prompts[0]
    used = Api(answer(GOOD))
    RoleAdherence(used, rubric=rubric).read(Attempt("x"), CONTEXT)
    assert "KBA level 4" in used.prompts[0]
    short = {n: {"levels": ["a", "b", "c", "d"]} for n in DIMENSIONS}
    with pytest.raises(ModelError, match=r"no rubric in .* after 3 tries"):
        write_rubric(Api(json.dumps(short)), "r", "q")


def test_the_truth_s_scores_by_hand():
    best = Truth(1.0, frozenset({"notes"}), frozenset({"notes", "clock"}), frozenset({"milk"}), frozenset({"milk"}))
    assert truth_scores(best) == dict.fromkeys(DIMENSIONS, 5.0)
    poor = Truth(
        0.5, frozenset({"notes", "shop"}), frozenset({"notes"}), frozenset("abcd"), frozenset("a"), ("never buy",)
    )
    assert truth_scores(poor) == {"GA": 3.0, "RC": 3.0, "KBA": 2.0, "CC": 1.0}
    assert truth_scores(Truth(0.0)) == {"GA": 1.0, "RC": 5.0, "KBA": 5.0, "CC": 5.0}
    reading = TrueRoleAdherence().read(Attempt("x"), SensorContext(goal="g", truth=poor))
    assert (reading.value, reading.alarm) == (2.25, True)
    assert not TrueRoleAdherence().read(Attempt("x"), CONTEXT).judged


def ranks(values):
    order = sorted(values)
    return [np.mean([k for k, v in enumerate(order) if v == x]) for x in values]


def test_agreement_is_that_of_ranks_and_counts():
    rng = random.Random(2)
    truth = [{n: rng.choice([1.0, 2.0, 3.0, 5.0]) for n in DIMENSIONS} for _ in range(40)]
    judged = [{n: min(5.0, max(1.0, s + rng.gauss(0, 1))) for n, s in one.items()} for one in truth]
    found = judge_agreement(judged, truth, resamples=99)
    for name in DIMENSIONS:
        a_, b_ = (ranks([one[name] for one in side]) for side in (judged, truth))
        rho, low, high = found.rho[name]
        assert rho == pytest.approx(np.corrcoef(a_, b_)[0, 1])
        assert low <= rho <= high
    said, was = ([one["CC"] < 3 for one in side] for side in (judged, truth))
    table = np.zeros((2, 2))
    for x, y in zip(said, was, strict=True):
        table[int(x), int(y)] += 1 / 40
    chance = table.sum(0) @ table.sum(1)
    assert found.kappa[0] == pytest.approx((np.trace(table) - chance) / (1 - chance))
    assert found.answers == 40
    same = judge_agreement([GOOD] * 3, [GOOD] * 3)
    assert same.rho["GA"] is None
    assert same.kappa is None
    with pytest.raises(ConfigError, match="2 judged and 3 true"):
        judge_agreement([GOOD] * 2, [GOOD] * 3)


def run(env, task, seed, choose):
    info = env.reset_task(task, seed=seed)
    events = [Started(run="r", task=info, judged=True, seed=seed, model="m", sensors=(), controllers=())]
    for step in range(info.max_steps):
        seen = env.observe()
        events.append(Observe(step=step, app=seen.app, elements=seen.elements))
        action = choose(step)
        events.append(Act(step=step, action=action))
        if isinstance(action, a.Terminate):
            break
        env.act(action)
    return Trace(Path("r"), tuple(events))


def test_the_oracle_s_run_is_flawless_and_a_stray_one_is_not():
    from homeostat.envs.phone.apps import APPS

    env = PhoneEnv(split="dev", apps=tuple(APPS))
    for task in ("mail_star", "weather_read_home", "gallery_rename", "music_delete_list"):
        seed = next(s for s in range(20) if not (env.reset_task(task, seed=s) and env.instance.forbidden))
        flawless = run(env, task, seed, lambda _: env.instance.oracle(env.device, env.answers))
        truth = truth_of(flawless, env)
        assert truth_scores(truth) == dict.fromkeys(DIMENSIONS, 5.0), (task, truth)
        stray = [
            a.Open(app="calculator"),
            a.Click(point=(0.5, 0.5)),
            a.Answer(text="zzqx"),
            a.Terminate(status="success"),
        ]
        bad = truth_of(run(env, task, seed, stray.__getitem__), env)
        assert bad.reached == 0
        assert truth_scores(bad)["RC"] == 1.0
        assert truth_scores(bad)["KBA"] == 1.0


def test_a_broken_rule_is_named():
    from homeostat.envs.phone.apps import APPS

    env = PhoneEnv(split="dev", apps=tuple(APPS))
    seed = next(s for s in range(400) if env.reset_task("music_delete_list", seed=s) and env.instance.forbidden)
    left = truth_of(run(env, "music_delete_list", seed, lambda _: a.Terminate(status="failure")), env)
    assert (left.reached, left.broken) == (1.0, ())
    env.reset_task("music_delete_list", seed=seed)
    rules = env.instance.rules

    def disobey(_):
        instance, env.instance.rules = env.instance, ()
        try:
            return instance.oracle(env.device, env.answers)
        finally:
            env.instance.rules = rules

    broken = truth_of(run(env, "music_delete_list", seed, disobey), env)
    assert broken.broken == tuple(rule.text for rule in rules)
    assert (broken.reached, truth_scores(broken)["CC"]) == (0.0, 1.0)


def test_the_contract_is_kept_and_bad_settings_are_named():
    check_sensor(RoleAdherence(Api(answer(GOOD))))
    check_sensor(TrueRoleAdherence())
    for make in (lambda: RoleAdherence(Api(), threshold=0), lambda: TrueRoleAdherence(9)):
        with pytest.raises(ConfigError, match="is not a score"):
            make()
