"""Suites: which episodes a figure is made of, as a YAML file or a name that ships with the package.

Paired by construction: the same suite, split, seed and number of episodes give the same tasks from the same initial
states, whatever agent plays them.
"""

from __future__ import annotations

import random
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from homeostat.envs.harness.environments import check_options, env_kind
from homeostat.envs.harness.runner import Case
from homeostat.errors import ConfigError, UnknownName

__all__ = ["Limits", "Suite", "load_suite", "random_case", "suite_names"]

Split = Literal["train", "dev", "test"]
Text = Annotated[str, Field(min_length=1)]


class Limits(BaseModel):
    """What an episode may use: ``max_steps`` instead of the task's own, ``seconds`` of wall-clock time."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    max_steps: int | None = Field(default=None, ge=1)
    seconds: float | None = Field(default=None, gt=0)


class Suite(BaseModel):
    """A named list of tasks and how to play them.

    ``tasks``: names, or globs over the environment's names (``clock_*``), in this order and each once. ``split``: whose
    words fill the environment. ``options``: the environment's own, such as ``adverts`` or ``scale`` of the phone.
    ``controllers``: ``none``, ``default`` or names with commas. Build it with :func:`load_suite`, which checks names.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Text
    env: Text = "phone"
    tasks: Annotated[tuple[Text, ...], Field(min_length=1, strict=False)]
    split: Split = "test"
    episodes: int = Field(default=200, ge=1)
    seed: int = 0
    controllers: Text = "none"
    options: dict[str, JsonValue] = {}
    limits: Limits = Limits()

    def cases(self) -> list[Case]:
        """Every task in turn, in an order and with seeds drawn from ``seed``, until there are ``episodes``."""
        rng, seeds = random.Random(f"{self.name} {self.split} {self.seed}"), env_kind(self.env).seeds(self.split)
        tasks = self.task_names()
        cases: list[Case] = []
        while len(cases) < self.episodes:
            order = rng.sample(tasks, len(tasks))
            cases += [Case(task, rng.choice(seeds)) for task in order]
        return cases[: self.episodes]

    def task_names(self) -> tuple[str, ...]:
        """``tasks`` with its globs filled in. Raises :class:`UnknownName` or :class:`ConfigError`."""
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
                raise ConfigError(f"{entry!r} matches no task of env {self.env!r}; known: {', '.join(sorted(known))}")
            found.update(dict.fromkeys(matches))
        return tuple(found)


def suite_names() -> tuple[str, ...]:
    """The suites that ship with the package."""
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in _folder().iterdir() if _is_yaml(entry.name)))


def load_suite(name: str, **changes: Any) -> Suite:
    """A shipped suite by name, or the one in a YAML file; ``changes`` override its keys (None leaves one as it is).

    Raises :class:`UnknownName` for a name, key, env, task, split or option there is none of, :class:`ConfigError` for a
    file that can't be read or a value that can't be; each names the file, the key and the fix.
    """
    path = Path(name)
    if _is_yaml(name) or len(path.parts) > 1:
        where = f"suite file {name!r}"
        text = _read(path, where)
    elif name in suite_names():
        where, text = "", (_folder() / f"{name}.yaml").read_text(encoding="utf-8")
    else:
        raise UnknownName.of("suite", name, suite_names())
    data = {"name": path.stem if where else name} | _mapping(text, where or f"suite {name!r}")
    given = {key: value for key, value in changes.items() if value is not None}
    _suite(data, where)  # the file's own mistakes first, so that they are named as the file's
    return _suite(data | given, "")


def random_case(env: str, seed: int) -> Case:
    """A held-out task of an environment, drawn by the seed. Raises :class:`UnknownName`."""
    return load_suite(env_kind(env).sample, split="test", episodes=1, seed=seed).cases()[0]


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
    """One line for pydantic's first complaint."""
    first = error.errors()[0]
    loc = first["loc"]
    where = ".".join(map(str, loc))
    if first["type"] == "extra_forbidden":
        known = Limits.model_fields if loc[0] == "limits" else Suite.model_fields
        return UnknownName(f"{prefix}{UnknownName.of('key', where.rpartition('.')[2], known)}")
    if first["type"] == "missing":
        return ConfigError(f"{prefix}key {where!r} is missing; add it")
    if first["type"] == "literal_error":
        return UnknownName(f"{prefix}{UnknownName.of(where, str(first['input']), get_args(Split))}")
    return ConfigError(f"{prefix}{where} is {first['input']!r}: {first['msg']}; change it")


def _mapping(text: str, where: str) -> dict[str, Any]:
    import yaml

    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        raise ConfigError(f"{where}{line}: {getattr(error, 'problem', None) or 'not YAML'}; mend the YAML") from None
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise ConfigError(f"{where} holds {data!r}; write a mapping with the keys {', '.join(Suite.model_fields)}")
    return data


def _read(path: Path, where: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{where} can't be read: {error.strerror}; give a YAML file, or one of: {', '.join(suite_names())}"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{where} is not UTF-8 text; write it as YAML") from None


def _is_yaml(name: str) -> bool:
    return name.endswith((".yaml", ".yml"))


def _folder() -> Any:
    return files("homeostat.envs.harness") / "suites"
