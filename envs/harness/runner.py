"""The contract between the harness and a runner, which plays episodes; and how a worker process builds a runner.

The harness knows no model. A :class:`RunnerSpec` names a factory by its import path and holds its settings as plain
JSON, so it can be sent to any process. There :meth:`RunnerSpec.build` makes the runner once, and the runner turns cases
into results.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, JsonValue

from homeostat.envs.harness.results import Result
from homeostat.errors import ConfigError

__all__ = ["Case", "Runner", "RunnerSpec", "Sharing", "attempt", "error_result"]


@dataclass(frozen=True)
class Case:
    """One episode to play.

    Attributes:
        task: The task's name.
        seed: The seed of the task's initial state.
    """

    task: str
    seed: int


@runtime_checkable
class Runner(Protocol):
    """Plays episodes one after another."""

    def run(self, index: int, case: Case) -> Result:
        """Plays one whole episode.

        An exception becomes a result that ended with ``error``. The runner must be able to play the next episode.

        Args:
            index: The episode's number in its suite.
            case: The task and its seed.

        Returns:
            The outcome.
        """
        ...

    def close(self) -> None:
        """Releases what the runner holds. It is called once, at the end."""
        ...


@runtime_checkable
class Sharing(Protocol):
    """The optional capability of a :class:`Runner` that can play several episodes at once."""

    def share(self, episodes: int) -> Callable[[], Runner]:
        """Prepares to play several episodes at once.

        Args:
            episodes: The most episodes at a time.

        Returns:
            A function that makes a runner for one thread; it is called, and the runner used and closed, in that thread.
            :meth:`Runner.close` of the whole also ends the episodes that are being played.
        """
        ...


class RunnerSpec(BaseModel):
    """How to build a runner.

    Attributes:
        factory: The import path of a callable that returns the runner, ``"package.module:callable"``.
        settings: The callable's keyword arguments.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    factory: str
    settings: dict[str, JsonValue] = {}

    def build(self) -> Runner:
        """Imports and calls the factory.

        Returns:
            The runner.

        Raises:
            ConfigError: The factory can't be imported, or makes something else than a runner. Besides, whatever the
                factory raises.
        """
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
            raise ConfigError(
                f"runner factory {self.factory!r} made {runner!r}, which has no run and close; implement both"
            )
        return runner


def attempt(runner: Runner, index: int, case: Case) -> Result:
    """Plays a case. An exception becomes a result that ended with ``error``, so that the evaluation goes on.

    Args:
        runner: The runner.
        index: The episode's number in its suite.
        case: The task and its seed.

    Returns:
        The outcome.
    """
    begun = time.perf_counter()
    try:
        return runner.run(index, case)
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
        return error_result(index, case, reason, time.perf_counter() - begun)


def error_result(index: int, case: Case, reason: str, seconds: float = 0.0) -> Result:
    """Returns the result of an episode that could not be played to its end. It counts as not solved.

    Args:
        index: The episode's number in its suite.
        case: The task and its seed.
        reason: What went wrong.
        seconds: The time that was used, in seconds.

    Returns:
        A result that ended with ``error``.
    """
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
