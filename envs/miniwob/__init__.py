"""MiniWoB++, the web benchmark: 128 small pages in a headless Chromium, behind the phone's contract."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from homeostat.envs.miniwob.registration import register

if TYPE_CHECKING:
    from homeostat.envs.miniwob.browser import find_binaries
    from homeostat.envs.miniwob.env import MiniWobEnv
    from homeostat.envs.miniwob.oracle import ORACLES
    from homeostat.envs.miniwob.policies import Played, Policy, RandomPolicy, oracle_policy, play
    from homeostat.envs.miniwob.seeds import SEEDS
    from homeostat.envs.miniwob.tasks import CLICK, task_names

__all__ = [
    "CLICK",
    "ORACLES",
    "SEEDS",
    "MiniWobEnv",
    "Played",
    "Policy",
    "RandomPolicy",
    "find_binaries",
    "oracle_policy",
    "play",
    "task_names",
]

_HOME = {
    "MiniWobEnv": "env",
    "find_binaries": "browser",
    "task_names": "tasks",
    "ORACLES": "oracle",
    "CLICK": "tasks",
    "SEEDS": "seeds",
}

register()


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME.get(name, 'policies')}"), name)
