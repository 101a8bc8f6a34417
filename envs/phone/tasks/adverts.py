"""Pop-ups that distract: a dialog over whatever is in front, with a way out and a way astray."""

from __future__ import annotations

import random

from homeostat.envs.phone.device import Device
from homeostat.envs.phone.ui import Effect

__all__ = ["pop_up"]

_ADVERTS = (("rate this app", "rate"), ("update ready", "update"), ("win a prize", "win"), ("join our club", "join"))
_WAYS_OUT = ("later", "no", "skip", "close")


def pop_up(rng: random.Random, device: Device) -> None:
    """Show one of the pop-ups; the wrong button leads into the shop."""
    title, bait = rng.choice(_ADVERTS)
    options: list[tuple[str, Effect]] = [(rng.choice(_WAYS_OUT), ["do", []]), (bait, ["launch", "shop"])]
    rng.shuffle(options)
    device.pop_up(title, options)
