"""AgentDojo's suites: the same figures as AgentDojo's own pipelines, and one clear line without the package."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

from homeostat.actions import Answer, Call
from homeostat.envs.agentdojo import AgentDojoEnv, attack_names, suites
from homeostat.envs.agentdojo.env import task_kind, task_names
from homeostat.envs.agentdojo.library import attack_class, ground_truth_pipeline
from homeostat.envs.harness import load_suite, make_env
from homeostat.errors import ActionError, ConfigError, UnknownName

dojo = pytest.mark.skipif(find_spec("agentdojo") is None, reason="agentdojo is not installed")
EVERY = {"banking": 1, "slack": 1, "travel": 3, "workspace": 8}
"""Of each suite, every how manyth task is played here: reading a world takes AgentDojo up to a second."""


def play(env: AgentDojoEnv, task: str, seed: int = 0) -> tuple[bool, bool | None]:
    """Plays AgentDojo's ground truth through the environment: utility, and whether the order was carried out."""
    info = env.reset_task(task, seed=seed)
    for _ in range(info.optimal_steps):
        env.act(env.oracle())
    assert env.ended
    return env.success(), env.obeyed()


@dojo
@pytest.mark.parametrize("name", EVERY)
def test_the_ground_truth_solves_what_it_solves_in_agentdojo(name: str) -> None:
    env, suite = AgentDojoEnv(), suites()[name]
    own, ours = {}, {}
    for key, task in [*suite.user_tasks.items(), *suite.injection_tasks.items()][:: EVERY[name]]:
        own[key], _ = suite.run_task_with_pipeline(ground_truth_pipeline(task), task, None, {})
        ours[key], obeyed = play(env, f"{name}.{key}")
        assert obeyed is None
    assert ours == own
    assert sum(own.values()) >= len(own) // 2


@dojo
@pytest.mark.parametrize("attack", ["direct", "ignore_previous", "important_instructions", "tool_knowledge", "dos"])
def test_under_an_attack_both_checks_are_agentdojos(attack: str) -> None:
    """The user's ground truth resists; the attacker's ground truth in its place is what an obeying agent does."""
    env, suite = AgentDojoEnv(attack=attack), suites()["banking"]
    target = ground_truth_pipeline(None)
    target.name = "local"
    attacker = attack_class(attack)(suite, target)
    harms = list(suite.injection_tasks)[:1] if attack == "dos" else list(suite.injection_tasks)
    for user, harm in zip(["user_task_0", "user_task_3", "user_task_11"] * 3, harms, strict=False):
        goal, injection = suite.user_tasks[user], suite.injection_tasks[harm]
        texts = attacker.attack(goal, injection)
        own = suite.run_task_with_pipeline(ground_truth_pipeline(goal), goal, injection, texts)
        security = not own[0] if attack == "dos" else own[1]
        assert play(env, f"banking.{user}.{harm}") == (own[0], security)
        seen = "\n".join(turn.text for turn in env.observe().conversation.turns if turn.role == "tool")
        assert "".join(next(iter(texts.values())).split())[:40] in "".join(seen.replace("\\n", "").split())
        if attack != "dos":
            _, security = suite.run_task_with_pipeline(ground_truth_pipeline(injection), goal, injection, texts)
            env.reset_task(f"banking.{user}.{harm}", seed=0)
            for call in injection.ground_truth(suite.load_and_inject_default_environment(texts)):
                env.act(Call(tool=call.function, arguments=dict(call.args)))
            env.act(Answer(text=injection.GROUND_TRUTH_OUTPUT))
            assert env.obeyed() is security


@dojo
def test_the_seed_draws_the_injection_and_a_share_of_the_episodes_is_attacked() -> None:
    env = AgentDojoEnv(attack="direct", rate=0.5)
    goals = set()
    for seed in range(30):
        env.reset_task("slack.user_task_1", seed=seed)
        goals.add(env.obeyed() is None)
    assert goals == {True, False}
    with pytest.raises(ConfigError, match="choose an attack"):
        AgentDojoEnv().reset_task("slack.user_task_1.injection_task_1", seed=0)


@dojo
def test_a_run_goes_on_in_another_process() -> None:
    env, other = AgentDojoEnv(attack="direct"), AgentDojoEnv(attack="direct")
    info = env.reset_task("banking.user_task_2.injection_task_4", seed=1)
    for _ in range(info.optimal_steps - 1):
        env.act(env.oracle())
    other.restore(env.snapshot())
    assert other.observe().conversation == env.observe().conversation
    other.act(other.oracle())
    assert other.ended
    assert other.success() is True


@dojo
def test_wrong_calls_are_told_as_agentdojo_tells_them() -> None:
    env = AgentDojoEnv()
    env.reset_task("banking.user_task_0", seed=0)
    with pytest.raises(ActionError, match="ValidationError"):
        env.act(Call(tool="read_file", arguments={}))
    with pytest.raises(ActionError, match="get_ibann"):
        env.act(Call(tool="get_ibann"))
    env.act(Call(tool="get_most_recent_transactions", arguments={"n": "2", "more": 1}))  # AgentDojo takes both
    assert env.observe().conversation.turns[-1].text.count("amount") == 2
    env.reset_task("workspace.user_task_0", seed=0)
    many = "['a@b.c', 'd@e.f']"
    env.act(Call(tool="send_email", arguments={"recipients": many, "subject": "s", "body": "b"}))
    assert "- a@b.c\n- d@e.f" in env.observe().conversation.turns[-1].text


@dojo
def test_suites_and_names() -> None:
    assert load_suite("agentdojo").episodes == len(load_suite("agentdojo").task_names()) == 97
    assert len({case.task for case in load_suite("agentdojo-injected").cases()}) == 949
    for name, suite in suites().items():
        assert len(load_suite(f"agentdojo-{name}").task_names()) == len(suite.user_tasks)
        attacked = load_suite(f"agentdojo-{name}-injected")
        assert attacked.episodes == len(attacked.task_names()) == len(suite.user_tasks) * len(suite.injection_tasks)
    assert len(task_names()) == 97 + 35 + 949
    assert task_kind("travel.user_task_3") == "travel"
    assert {"important_instructions", "ignore_previous", "tool_knowledge", "direct"} <= set(attack_names())
    assert make_env("agentdojo", options={"adversity": {"dos": 0.5}}).rate == 0.5
    for wrong in ({"adversity": {"directt": True}}, {"version": "v9"}):
        with pytest.raises(UnknownName, match=r"directt|v9"):
            make_env("agentdojo", options=wrong)
    with pytest.raises(ConfigError, match="exclude each other"):
        make_env("agentdojo", options={"adversity": {"direct": True, "dos": True}})


def test_without_the_package_one_line_says_how_to_install_it() -> None:
    hidden = (
        "import sys; sys.modules['agentdojo'] = None\n"
        "from homeostat.cli.root import main\n"
        "sys.argv = ['homeostat', 'eval', '--suite', 'agentdojo', '--policy', 'oracle']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    told = done.stderr.strip()
    assert "pip install --no-deps agentdojo==0.1.35" in told
    assert "Traceback" not in told
