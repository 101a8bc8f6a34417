"""Gymnasium's registry: ``import homeostat.envs.miniwob`` and then ``gymnasium.make("homeostat/MiniWoB-v0")``,
or in one go ``gymnasium.make("homeostat.envs.miniwob:homeostat/MiniWoB-v0", task="click-link")``.
"""

from __future__ import annotations

import gymnasium

__all__ = ["register"]


def register() -> None:
    """Register the pages; done once, when ``homeostat.envs.miniwob`` is imported."""
    if "homeostat/MiniWoB-v0" not in gymnasium.registry:
        gymnasium.register("homeostat/MiniWoB-v0", entry_point="homeostat.envs.miniwob.env:MiniWobEnv")
