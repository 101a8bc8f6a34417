"""The compositional templates, by name. All are held out; training joins atomic tasks itself (see ``joined``)."""

from homeostat.envs.phone.tasks.composed import (
    concatenation_daily,
    concatenation_media,
    concatenation_online,
    deepdive_daily,
    deepdive_media,
    deepdive_online,
    transition_daily,
    transition_media,
    transition_online,
)
from homeostat.envs.phone.tasks.composed.core import Composed

__all__ = ["COMPOSED"]

_FILES = (
    *(concatenation_daily, concatenation_media, concatenation_online),
    *(transition_daily, transition_media, transition_online),
    *(deepdive_daily, deepdive_media, deepdive_online),
)
COMPOSED: dict[str, Composed] = {t.name: t for file in _FILES for t in file.TEMPLATES}
