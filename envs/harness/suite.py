"""Suites: which episodes a figure is computed from, as a YAML file or as a registered name.

Runs of one suite are paired by construction: the same suite, split, seed and number of episodes give the same tasks
from the same initial states, whatever agent plays them.
"""

from __future__ import annotations

import random
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from homeostat.data_files import DataError, parse_yaml, read_text
from homeostat.envs.harness.environments import check_options, env_kind
from homeostat.envs.harness.runner import Case
from homeostat.envs.harness.suite_files import is_yaml, read_suite, suite_names
from homeostat.errors import ConfigError, UnknownName
from homeostat.foreign_text import clipped, quoted, visible

__all__ = ["Limits", "Suite", "load_suite", "random_case"]

Split = Literal["train", "dev", "test"]
Text = Annotated[str, Field(min_length=1, max_length=1000)]


class Limits(BaseModel):
    """What an episode may use.

    Attributes:
        max_steps: The step budget. None: the task's own.
        seconds: The limit of wall-clock time in seconds. None: no limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    max_steps: int | None = Field(default=None, ge=1, le=1_000_000)
    seconds: float | None = Field(default=None, gt=0, allow_inf_nan=False)


class Suite(BaseModel):
    """A named list of tasks, and how to play them. :func:`load_suite` builds it and checks all names.

    Attributes:
        name: The suite's name, which its random draws depend on.
        env: The environment's registered name.
        tasks: Task names, or patterns over the environment's task names such as ``clock_*``. The order counts;
            duplicates are dropped.
        split: The data split that the environment's content is drawn from.
        episodes: The number of episodes.
        seed: The seed of the order of tasks and of the episodes' seeds.
        controllers: ``none``, ``default``, or controller names separated by commas.
        options: Options of the environment, such as ``adverts`` or ``scale`` of the phone.
        limits: What an episode may use.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Text
    env: Text = "phone"
    tasks: Annotated[tuple[Text, ...], Field(min_length=1, strict=False)]
    split: Split = "test"
    episodes: int = Field(default=200, ge=1, le=1_000_000)
    seed: int = 0
    controllers: Text = "none"
    options: dict[str, JsonValue] = {}
    limits: Limits = Limits()

    def cases(self) -> list[Case]:
        """Returns the suite's episodes: rounds over all tasks, each in a new random order and with new seeds."""
        rng, seeds = random.Random(f"{self.name} {self.split} {self.seed}"), env_kind(self.env).seed_range(self.split)
        tasks = self.task_names()
        cases: list[Case] = []
        while len(cases) < self.episodes:
            order = rng.sample(tasks, len(tasks))
            cases += [Case(task, rng.choice(seeds)) for task in order]
        return cases[: self.episodes]

    def task_names(self) -> tuple[str, ...]:
        """Returns ``tasks`` with every pattern replaced by the names that it matches.

        Raises:
            UnknownName: The environment has no such task.
            ConfigError: A pattern matches no task.
        """
        known = env_kind(self.env).task_names()
        found: dict[str, None] = {}
        for entry in self.tasks:
            if not any(mark in entry for mark in "*?["):
                if entry not in known:
                    raise UnknownName.of("task", entry, known)
                found[entry] = None
                continue
            matches = [name for name in known if fnmatchcase(name, entry)]
            if not matches:
                names = clipped(", ".join(sorted(known)), 1500)
                raise ConfigError(f"{quoted(entry)} matches no task of env {self.env!r}; known: {names}")
            found.update(dict.fromkeys(matches))
        return tuple(found)


def load_suite(name: str, **changes: Any) -> Suite:
    """Loads a registered suite, or the one in a YAML file, and checks every name in it.

    Args:
        name: A registered name, or the path of a YAML file.
        **changes: Values that replace the suite's own, by key. None leaves a key as it is.

    Returns:
        The suite.

    Raises:
        UnknownName: There is no such suite, key, environment, task, split or option.
        ConfigError: A file can't be read, or a value can't be used. The message names the file, the key and the fix.
    """
    path = Path(name)
    if is_yaml(name) or len(path.parts) > 1:
        where = f"suite file {name!r}"
        text = _read(path, where)
    else:
        where, text = "", read_suite(name)
    data = {"name": path.stem if where else name} | _mapping(text, where or f"suite {name!r}")
    given = {key: value for key, value in changes.items() if value is not None}
    _suite(data, where)  # the file's own mistakes first, so that they are named as the file's
    return _suite(data | given, "")


def random_case(env: str, seed: int) -> Case:
    """Draws a held-out task of an environment.

    Args:
        env: The environment's registered name.
        seed: The seed of the draw.

    Returns:
        The task, and the seed of its initial state.

    Raises:
        UnknownName: There is no such environment.
    """
    suite = env_kind(env).default_suite
    if suite:
        return load_suite(suite, split="test", episodes=1, seed=seed).cases()[0]
    return Suite(name=env, env=env, tasks=("*",), episodes=1, seed=seed).cases()[0]


def _suite(data: dict[str, Any], where: str) -> Suite:
    prefix = f"{where}: " if where else ""
    key = "env"
    try:
        suite = Suite.model_validate(data)
        kind = env_kind(suite.env)
        key = "options"
        check_options(kind, suite.options)
        key = "tasks"
        suite.task_names()
    except ValidationError as error:
        raise _refused(error, prefix) from None
    except UnknownName as error:
        raise UnknownName(f"{prefix}{key}: {error}" if where else str(error)) from None
    except ConfigError as error:
        raise ConfigError(f"{prefix}{key}: {error}") from None
    return suite


def _refused(error: ValidationError, prefix: str) -> ConfigError:
    """Pydantic's first complaint in one line."""
    first = error.errors()[0]
    loc = first["loc"]
    where = clipped(visible(".".join(map(str, loc))), 80)
    if first["type"] == "extra_forbidden":
        known = Limits.model_fields if loc[0] == "limits" else Suite.model_fields
        return UnknownName(f"{prefix}{UnknownName.of('key', where.rpartition('.')[2], known)}")
    if first["type"] == "missing":
        return ConfigError(f"{prefix}key {where!r} is missing; add it")
    if first["type"] == "literal_error":
        return UnknownName(f"{prefix}{UnknownName.of(where, str(first['input']), get_args(Split))}")
    return ConfigError(f"{prefix}{where} is {quoted(first['input'])}: {first['msg']}; change it")


def _mapping(text: str, where: str) -> dict[str, Any]:
    try:
        data = parse_yaml(text)
    except DataError as error:
        raise ConfigError(f"{where}: {error}; correct the YAML") from None
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise ConfigError(
            f"{where} holds {quoted(data)}; write a mapping with the keys {', '.join(Suite.model_fields)}"
        )
    return data


def _read(path: Path, where: str) -> str:
    try:
        return read_text(path)
    except DataError as error:
        raise ConfigError(
            f"{where} can't be read: {error}; give a YAML file, or one of: {', '.join(suite_names())}"
        ) from None
