"""Results written by hand, and cases of the phone that are quick to play."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from homeostat.envs.harness import Case, Result, load_suite


@pytest.fixture
def result() -> Callable[..., Result]:
    def result(index: int, *, success: bool, task: str = "clock_timer", steps: int = 6, **more: Any) -> Result:
        fields: dict[str, Any] = {
            "goal": "g",
            "ended": "success" if success else "premature",
            "optimal_steps": 4,
            "calls": steps,
            "tokens": 10,
            "prompt_tokens": 100,
            "seconds": 0.5,
            "corrections": {"remind": 1},
        }
        return Result(index=index, task=task, seed=index, success=success, steps=steps, **fields | more)

    return result


@pytest.fixture
def cases() -> list[Case]:
    return load_suite("atomic", seed=4, episodes=8).cases()


@pytest.fixture
def outcome() -> Callable[[Result], dict[str, Any]]:
    """All of a result that is the same in every run: without its times."""
    return lambda r: r.model_dump(exclude={"seconds", "step_seconds"})
