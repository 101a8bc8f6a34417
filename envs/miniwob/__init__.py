"""MiniWoB++, the web benchmark: 128 small pages in a headless Chromium, behind the phone's contract."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from homeostat.envs.miniwob.registration import register

if TYPE_CHECKING:
    from homeostat.envs.miniwob.env import MiniWobEnv
    from homeostat.envs.miniwob.tasks import task_names

__all__ = ["MiniWobEnv", "task_names"]

_HOME = {"MiniWobEnv": "env", "task_names": "tasks"}

register()


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
