"""The environments that suites may name: how one is constructed, which tasks it has, which options it takes.

An environment joins through the entry-point group ``homeostat.environments``, from this package
(:mod:`homeostat.envs.harness.kinds`) or from any other installed one::

    [project.entry-points."homeostat.environments"]
    my_env = "my_package.homeostat_kind:KIND"

The entry refers to an :class:`EnvKind`, or to a function that returns one. A kind consists of import paths, so listing
the names imports nothing and loading a kind imports no environment. An environment's options are its constructor's own
parameters, checked against their type hints.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from homeostat.envs.core import Attacked, Env, Solvable
from homeostat.errors import ConfigError, UnknownName
from homeostat.plugins import load_plugin, plugins

__all__ = ["GROUP", "SPLITS", "EnvKind", "check_options", "env_kind", "env_names", "make_env", "obeyed"]

GROUP = "homeostat.environments"
"""The entry-point group that environments are registered in."""
SPLITS = ("train", "dev", "test")
"""The data splits: training, development, and held-out test."""


@dataclass(frozen=True, eq=False)
class EnvKind:
    """How the harness uses an environment. Every import path is written ``"package.module:name"``.

    Attributes:
        constructor: Import path of the environment's class, or of a function that returns the environment.
        tasks: Import path of a function without parameters that returns the task names in order.
        task_kinds: Import path of a function from a task's name to the kind that tables group it by. Empty: a task is
            a kind of its own.
        default_suite: The suite that :func:`random_case` draws from. Empty: all tasks.
        oracle: Import path of a function from the environment to the next action of its built-in solution. Empty: the
            environment's own ``oracle`` method where it has one (:class:`homeostat.envs.core.Solvable`).
        random_policy: Import path of a function from the environment and a ``random.Random`` to a random action.
            Empty: :func:`homeostat.envs.harness.policies.random_action`, which clicks on elements of the screen.
        fixed: Constructor arguments that the harness always passes. They are no options.
        defaults: Constructor arguments that the harness passes unless an option replaces them.
        reserved: Constructor parameters that are no options.
        wrapper: Import path of a function that wraps the environment as the option ``adversity`` (a mapping) asks.
            Empty: the environment takes no such option.
        seeds: Import path of a function from a split to the ``range`` that its episodes' seeds are drawn from. Empty:
            0 to 2³¹ − 1 for every split.
        training_tasks: Import path of a function without parameters that returns the names of the tasks that models may
            be trained on. Empty: all tasks.
        other_goals: Import path of a function from the environment, a ``random.Random``, a number and names of tasks to
            goals of such tasks, each with the action that it asks for on the present screen. Empty: there are none.
        name: The registered name. :func:`env_kind` fills it in.
    """

    constructor: str
    tasks: str
    task_kinds: str = ""
    default_suite: str = ""
    oracle: str = ""
    random_policy: str = ""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    reserved: frozenset[str] = frozenset()
    wrapper: str = ""
    seeds: str = ""
    training_tasks: str = ""
    other_goals: str = ""
    name: str = ""

    def load(self, path: str) -> Any:
        """Imports what one of the kind's import paths refers to.

        Args:
            path: The import path, ``"package.module:name"``; the name may have dots.

        Returns:
            The object.

        Raises:
            ConfigError: There is no such module or name.
        """
        module, _, name = path.partition(":")
        try:
            found: Any = import_module(module)
            for part in name.split("."):
                found = getattr(found, part)
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigError(
                f"env {self.name!r}: {path!r} can't be imported ({error}); correct its EnvKind or install what it needs"
            ) from error
        return found

    def task_names(self) -> tuple[str, ...]:
        """Returns the name of every task, in the environment's own order."""
        return tuple(self.load(self.tasks)())

    def kind(self, task: str) -> str:
        """Returns the kind that tables group a task by.

        Args:
            task: The task's name.

        Returns:
            The kind.
        """
        return str(self.load(self.task_kinds)(task)) if self.task_kinds else task

    def seed_range(self, split: str) -> range:
        """Returns the seeds that a split's episodes are drawn from.

        Args:
            split: ``train``, ``dev`` or ``test``.

        Returns:
            The seeds.
        """
        seeds: range = self.load(self.seeds)(split) if self.seeds else range(2**31)
        return seeds

    def next_action(self) -> Callable[[Any], Any]:
        """Returns the oracle: a function from the environment to the next action of its built-in solution.

        Raises:
            ConfigError: The environment has no oracle.
        """
        if self.oracle:
            solve: Callable[[Any], Any] = self.load(self.oracle)
            return solve
        constructor = self.load(self.constructor)
        if not (isinstance(constructor, type) and issubclass(constructor, Solvable)):
            raise ConfigError(f"env {self.name!r} has no oracle; choose another policy")
        return lambda env: env.oracle()

    def random_action(self) -> Callable[[Any, random.Random], Any] | None:
        """Returns the environment's own random policy; None if the harness's general one serves."""
        return self.load(self.random_policy) if self.random_policy else None


def env_names() -> tuple[str, ...]:
    """Returns the names of all registered environments, ours first. No environment is imported."""
    return tuple(plugins(GROUP))


@cache
def env_kind(name: str) -> EnvKind:
    """Loads a registered environment's kind.

    Args:
        name: The registered name.

    Returns:
        The kind, with ``name`` filled in.

    Raises:
        UnknownName: No installed package registers this name.
        ConfigError: The entry point can't be loaded, or refers to something else than a kind.
    """
    found = load_plugin(GROUP, "env", name)
    if not isinstance(found, EnvKind) and callable(found):
        try:
            found = found()
        except Exception as error:
            raise ConfigError(f"env {name!r} can't be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(found, EnvKind):
        made = type(found).__name__
        raise ConfigError(f"env {name!r} is registered as {made!r}; register an EnvKind or a function that returns one")
    return replace(found, name=name)


def make_env(name: str, split: str = "test", options: Mapping[str, Any] | None = None) -> Env:
    """Constructs an environment.

    Args:
        name: The registered name.
        split: The data split, for environments whose content depends on it.
        options: The environment's options by name. See :func:`check_options`.

    Returns:
        The environment. No task is set up yet.

    Raises:
        UnknownName: There is no such environment, split or option.
        ConfigError: An option has a value that can't be used, or the constructor makes something else than an
            :class:`Env`.
    """
    kind = env_kind(name)
    given = check_options(kind, options or {})
    if split not in SPLITS:
        raise UnknownName.of("split", split, SPLITS)
    constructor = kind.load(kind.constructor)
    if "split" in inspect.signature(constructor).parameters:
        given["split"] = split
    adversity = given.pop("adversity", None)
    env = constructor(**kind.fixed, **{**kind.defaults, **given})
    if not isinstance(env, Env):
        raise ConfigError(f"env {name!r}: {kind.constructor!r} makes {type(env).__name__!r}, which is no Env")
    if adversity is None:
        return env
    wrapped: Env = kind.load(kind.wrapper)(env, adversity)
    return wrapped


def check_options(kind: EnvKind, options: Mapping[str, Any]) -> dict[str, Any]:
    """Checks options against the constructor's parameters.

    Args:
        kind: The environment's kind.
        options: The options by name, as YAML or the command line gives them.

    Returns:
        The options, converted to the types of the constructor's hints.

    Raises:
        UnknownName: The environment has no such option.
        ConfigError: A value does not fit its type.
    """
    if not options:
        return {}
    model = _options_model(kind)
    for name in options:
        if name not in model.model_fields:
            raise UnknownName.of("option", str(name), model.model_fields)
    try:
        checked = model.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"option {where!r} is {first['input']!r}: {first['msg']}; change it") from None
    return checked.model_dump(exclude_unset=True)


@cache
def _options_model(kind: EnvKind) -> type[BaseModel]:
    constructor = kind.load(kind.constructor)
    hints = get_type_hints(constructor.__init__ if isinstance(constructor, type) else constructor)  # type: ignore[misc]
    hidden = {"split", *kind.fixed, *kind.reserved}
    fields: dict[str, Any] = {
        p.name: (hints.get(p.name, Any), p.default)
        for p in inspect.signature(constructor).parameters.values()
        if p.name not in hidden and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }
    if kind.wrapper:
        fields["adversity"] = (dict[str, Any], {})
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    return create_model(f"{kind.name}_options", __config__=config, **fields)


def obeyed(env: Env) -> bool | None:
    """Whether an instruction that was injected into the environment's content was carried out.

    Args:
        env: The environment, at the end of an episode.

    Returns:
        None if the environment injects no instructions, or showed none.
    """
    return env.obeyed() if isinstance(env, Attacked) else None
