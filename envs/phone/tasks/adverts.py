"""Pop-ups that distract: dialogs with one option that dismisses them and one that leads astray."""

from __future__ import annotations

import random

from homeostat.envs.phone.device import Device
from homeostat.envs.phone.effects import Effect

__all__ = ["pop_up"]

_ADVERTS = (("rate this app", "rate"), ("update ready", "update"), ("win a prize", "win"), ("join our club", "join"))
_SETTINGS: Effect = ["launch", "settings"]
_SYSTEM: tuple[tuple[str, str, Effect], ...] = (
    ("battery low", "save power", _SETTINGS),
    ("storage is full", "clean up", _SETTINGS),
    ("share your location", "allow", ["sql", "update settings set value = 'on' where key = 'location'", []]),
    ("back up this phone", "start", ["sql", "update settings set value = 'on' where key = 'backup'", []]),
)
_WAYS_OUT = ("later", "no", "skip", "close")


def pop_up(rng: random.Random, device: Device, *, system: bool = False) -> None:
    """Shows a pop-up.

    The bait of an advertisement leads to the shop. The bait of a system dialog leads to the settings or changes one.

    Args:
        rng: The generator that chooses the pop-up and the order of its options.
        device: The phone.
        system: Whether to show a system dialog instead of an advertisement.
    """
    if system:
        title, bait, effect = rng.choice(_SYSTEM)
    else:
        (title, bait), effect = rng.choice(_ADVERTS), ["launch", "shop"]
    options: list[tuple[str, Effect]] = [(rng.choice(_WAYS_OUT), ["do", []]), (bait, effect)]
    rng.shuffle(options)
    device.pop_up(title, options)
