"""Adversity by name, as the options of a suite or of a command line give it: ``{"popups": 0.3, "dark": true}``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from homeostat.actions import Action
from homeostat.envs.phone.adversity.base import Adversity
from homeostat.envs.phone.adversity.distractors import Distractors
from homeostat.envs.phone.adversity.events import Crashes, PopUps
from homeostat.envs.phone.adversity.injected import InjectedInstructions
from homeostat.envs.phone.adversity.latency import Latency
from homeostat.envs.phone.adversity.screens import Dark, Rotated, Shuffled
from homeostat.envs.phone.env import PhoneEnv
from homeostat.errors import ConfigError, UnknownName

__all__ = ["ADVERSITIES", "adverse", "make_adverse", "next_action"]

ADVERSITIES: dict[str, type[Adversity]] = {
    kind.name: kind for kind in (Crashes, Dark, Distractors, InjectedInstructions, Latency, PopUps, Rotated, Shuffled)
}


def adverse(env: PhoneEnv | Adversity, adversity: Mapping[str, Any]) -> PhoneEnv | Adversity:
    """Wraps a phone in the named adversity.

    Args:
        env: The phone or another adversity.
        adversity: Name -> options, the innermost first. The options are true (the defaults), false (skip this
            adversity), a number (the first option: a rate, an angle or a number of apps), or a mapping of options.

    Returns:
        The wrapped phone.

    Raises:
        ConfigError: A name, an option or a value is invalid.
    """
    if not isinstance(adversity, Mapping):
        raise ConfigError(
            f"adversity {adversity!r} is not a mapping; write names with options, such as {{'popups': 0.3}}"
        )
    for name, value in adversity.items():
        if name not in ADVERSITIES:
            raise UnknownName.of("adversity", str(name), ADVERSITIES)
        kind = ADVERSITIES[name]
        if value is False or value is None:
            continue
        env = kind(env, **_options(name, kind, value))
    return env


def _options(name: str, kind: type[Adversity], value: Any) -> dict[str, Any]:
    known = list(inspect.signature(kind).parameters)[1:]
    if value is True:
        return {}
    if isinstance(value, Mapping):
        for option in value:
            if option not in known:
                raise UnknownName.of(f"option of {name}", str(option), known)
        return dict(value)
    if isinstance(value, int | float) and known:
        return {known[0]: value}
    raise ConfigError(
        f"{name} has the invalid value {value!r}; write true, false{', a number' if known else ''} or options"
    )


def make_adverse(adversity: Mapping[str, Any] | None = None, **options: Any) -> PhoneEnv | Adversity:
    """Creates a phone inside adversity: the entry point of Gymnasium's ``homeostat/AdversePhone-v0``.

    Args:
        adversity: Name -> options, as in :func:`adverse`.
        options: The options of :class:`PhoneEnv`.

    Returns:
        The wrapped phone.
    """
    return adverse(PhoneEnv(**options), adversity or {})


def next_action(env: PhoneEnv | Adversity) -> Action:
    """Returns the oracle's next action on a phone, plain or inside adversity.

    Args:
        env: The environment.

    Returns:
        The action.
    """
    return env.oracle()
