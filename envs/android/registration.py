"""The Gymnasium id ``homeostat/Android-v0``."""

import gymnasium

__all__ = ["register"]


def register() -> None:
    """Register the id, once."""
    if "homeostat/Android-v0" not in gymnasium.registry:
        where = "homeostat.envs.android.env:AndroidEnv"
        gymnasium.register("homeostat/Android-v0", entry_point=where, nondeterministic=True)  # its clock goes on
