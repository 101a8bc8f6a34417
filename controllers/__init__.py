"""Decisions from readings: remind, decompose, and what composes and checks them. Knows no model."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from homeostat.controllers.agenda import Fact, Plan, Subtask
    from homeostat.controllers.bounds import Escalate, StopOn
    from homeostat.controllers.cascade import Cascade, Limit
    from homeostat.controllers.check import check_controller
    from homeostat.controllers.core import (
        Ask,
        Candidate,
        Choose,
        ControlContext,
        Controller,
        Decision,
        Dispatch,
        HoldAttention,
        MakePlan,
        Perform,
        Proceed,
        Record,
        Refuse,
        Reminder,
        Report,
        Reported,
        Sample,
        SteerAttention,
        Stop,
    )
    from homeostat.controllers.decompose import Decompose
    from homeostat.controllers.forest import Forest
    from homeostat.controllers.guard import Guard, Prohibition, read_rules
    from homeostat.controllers.operations import OPERATIONS, compute
    from homeostat.controllers.plan import parse_plan, plan_schema
    from homeostat.controllers.presets import PRESETS, Preset, controllers_for, preset_sensors
    from homeostat.controllers.profiles import HeadProfile
    from homeostat.controllers.recalibrate import Recalibrate
    from homeostat.controllers.reconsider import Reconsider
    from homeostat.controllers.remind import Remind
    from homeostat.controllers.steer import SetPoint, Steer
    from homeostat.controllers.tabu import Tabu

__all__ = [
    "OPERATIONS",
    "PRESETS",
    "Ask",
    "Candidate",
    "Cascade",
    "Choose",
    "ControlContext",
    "Controller",
    "Decision",
    "Decompose",
    "Dispatch",
    "Escalate",
    "Fact",
    "Forest",
    "Guard",
    "HeadProfile",
    "HoldAttention",
    "Limit",
    "MakePlan",
    "Perform",
    "Plan",
    "Preset",
    "Proceed",
    "Prohibition",
    "Recalibrate",
    "Reconsider",
    "Record",
    "Refuse",
    "Remind",
    "Reminder",
    "Report",
    "Reported",
    "Sample",
    "SetPoint",
    "Steer",
    "SteerAttention",
    "Stop",
    "StopOn",
    "Subtask",
    "Tabu",
    "check_controller",
    "compute",
    "controllers_for",
    "parse_plan",
    "plan_schema",
    "preset_sensors",
    "read_rules",
]

_HOME = {
    "Fact": "agenda",
    "OPERATIONS": "operations",
    "Plan": "agenda",
    "Subtask": "agenda",
    "compute": "operations",
    "plan_schema": "plan",
    "Escalate": "bounds",
    "Forest": "forest",
    "Guard": "guard",
    "Prohibition": "guard",
    "StopOn": "bounds",
    "read_rules": "guard",
    "Cascade": "cascade",
    "Limit": "cascade",
    "check_controller": "check",
    "Decompose": "decompose",
    "parse_plan": "plan",
    "PRESETS": "presets",
    "Preset": "presets",
    "controllers_for": "presets",
    "preset_sensors": "presets",
    "HeadProfile": "profiles",
    "Recalibrate": "recalibrate",
    "Reconsider": "reconsider",
    "Tabu": "tabu",
    "Remind": "remind",
    "SetPoint": "steer",
    "Steer": "steer",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME.get(name, 'core')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
