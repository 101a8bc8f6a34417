"""Registers the Gymnasium id ``homeostat/MiniWoB-v0``.

Importing ``homeostat.envs.miniwob`` registers it, and so does
``gymnasium.make("homeostat.envs.miniwob:homeostat/MiniWoB-v0", task="click-link")``.
"""

from __future__ import annotations

import gymnasium

__all__ = ["register"]


def register() -> None:
    """Registers the id, unless it is registered already."""
    if "homeostat/MiniWoB-v0" not in gymnasium.registry:
        gymnasium.register("homeostat/MiniWoB-v0", entry_point="homeostat.envs.miniwob.env:MiniWobEnv")
