"""Adversity for the phone: wrappers that make its tasks harder.

They combine in any order, and the episode's seed determines them.
"""

from homeostat.envs.phone.adversity.base import Adversity
from homeostat.envs.phone.adversity.distractors import Distractors
from homeostat.envs.phone.adversity.events import Crashes, PopUps
from homeostat.envs.phone.adversity.injected import InjectedInstructions
from homeostat.envs.phone.adversity.latency import Latency
from homeostat.envs.phone.adversity.registry import ADVERSITIES, adverse, make_adverse, next_action
from homeostat.envs.phone.adversity.screens import Dark, Rotated, Shuffled

__all__ = [
    "ADVERSITIES",
    "Adversity",
    "Crashes",
    "Dark",
    "Distractors",
    "InjectedInstructions",
    "Latency",
    "PopUps",
    "Rotated",
    "Shuffled",
    "adverse",
    "make_adverse",
    "next_action",
]
