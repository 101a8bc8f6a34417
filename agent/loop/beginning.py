"""Checks what an episode is started with, and makes a task of a goal in words."""

from __future__ import annotations

from collections.abc import Sequence

from homeostat.envs.core import Env, TaskInfo
from homeostat.errors import ConfigError

__all__ = ["beginning"]

_MOST_STEPS = 1_000_000
_FREE_STEPS = 30


def beginning(
    task: TaskInfo | str, env: Env, seed: int, rules: Sequence[str], max_steps: int | None
) -> tuple[TaskInfo, bool]:
    """Checks the settings of an episode, and makes a task of a goal in words.

    Args:
        task: The task that the environment has set up, or a goal in words.
        env: The environment. For a goal in words it starts a free run.
        seed: The seed of sampling, and of a free run's initial state.
        rules: The rules of a goal in words.
        max_steps: The most environment steps; None takes the task's own budget.

    Returns:
        The task, and whether the environment judges it.

    Raises:
        ConfigError: The task, the rules or the step budget are invalid.
    """
    if max_steps is not None and not 1 <= max_steps <= _MOST_STEPS:
        raise ConfigError(f"max_steps={_brief(max_steps)} leaves no step, or too many; give 1 to {_MOST_STEPS}")
    if not -(2**63) <= seed < 2**63:
        raise ConfigError(f"seed={_brief(seed)} does not fit 64 bits, which the checkpoint holds; give a smaller one")
    if isinstance(task, TaskInfo):
        if rules:
            raise ConfigError(f"rules {list(rules)!r} go with a goal in words; task {task.name!r} has its own")
        # Not reset here: a task drawn at random bears the name of what was drawn, which would draw another.
        return (task if max_steps is None else task.model_copy(update={"max_steps": max_steps})), True
    if not task.strip():
        raise ConfigError(f"goal {task!r} is empty; say what to do")
    own = env.reset_task(None, seed=seed).rules
    steps = max_steps or _FREE_STEPS
    return TaskInfo(name="free", goal=task, rules=(*own, *rules), seed=seed, optimal_steps=1, max_steps=steps), False


def _brief(number: int) -> str:
    """A number for a message, however long it is."""
    return str(number) if abs(number) < 10**20 else f"a number of about {number.bit_length() * 3 // 10} digits"
