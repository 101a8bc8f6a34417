"""The compositional templates, by name. All of them are for testing: training makes its own combinations (``joined``)."""

from homeostat.envs.phone.tasks.composed import concatenation_daily, deepdive_daily, transition_daily
from homeostat.envs.phone.tasks.composed.core import Composed

__all__ = ["COMPOSED"]

_ALL = (*concatenation_daily.TEMPLATES, *transition_daily.TEMPLATES, *deepdive_daily.TEMPLATES)
COMPOSED: dict[str, Composed] = {t.name: t for t in _ALL}
