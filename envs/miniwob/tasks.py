"""MiniWoB++'s tasks: their names from the package's own registry, and their kinds."""

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
"""Tasks that are solved by one or two clicks on a simple target."""


def task_kind(name: str) -> str:
    """Returns the kind that tables group a task by: the first word of its name (``click``, ``enter``, ``use``, …).

    Args:
        name: The task's name.

    Returns:
        The kind.
    """
    return name.replace(".", "-").split("-")[0]


@cache
def task_names() -> tuple[str, ...]:
    """Returns the names of all 128 tasks, sorted.

    Raises:
        ConfigError: MiniWoB++ is not installed.
    """
    import gymnasium

    try:
        import miniwob  # noqa: F401 - importing it registers the tasks
    except ImportError:
        raise ConfigError("miniwob is not installed; pip install 'homeostat[miniwob]'") from None
    specs = [spec for spec in gymnasium.registry.values() if spec.namespace == "miniwob"]
    return tuple(sorted(spec.name for spec in specs))
