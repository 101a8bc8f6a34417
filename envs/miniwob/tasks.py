"""The names of MiniWoB++'s tasks, from the package's own registry."""

from __future__ import annotations

from functools import cache

from homeostat.envs.errors import ConfigError

__all__ = ["task_names"]


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
