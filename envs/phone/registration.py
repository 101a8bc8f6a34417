"""Gymnasium's registry: ``import homeostat.envs.phone`` and then ``gymnasium.make("homeostat/Phone-v0")``,
or in one go ``gymnasium.make("homeostat.envs.phone:homeostat/Phone-v0", task="notes_add")``.
"""

from __future__ import annotations

import gymnasium

__all__ = ["register"]


def register() -> None:
    """Register the phone, plain and behind adversity; done once, when ``homeostat.envs.phone`` is imported."""
    if "homeostat/Phone-v0" not in gymnasium.registry:
        gymnasium.register("homeostat/Phone-v0", entry_point="homeostat.envs.phone.env:PhoneEnv")
    if "homeostat/AdversePhone-v0" not in gymnasium.registry:
        gymnasium.register("homeostat/AdversePhone-v0", entry_point="homeostat.envs.phone.adversity:make_adverse")
