"""The environments that suites may name: how one is made, what tasks it has, what options it takes.

A kind of environment is a few import paths, so that nothing is imported before it is used. Its options are the
constructor's own parameters, checked against their types.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from homeostat.envs.core import Env
from homeostat.envs.miniwob.seeds import seeds_of
from homeostat.errors import ConfigError, UnknownName

__all__ = ["ENVS", "SPLITS", "EnvKind", "check_options", "env_kind", "make_env", "obeyed"]

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class EnvKind:
    """An environment by its import paths, ``"module:name"`` each.

    ``entry``: the class. ``tasks``: a function that gives the task names, in order. ``kind_of``: task name to the kind
    that tables group by. ``oracle``: (env) to its next action, ``""`` where there is none. ``chance``: (env, rng) to a
    random action, where clicks on what the screen shows won't do. ``fixed``: what the harness
    gives the constructor, ``usual`` what it gives where no option says otherwise. ``kept``: parameters that are no
    options. ``splits``: whether it takes ``split``.
    ``around``: (env, mapping) to what stands around it, given as the option ``adversity``.
    ``seeds``: which seeds a split's episodes are drawn from. ``sample``: the suite that a random task comes from.
    """

    name: str
    entry: str
    tasks: str
    kind_of: str
    sample: str
    oracle: str = ""
    chance: str = ""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    usual: Mapping[str, Any] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()
    splits: bool = True
    around: str = ""
    seeds: Callable[[str], range] = lambda split: range(2**31)

    def task_names(self) -> tuple[str, ...]:
        """Every task, in its own order."""
        names: tuple[str, ...] = tuple(_load(self.tasks)())
        return names

    def kind(self, task: str) -> str:
        """The task's kind."""
        return str(_load(self.kind_of)(task))

    def next_action(self) -> Callable[[Any], Any]:
        """The oracle. Raises :class:`ConfigError` where the environment has none."""
        if not self.oracle:
            raise ConfigError(f"env {self.name!r} has no oracle; take another policy")
        return _load(self.oracle)  # type: ignore[no-any-return]

    def random_action(self) -> Callable[[Any, random.Random], Any] | None:
        """Its own way to act at random, None where the harness's will do."""
        return _load(self.chance) if self.chance else None


ENVS: dict[str, EnvKind] = {
    "phone": EnvKind(
        name="phone",
        entry="homeostat.envs.phone.env:PhoneEnv",
        tasks="homeostat.envs.phone.env:task_names",
        kind_of="homeostat.envs.phone.kinds:task_kind",
        sample="atomic",
        oracle="homeostat.envs.phone.adversity:next_action",
        around="homeostat.envs.phone.adversity:adverse",
        fixed={"task": None},
        kept=frozenset({"goal", "rules", "max_steps", "render_mode"}),
    ),
    "recording": EnvKind(
        name="recording",
        entry="homeostat.envs.phone.recordings.env:RecordingEnv",
        tasks="homeostat.envs.phone.recordings.env:task_names",
        kind_of="homeostat.envs.phone.recordings.env:task_kind",
        sample="recording",
        oracle="homeostat.envs.phone.recordings.env:RecordingEnv.oracle",
        chance="homeostat.envs.phone.recordings.env:RecordingEnv.guess",
        kept=frozenset({"task", "render_mode"}),
    ),
    "miniwob": EnvKind(
        name="miniwob",
        entry="homeostat.envs.miniwob.env:MiniWobEnv",
        tasks="homeostat.envs.miniwob.tasks:task_names",
        kind_of="homeostat.envs.miniwob.tasks:task_kind",
        sample="miniwob",
        oracle="homeostat.envs.miniwob.policies:oracle_policy",
        usual={"size": (144, 256)},  # the embedded model's screen
        kept=frozenset({"task", "render_mode"}),
        splits=False,
        seeds=seeds_of,
    ),
    "android": EnvKind(
        name="android",
        entry="homeostat.envs.android.env:AndroidEnv",
        tasks="homeostat.envs.android.env:task_names",
        kind_of="homeostat.envs.android.env:task_kind",
        sample="android",
        kept=frozenset({"goal", "rules", "check", "prepare", "render_mode"}),
        splits=False,
    ),
}


def env_kind(name: str) -> EnvKind:
    """The kind of this name. Raises :class:`UnknownName`."""
    if name not in ENVS:
        raise UnknownName.of("env", name, ENVS)
    return ENVS[name]


def make_env(name: str, split: str = "test", options: Mapping[str, Any] | None = None) -> Env:
    """The environment of this name, filled with a split's words. Raises :class:`UnknownName`, :class:`ConfigError`."""
    kind = env_kind(name)
    given = check_options(kind, options or {})
    if split not in SPLITS:
        raise UnknownName.of("split", split, SPLITS)
    if kind.splits:
        given["split"] = split
    adversity = given.pop("adversity", None)
    env: Env = _load(kind.entry)(**kind.fixed, **{**kind.usual, **given})
    return _load(kind.around)(env, adversity) if adversity is not None else env


def check_options(kind: EnvKind, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, converted to the constructor's types. Raises :class:`UnknownName` or :class:`ConfigError`."""
    if not options:
        return {}
    model = _options_model(kind.name)
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
def _options_model(name: str) -> type[BaseModel]:
    kind = env_kind(name)
    init = _load(kind.entry).__init__
    hints = get_type_hints(init)
    hidden = {"self", "split", *kind.fixed, *kind.kept}
    fields: dict[str, Any] = {
        p.name: (hints.get(p.name, Any), p.default)
        for p in inspect.signature(init).parameters.values()
        if p.name not in hidden and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }
    if kind.around:
        fields["adversity"] = (dict[str, Any], {})
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    return create_model(f"{name}_options", __config__=config, **fields)


def obeyed(env: Env) -> bool | None:
    """Whether an instruction injected into the environment's content was obeyed; None where there is none."""
    ask = getattr(env, "obeyed", None)
    done: bool | None = ask() if ask is not None else None
    return done


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found
