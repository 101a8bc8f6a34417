"""Runners without a model: an environment's oracle and a random policy, the reference rows of a table."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal, get_args

from homeostat.actions import Action, Click, SystemButton, Terminate
from homeostat.envs.core import Closable, Env, SelfEnding
from homeostat.envs.harness.environments import env_kind, make_env, obeyed
from homeostat.envs.harness.fixation import FixationWatch
from homeostat.envs.harness.results import Result
from homeostat.envs.harness.runner import Case, RunnerSpec
from homeostat.errors import ActionError, ConfigError, UnknownName

__all__ = ["POLICIES", "PolicyRunner", "policy_spec", "random_action"]

PolicyName = Literal["oracle", "random"]
POLICIES: tuple[PolicyName, ...] = get_args(PolicyName)
"""The policies by name."""


class PolicyRunner:
    """Plays a policy on an environment, step by step."""

    def __init__(
        self,
        policy: str,
        env: str = "phone",
        split: str = "test",
        options: dict[str, Any] | None = None,
        max_steps: int | None = None,
        seconds: float | None = None,
        delay: float = 0.0,
    ) -> None:
        """Constructs the environment.

        Args:
            policy: ``oracle`` (the environment's built-in solution) or ``random`` (:func:`random_action`, or the
                environment's own random policy).
            env: The environment's registered name.
            split: The data split.
            options: Options of the environment.
            max_steps: The step budget. None: the task's own.
            seconds: The limit of an episode's time in seconds. None: no limit.
            delay: The seconds to wait before each action, as if a model took this time.

        Raises:
            UnknownName: There is no such policy, environment, split or option.
            ConfigError: The environment has no oracle, or a value can't be used.
        """
        if policy not in POLICIES:
            raise UnknownName.of("policy", policy, POLICIES)
        if delay < 0:
            raise ConfigError(f"delay {delay!r} is below 0; give a number of seconds from 0")
        self.oracle = env_kind(env).next_action() if policy == "oracle" else None
        self.env: Env = make_env(env, split, options)
        self.random = env_kind(env).random_action() or random_action
        self.kind = env_kind(env).kind
        self.max_steps, self.seconds, self.delay = max_steps, seconds, delay

    def run(self, index: int, case: Case) -> Result:
        """Plays one episode. A refused action costs a step and changes nothing."""
        begun = time.perf_counter()
        info = self.env.reset_task(case.task, seed=case.seed)
        choose, watch = self._chooser(case), FixationWatch(self.env)
        budget = self.max_steps or info.max_steps
        times: list[float] = []
        end: tuple[str, str] | None = None
        while end is None:
            start = time.perf_counter()
            time.sleep(self.delay)
            action, done = choose(self.env), False
            if watch.decoys:
                seen = self.env.observe()
                watch.saw(seen.app, seen.elements)
                watch.attempted(action)
            with suppress(ActionError):
                self.env.act(action)
                done, end = True, self._end(action)
            watch.acted(action, done=done)
            times.append(round(time.perf_counter() - start, 4))
            if end is None and len(times) >= budget:
                end = "budget", f"all {budget} steps were used"
            elif end is None and self.seconds is not None and time.perf_counter() - begun > self.seconds:
                end = "budget", f"all {self.seconds:g} s were used"
        return Result(
            index=index,
            task=case.task,
            seed=case.seed,
            goal=info.goal,
            success=end[0] != "budget" and self.env.success(),
            ended=end[0],
            reason=end[1],
            steps=len(times),
            optimal_steps=info.optimal_steps,
            calls=0,
            tokens=0,
            prompt_tokens=0,
            seconds=round(time.perf_counter() - begun, 4),
            kind=self.kind(case.task),
            step_seconds=tuple(times),
            obeyed=obeyed(self.env),
            fixation=watch.count(),
        )

    def close(self) -> None:
        """Closes the environment if it holds anything to release."""
        if isinstance(self.env, Closable):
            self.env.close()

    def _chooser(self, case: Case) -> Callable[[Env], Action]:
        if self.oracle is not None:
            return self.oracle
        rng = random.Random(f"policy {case.task} {case.seed}")
        return lambda env: self.random(env, rng)

    def _end(self, action: Action) -> tuple[str, str] | None:
        """How and why the episode ended with this action; None while it goes on."""
        if isinstance(action, Terminate) and action.status == "failure":
            return "impossible", "the policy judged the task impossible or forbidden"
        ended = self.env.ended if isinstance(self.env, SelfEnding) else ""
        if not isinstance(action, Terminate) and not ended:
            return None
        if self.env.success():
            return "success", "the task's check holds"
        return "premature", ended or "the policy called the task done, but its check does not hold"


def random_action(env: Env, rng: random.Random) -> Action:
    """Draws a random action: 5 % terminate with success, 10 % Back, otherwise a click in the middle of any element.

    A screen without elements is clicked anywhere.

    Args:
        env: The environment, whose present screen is observed.
        rng: The source of randomness.

    Returns:
        The action.
    """
    draw = rng.random()
    if draw < 0.05:
        return Terminate(status="success")
    if draw < 0.15:
        return SystemButton(button="Back")
    elements = env.observe().elements
    if not elements:
        return Click(point=(rng.random(), rng.random()))
    left, top, right, bottom = rng.choice(elements).box
    return Click(point=(min((left + right) / 2, 0.9999), min((top + bottom) / 2, 0.9999)))


def policy_spec(policy: str, **settings: Any) -> RunnerSpec:
    """Returns the specification of a :class:`PolicyRunner`.

    Args:
        policy: ``oracle`` or ``random``.
        **settings: Other parameters of :class:`PolicyRunner`.

    Returns:
        The specification, which any process can build the runner from.
    """
    return RunnerSpec(factory=f"{__name__}:PolicyRunner", settings={"policy": policy, **settings})
