"""Builds controllers from their names: ``"none"``, ``"default"``, ``"guard,remind"``.

A name is a preset of ours (:data:`~homeostat.controllers.presets.PRESETS`), or one that an installed package registers
in the entry-point group ``homeostat.controllers``::

    [project.entry-points."homeostat.controllers"]
    my-controller = "my_package:MyController"

The entry point refers to a :class:`~homeostat.controllers.presets.Preset`, or to a class or function that builds a
controller without arguments. Our own names take precedence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from homeostat.controllers.cascade import Cascade
from homeostat.controllers.contracts import Controller
from homeostat.controllers.presets import PRESETS, Preset
from homeostat.controllers.profiles import HeadProfile
from homeostat.errors import ComponentError, ConfigError, HomeostatError, UnknownName
from homeostat.plugins import load_plugin, plugins
from homeostat.summaries import listed_summary

__all__ = ["controller_names", "controllers_for", "preset_sensors"]

_GROUP = "homeostat.controllers"


def controller_names() -> dict[str, str]:
    """Lists the names of all controllers. Nothing of another package is imported.

    Returns:
        One-line summaries by name: our own presets, then the controllers of other packages in alphabetical order.
    """
    others = {name: listed_summary(entry) for name, entry in plugins(_GROUP).items() if name not in PRESETS}
    return {preset.name: preset.summary for preset in PRESETS.values()} | others


def controllers_for(names: str | Sequence[str], profile: HeadProfile | None = None) -> Cascade:
    """Builds controllers from their names.

    Args:
        names: The names, in the order in which the controllers are asked. A text with commas will do.
        profile: The model's attention heads, for controllers that act on some heads only.

    Returns:
        The controllers as one cascade.

    Raises:
        UnknownName: Neither a preset nor another package has a name.
        ConfigError: ``none`` stands beside other names, controllers can't go together or lack their heads, or a package
            registers something that is no controller.
        ComponentError: Another package's controller could not be built.
    """
    heads = profile or HeadProfile(model="")
    controllers: list[Controller] = []
    for name, preset in _presets(names):
        with _named(name):
            controllers += preset.build(heads)
    return Cascade(controllers)


def preset_sensors(names: str | Sequence[str]) -> frozenset[str]:
    """Collects the sensors that controllers need.

    Args:
        names: The controllers' names, as for :func:`controllers_for`.

    Returns:
        The names of the sensors.

    Raises:
        UnknownName: Neither a preset nor another package has a name.
        ConfigError: ``none`` stands beside other names, or a package registers something that is no controller.
        ComponentError: Another package's controller could not be built.
    """
    return frozenset().union(*(preset.sensors for _, preset in _presets(names)))


def _presets(names: str | Sequence[str]) -> list[tuple[str, Preset]]:
    wanted = [n.strip() for n in names.split(",")] if isinstance(names, str) else list(names)
    found = plugins(_GROUP)
    for name in wanted:
        if name not in PRESETS and name not in found:
            raise UnknownName.of("controller", name, {*PRESETS, *found})
    if "none" in wanted and len(wanted) > 1:
        raise ConfigError(f"controllers {','.join(wanted)!r}: 'none' stands alone; leave it out")
    return [(name, PRESETS[name] if name in PRESETS else _registered(name)) for name in wanted]


def _registered(name: str) -> Preset:
    """Another package's controller as a preset."""
    made = load_plugin(_GROUP, "controller", name)
    if isinstance(made, Preset):
        return made
    if not callable(made):
        raise ConfigError(
            f"controller {name!r} is registered as {made!r}; register a Preset, or a class or function that builds one"
        )
    with _named(name):
        controller = made()
    if not isinstance(controller, Controller):
        raise ConfigError(
            f"controller {name!r} is built as {controller!r}, which lacks name, sensors or decide(readings, context); "
            "test it with check_controller"
        )
    return Preset(name, "", lambda profile: (controller,), controller.sensors)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Within it, an error of another package's controller becomes a ComponentError that names it."""
    try:
        yield
    except HomeostatError:
        raise
    except Exception as error:
        raise ComponentError.of("controller", name, error) from error
