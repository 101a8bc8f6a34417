"""Registers the Gymnasium id ``homeostat/Android-v0``."""

import gymnasium

__all__ = ["register"]


def register() -> None:
    """Registers the id, unless it is registered already."""
    if "homeostat/Android-v0" not in gymnasium.registry:
        where = "homeostat.envs.android.env:AndroidEnv"
        gymnasium.register("homeostat/Android-v0", entry_point=where, nondeterministic=True)  # a device's clock runs on
