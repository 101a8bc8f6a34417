"""Registration in Gymnasium.

After ``import homeostat.envs.phone``, ``gymnasium.make("homeostat/Phone-v0")`` works. In one call:
``gymnasium.make("homeostat.envs.phone:homeostat/Phone-v0", task="notes_add")``.
"""

from __future__ import annotations

import gymnasium

__all__ = ["register"]


def register() -> None:
    """Registers the phone, plain and inside adversity. Importing ``homeostat.envs.phone`` calls it."""
    if "homeostat/Phone-v0" not in gymnasium.registry:
        gymnasium.register("homeostat/Phone-v0", entry_point="homeostat.envs.phone.env:PhoneEnv")
    if "homeostat/AdversePhone-v0" not in gymnasium.registry:
        gymnasium.register("homeostat/AdversePhone-v0", entry_point="homeostat.envs.phone.adversity:make_adverse")
