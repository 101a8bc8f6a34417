"""Adversity by name for environments of tools, as the option ``adversity`` of a suite gives it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from homeostat.errors import ConfigError, UnknownName

__all__ = ["chosen_adversity"]


def chosen_adversity(adversity: Mapping[str, Any], known: Iterable[str]) -> tuple[str, float] | None:
    """Reads the option ``adversity``.

    Args:
        adversity: Name -> true, false, or the share of the episodes that it concerns, as ``{"injected": 0.5}``.
        known: The names that exist.

    Returns:
        The name, and the share of the episodes from 0 to 1; None if nothing is chosen.

    Raises:
        UnknownName: A name is unknown.
        ConfigError: A value can't be used, or two names are chosen.
    """
    names = tuple(known)
    found: list[tuple[str, float]] = []
    for name, value in adversity.items():
        if name not in names:
            raise UnknownName.of("adversity", str(name), names)
        if value is False or value is None:
            continue
        share = 1.0 if value is True or value == {} else value
        if not isinstance(share, int | float) or not 0 <= share <= 1:
            raise ConfigError(f"{name} has the invalid value {value!r}; write true, false, or a share from 0 to 1")
        found.append((str(name), float(share)))
    if len(found) > 1:
        raise ConfigError(f"adversity {found[0][0]!r} and {found[1][0]!r} exclude each other; choose one")
    return found[0] if found else None
