"""Android over adb: a real device, an emulator, or the phone simulator behind its daemon."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from homeostat.envs.android.registration import register

if TYPE_CHECKING:
    from homeostat.envs.android.env import AndroidEnv
    from homeostat.envs.android.inside import WorldEnv
    from homeostat.envs.android.json_action import JSONAction, from_json_action, to_json_action
    from homeostat.envs.android.world import PhoneWorld, State, UIElement

__all__ = [
    "AndroidEnv",
    "JSONAction",
    "PhoneWorld",
    "State",
    "UIElement",
    "WorldEnv",
    "from_json_action",
    "to_json_action",
]

_HOME = {"AndroidEnv": "env", "PhoneWorld": "world", "State": "world", "UIElement": "world", "WorldEnv": "inside"}

register()


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME.get(name, 'json_action')}"), name)
