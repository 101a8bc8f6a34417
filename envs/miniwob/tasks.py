"""MiniWoB++'s tasks: their names from the package's own registry, their kinds, the plain ones."""

from __future__ import annotations

from functools import cache

from homeostat.errors import ConfigError

__all__ = ["CLICK", "task_kind", "task_names"]

CLICK = (
    "click-button",
    "click-button-sequence",
    "click-color",
    "click-dialog",
    "click-dialog-2",
    "click-link",
    "click-shape",
    "click-tab",
    "click-tab-2-easy",
    "click-test",
    "click-test-2",
    "click-widget",
    "focus-text",
    "focus-text-2",
    "grid-coordinate",
    "identify-shape",
)
"""Tasks of one or two clicks on a plain target."""


def task_kind(name: str) -> str:
    """The first word of a task's name: ``click``, ``enter``, ``use``, …"""
    return name.replace(".", "-").split("-")[0]


@cache
def task_names() -> tuple[str, ...]:
    """All 128, sorted: ``click-test``, … ``flight.AA``. Raises ``ConfigError`` where the package is missing."""
    import gymnasium

    try:
        import miniwob  # noqa: F401 - importing it registers the tasks
    except ImportError:
        raise ConfigError("miniwob is not installed; pip install 'homeostat[miniwob]'") from None
    specs = [spec for spec in gymnasium.registry.values() if spec.namespace == "miniwob"]
    return tuple(sorted(spec.name for spec in specs))
