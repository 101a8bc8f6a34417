"""A phone in this process: nine apps over one database, tasks with exact checks, an oracle."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from homeostat.envs.phone.registration import register

if TYPE_CHECKING:
    from homeostat.envs.phone.device import Device
    from homeostat.envs.phone.env import PhoneEnv, task_names
    from homeostat.envs.phone.tasks import TEMPLATES

__all__ = ["TEMPLATES", "Device", "PhoneEnv", "task_names"]

_HOME = {"Device": "device", "PhoneEnv": "env", "task_names": "env", "TEMPLATES": "tasks"}

register()


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
