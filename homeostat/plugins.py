"""Parts by name: what this and other installed packages register as entry points.

Six groups exist: ``homeostat.commands``, ``homeostat.controllers``, ``homeostat.environments``, ``homeostat.models``,
``homeostat.sensors`` and ``homeostat.suites``. A package joins a group in its own ``pyproject.toml``::

    [project.entry-points."homeostat.sensors"]
    my_sensor = "my_package:MySensor"

Nothing behind an entry point is imported before it is asked for by name.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from homeostat.errors import ConfigError, UnknownName

__all__ = ["is_ours", "load_entry", "load_plugin", "package_of", "plugins"]


def plugins(group: str) -> dict[str, EntryPoint]:
    """The entry points of a group, by name.

    Args:
        group: The group's name, such as ``"homeostat.sensors"``.

    Returns:
        The entry points in alphabetical order, our own first. Where two packages register the same name, our own
        wins, then the first in alphabetical order of its target.
    """
    found: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=group), key=lambda e: (not is_ours(e), e.name, e.value)):
        found.setdefault(entry.name, entry)
    return found


def load_plugin(group: str, what: str, name: str) -> Any:
    """The object that is registered under a name.

    Args:
        group: The group's name.
        what: What the object is, for the error message, such as ``"sensor"``.
        name: The registered name.

    Returns:
        Whatever the entry point refers to.

    Raises:
        UnknownName: No package registers this name.
        ConfigError: The package that registers it can't be imported.
    """
    found = plugins(group)
    if name not in found:
        raise UnknownName.of(what, name, found)
    return load_entry(found[name], what)


def load_entry(entry: EntryPoint, what: str) -> Any:
    """The object behind an entry point.

    Args:
        entry: The entry point.
        what: What the object is, for the error message.

    Returns:
        Whatever the entry point refers to.

    Raises:
        ConfigError: The import fails, for whatever reason. The message names the entry point and its package.
    """
    try:
        return entry.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a third party's module may do anything, sys.exit included
        text = str(error).strip().partition("\n")[0]
        reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
        raise ConfigError(
            f"{what} {entry.name!r} ({entry.value}) can't be loaded: {reason}; "
            f"reinstall or remove the package {package_of(entry)!r}"
        ) from error


def is_ours(entry: EntryPoint) -> bool:
    """Tells whether an entry point belongs to this package.

    Args:
        entry: The entry point.

    Returns:
        True where its target lies in ``homeostat``.
    """
    return entry.value.startswith("homeostat.")


def package_of(entry: EntryPoint) -> str:
    """Finds the distribution that registers an entry point.

    Args:
        entry: The entry point.

    Returns:
        The distribution's name.
    """
    return entry.dist.name if entry.dist is not None else entry.module.partition(".")[0]
