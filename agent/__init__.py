"""The runtime: an agent's loop, its models, prompts and traces.

Importing this package is cheap: every name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeostat.agent.agent import Agent
    from homeostat.agent.android_world import AndroidWorldAgent
    from homeostat.agent.driving import Episode
    from homeostat.agent.events import Event
    from homeostat.agent.loading import nano_path
    from homeostat.agent.models import Model, TransformersModel
    from homeostat.agent.prompts import VERBOSE, PromptStyle
    from homeostat.agent.runtime import LoopConfig
    from homeostat.agent.trace import Trace, read_trace

__all__ = [
    "VERBOSE",
    "Agent",
    "AndroidWorldAgent",
    "Episode",
    "Event",
    "LoopConfig",
    "Model",
    "PromptStyle",
    "Trace",
    "TransformersModel",
    "nano_path",
    "read_trace",
]

_HOMES = {
    "VERBOSE": "prompts",
    "Agent": "agent",
    "AndroidWorldAgent": "android_world",
    "Episode": "driving",
    "Event": "events",
    "LoopConfig": "runtime",
    "Model": "models",
    "PromptStyle": "prompts",
    "Trace": "trace",
    "TransformersModel": "models",
    "nano_path": "loading",
    "read_trace": "trace",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
