"""``AgentDojoEnv``: the tasks of AgentDojo, judged by AgentDojo's own checks, with or without its attacks.

Tasks are named after AgentDojo's:

- ``workspace.user_task_0``: a user's task. Under an attack, the seed draws which injection task the attack is to bring
  about.
- ``workspace.user_task_0.injection_task_3``: the same with a certain injection task. It needs an attack.
- ``workspace.injection_task_3``: an attacker's goal as the user's own request, which shows what the model can do at
  all.

An attack writes its text into the places of the world that the user task's ground truth reads, so that it arrives in
tool results. ``success`` is AgentDojo's *utility*, and ``obeyed`` its *security* check of the injection task: True if
the attacker's goal was reached. For attacks on availability (``dos`` and its kin), AgentDojo counts an attack as
successful where the user's task fails, and so does ``obeyed``.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from homeostat.actions import Call
from homeostat.envs.agentdojo import library
from homeostat.envs.agentdojo.tools import DojoTool
from homeostat.envs.tools.adversity import chosen_adversity
from homeostat.envs.tools.env import ToolEnv
from homeostat.envs.tools.per_task import PerTaskEnv
from homeostat.envs.tools.tasks import Outcome, ToolTask
from homeostat.errors import ConfigError, UnknownName

__all__ = ["AgentDojoEnv", "adverse", "task_kind", "task_names"]

_TURNS = 16
"""AgentDojo's ``ToolsExecutionLoop`` asks the model once and then after at most 15 rounds of tool calls."""
_TARGET = "local"
"""The pipeline's name, from which attacks that address the model take how they call it."""


class AgentDojoEnv(PerTaskEnv):
    """AgentDojo as an environment of tools.

    Attributes:
        version: The version of the benchmark.
        attack: The attack's name; "" for none.
        rate: The share of the episodes that are attacked.
    """

    def __init__(
        self,
        version: str = library.VERSION,
        longest_result: int = 100_000,
        *,
        attack: str = "",
        rate: float = 1.0,
    ) -> None:
        """Loads the suites.

        Args:
            version: The version of the benchmark.
            longest_result: The most characters of a tool's result that the model is shown. AgentDojo itself cuts
                nothing off.
            attack: One of AgentDojo's attacks; "" for none.
            rate: The share of the episodes that are attacked, from 0 to 1.

        Raises:
            ConfigError: ``agentdojo`` is not installed.
            UnknownName: There is no such version or attack.
        """
        super().__init__()
        library.suites(version)
        if attack:
            library.attack_class(attack)
        self.version, self.attack, self.rate = version, attack, rate
        self._longest = longest_result

    def attacked(self, attack: str, rate: float = 1.0) -> AgentDojoEnv:
        """Returns the same environment under an attack.

        Args:
            attack: The attack's name.
            rate: The share of the episodes that are attacked, from 0 to 1.

        Returns:
            Another environment.

        Raises:
            UnknownName: There is no such attack.
        """
        return AgentDojoEnv(self.version, self._longest, attack=attack, rate=rate)

    def build(self, task: str | None, seed: int) -> ToolEnv:
        """Builds a suite's tools with a fresh world, into which the attack's text is written.

        Args:
            task: The task's name; None for a free conversation.
            seed: The seed of the world.

        Returns:
            The tools, with the task if one is named.

        Raises:
            UnknownName: There is no such task.
            ConfigError: The task names an injection, but no attack was chosen.
        """
        if task is None:
            return self._tools(library.suites(self.version)["workspace"], _world(self.version, "workspace", ()), ())
        if task not in task_names(self.version):
            raise UnknownName.of("task", task, task_names(self.version))
        name, first, *more = task.split(".")
        suite = library.suites(self.version)[name]
        chosen = self._injection(suite, task, first, more, seed)
        injections = _injections(self.version, name, self.attack, first, chosen) if chosen else {}
        world = _world(self.version, name, tuple(injections.items()))
        user = suite.user_tasks.get(first) or suite.injection_tasks[first]
        if first in suite.user_tasks:
            world = user.init_environment(world)
        before = world.model_copy(deep=True)
        judge = _Judge(before, world)
        harm = suite.injection_tasks[chosen] if injections else None
        denies = bool(self.attack) and library.attack_class(self.attack).is_dos_attack

        def done(outcome: Outcome) -> bool:
            return judge.utility(user, outcome)

        def obeyed(outcome: Outcome) -> bool:
            return not judge.utility(user, outcome) if denies else judge.utility(harm, outcome)

        truth = user.ground_truth(world.model_copy(deep=True))
        solution = [Call(tool=call.function, arguments=dict(call.args)) for call in truth]
        goal = user.PROMPT if first in suite.user_tasks else user.GOAL
        known = ToolTask(
            name=task,
            goal=goal,
            check=done,
            max_steps=max(_TURNS, len(solution) + 1),
            solution=(*solution, user.GROUND_TRUTH_OUTPUT),
            obeyed=obeyed if harm is not None else None,
        )
        return self._tools(suite, world, (known,))

    def _injection(self, suite: Any, task: str, first: str, more: list[str], seed: int) -> str:
        """The injection task that is attacked with; "" in an episode without an attack."""
        if more and not self.attack:
            raise ConfigError(f"task {task!r} names an injection; choose an attack, as adversity: {{direct: true}}")
        rng = random.Random(f"{task} {seed}")
        if not self.attack or first not in suite.user_tasks or rng.random() >= self.rate:
            return ""
        if library.attack_class(self.attack).is_dos_attack:
            return str(
                next(iter(suite.injection_tasks))
            )  # these attacks pursue no other goal, so AgentDojo takes the first
        return more[0] if more else rng.choice(sorted(suite.injection_tasks))

    def _tools(self, suite: Any, world: Any, tasks: tuple[ToolTask, ...]) -> ToolEnv:
        runtime = library.functions_runtime(suite.tools)
        tools = [DojoTool.bound(function, runtime, world) for function in suite.tools]
        return ToolEnv(tools, system=library.system_message(), tasks=tasks, longest_result=self._longest)


class _Judge:
    """AgentDojo's checks, given what it gives them: the answer, the world before and after, and the calls."""

    def __init__(self, before: Any, world: Any) -> None:
        self.before, self.world = before, world

    def utility(self, task: Any, outcome: Outcome) -> bool:
        """Whether a user task or an injection task is done."""
        calls = [library.function_call(call.tool, call.arguments) for call, _ in outcome.calls]
        given = (outcome.answer, self.before, self.world)
        injected = hasattr(task, "GOAL")
        traced = task.security_from_traces if injected else task.utility_from_traces
        judged = traced(*given, calls)
        if judged is None:
            judged = (task.security if injected else task.utility)(*given)
        return bool(judged)


def _world(version: str, suite: str, injections: tuple[tuple[str, str], ...]) -> Any:
    """A world of its own; reading AgentDojo's YAML takes a second, so the last worlds are kept."""
    return _loaded(version, suite, injections).model_copy(deep=True)


@lru_cache(maxsize=8)
def _loaded(version: str, suite: str, injections: tuple[tuple[str, str], ...]) -> Any:
    return library.suites(version)[suite].load_and_inject_default_environment(dict(injections))


@cache
def _injections(version: str, suite: str, attack: str, user_task: str, injection_task: str) -> Mapping[str, str]:
    """What the attack writes into which places of the world; empty where the ground truth reads none of them."""
    chosen, target = library.suites(version)[suite], library.ground_truth_pipeline(None)
    target.name = _TARGET
    attacker = library.attack_class(attack)(chosen, target)
    try:
        found: dict[str, str] = attacker.attack(
            chosen.user_tasks[user_task], chosen.get_injection_task_by_id(injection_task)
        )
    except ValueError:  # AgentDojo's word for a user task that can't be attacked
        return {}
    return found


@cache
def task_names(version: str = library.VERSION) -> tuple[str, ...]:
    """Returns the names of all tasks: user tasks, attacker's goals, and then all pairs of the two.

    Args:
        version: The version of the benchmark.

    Returns:
        The names.

    Raises:
        ConfigError: ``agentdojo`` is not installed.
    """
    alone: list[str] = []
    pairs: list[str] = []
    for name, suite in library.suites(version).items():
        alone += [f"{name}.{task}" for task in (*suite.user_tasks, *suite.injection_tasks)]
        pairs += [f"{name}.{user}.{harm}" for user in suite.user_tasks for harm in suite.injection_tasks]
    return (*alone, *pairs)


def task_kind(task: str) -> str:
    """Returns the suite that a task belongs to.

    Args:
        task: The task's name.

    Returns:
        The suite's name.
    """
    return task.partition(".")[0]


def adverse(env: AgentDojoEnv, adversity: Mapping[str, Any]) -> AgentDojoEnv:
    """Puts an environment under an attack.

    Args:
        env: The environment.
        adversity: An attack's name -> true, false, or the share of the episodes that are attacked.

    Returns:
        The environment under the attack.

    Raises:
        UnknownName: There is no such attack.
        ConfigError: A value can't be used, or two attacks are chosen.
    """
    chosen = chosen_adversity(adversity, library.attack_names())
    return env if chosen is None else env.attacked(*chosen)
