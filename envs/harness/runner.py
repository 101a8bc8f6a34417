"""What the harness asks of whatever plays the episodes, and how a worker process gets one.

The harness knows no model. A :class:`RunnerSpec` names a factory by import path and gives its settings as plain JSON,
so it travels to any process; :meth:`RunnerSpec.build` makes the runner once there, and the runner turns cases into
results.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, JsonValue

from homeostat.envs.harness.results import Result
from homeostat.errors import ConfigError

__all__ = ["Case", "Runner", "RunnerSpec", "attempt", "error_result"]


@dataclass(frozen=True)
class Case:
    """One episode to run: a task's name and the seed of its initial state."""

    task: str
    seed: int


@runtime_checkable
class Runner(Protocol):
    """Plays episodes, one after the other."""

    def run(self, index: int, case: Case) -> Result:
        """The whole episode. What it raises becomes an ``"error"`` result; it must be able to run the next one."""
        ...

    def close(self) -> None:
        """Give back what it holds; called once, at the end."""
        ...


class RunnerSpec(BaseModel):
    """How to build a runner: ``factory`` is ``"package.module:callable"``, called with ``settings`` by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    factory: str
    settings: dict[str, JsonValue] = {}

    def build(self) -> Runner:
        """Import and call the factory. Raises :class:`ConfigError` for a wrong path, and what the factory raises."""
        module, _, name = self.factory.partition(":")
        try:
            factory: Any = import_module(module)
            for part in name.split("."):
                factory = getattr(factory, part)
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigError(
                f"runner factory {self.factory!r} can't be imported ({error}); give 'package.module:callable'"
            ) from None
        runner = factory(**self.settings)
        if not isinstance(runner, Runner):
            raise ConfigError(f"runner factory {self.factory!r} made {runner!r}, which has no run and close")
        return runner


def attempt(runner: Runner, index: int, case: Case) -> Result:
    """Run a case; an exception of the runner becomes an ``"error"`` result with its reason, and the run goes on."""
    begun = time.perf_counter()
    try:
        return runner.run(index, case)
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
        return error_result(index, case, reason, time.perf_counter() - begun)


def error_result(index: int, case: Case, reason: str, seconds: float = 0.0) -> Result:
    """The result of an episode that could not be played to an end; it counts as not solved."""
    return Result(
        index=index,
        task=case.task,
        seed=case.seed,
        goal="",
        success=False,
        ended="error",
        reason=reason,
        steps=0,
        optimal_steps=0,
        calls=0,
        tokens=0,
        prompt_tokens=0,
        seconds=round(seconds, 4),
    )
