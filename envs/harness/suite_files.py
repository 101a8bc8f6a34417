"""Where suites come from: YAML files that installed packages register, by name.

A package joins through the entry-point group ``homeostat.suites`` in one of two ways::

    [project.entry-points."homeostat.suites"]
    my_package = "my_package.suites"
    my_suite = "my_package.data:suite_path"

The first entry refers to a folder of the package. Every ``.yaml`` file in it is a suite with the file's name, and the
entry's own name only has to be unique. The second refers to a function that returns the path of one YAML file, and the
entry's name is the suite's. Listing the names calls no such function, and imports only the packages that hold folders.
"""

from __future__ import annotations

import os
from importlib.metadata import EntryPoint
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from homeostat.errors import ConfigError, UnknownName
from homeostat.plugins import load_entry, package_of, plugins

__all__ = ["GROUP", "is_yaml", "read_suite", "suite_names"]

GROUP = "homeostat.suites"
"""The entry-point group that suites are registered in."""


def suite_names() -> tuple[str, ...]:
    """Returns the names of all registered suites in alphabetical order.

    A folder that can't be read is left out, so that a broken package spoils no other's suites. :func:`read_suite` says
    what is wrong with it.
    """
    return tuple(sorted(_registered()[0]))


def read_suite(name: str) -> str:
    """Reads a registered suite.

    Args:
        name: The suite's name.

    Returns:
        The text of its YAML file.

    Raises:
        UnknownName: No installed package registers this name.
        ConfigError: The entry point can't be loaded, or its file can't be read.
    """
    found, broken = _registered()
    if name not in found:
        unknown = UnknownName.of("suite", name, found)
        raise UnknownName("; ".join([str(unknown), *broken])) if broken else unknown
    source = found[name]
    path = _called(source) if isinstance(source, EntryPoint) else source
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"suite {name!r}: {str(path)!r} can't be read: {error}; repair the package") from None


def is_yaml(name: str) -> bool:
    """Whether a name is that of a YAML file.

    Args:
        name: A file's name or path.

    Returns:
        True for the endings ``.yaml`` and ``.yml``.
    """
    return name.endswith((".yaml", ".yml"))


def _registered() -> tuple[dict[str, EntryPoint | Traversable], list[str]]:
    """Every suite by name, ours first, as a file or as the entry that says where it is; and what can't be listed."""
    found: dict[str, EntryPoint | Traversable] = {}
    broken: list[str] = []
    for entry in plugins(GROUP).values():
        if entry.attr:
            found.setdefault(entry.name, entry)
            continue
        try:
            for file in files(entry.module).iterdir():
                if is_yaml(file.name):
                    found.setdefault(file.name.rpartition(".")[0], file)
        except Exception as error:  # a third party's package may do anything when it is imported
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            broken.append(f"the suites of package {package_of(entry)!r} ({entry.value}) can't be listed: {reason}")
    return found, broken


def _called(entry: EntryPoint) -> Path:
    """The path that an entry's function returns."""
    function = load_entry(entry, "suite")
    try:
        path = function()
        return Path(os.fspath(path))
    except Exception as error:
        raise ConfigError(
            f"suite {entry.name!r} ({entry.value}) gives no path: {type(error).__name__}: {error}; "
            f"register a function that returns the path of a YAML file"
        ) from error
