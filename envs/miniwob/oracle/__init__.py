"""Oracles: the next action on simple pages, computed from the instruction and the visible DOM alone."""

from __future__ import annotations

from homeostat.envs.miniwob.oracle import clicks, forms, shapes  # noqa: F401 - each registers its oracles
from homeostat.envs.miniwob.oracle.view import ORACLES, Oracle, View, solves

__all__ = ["ORACLES", "Oracle", "View", "solves"]
