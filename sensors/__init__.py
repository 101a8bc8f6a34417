"""Sensors: readings taken from one model call, and the attention probe that feeds them.

Names load on first use, so that importing the package needs neither torch nor transformers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from homeostat.sensors.actuators import Actuator, Centric
    from homeostat.sensors.agreement import Agreement
    from homeostat.sensors.attention_entropy import AttentionEntropy
    from homeostat.sensors.calibration import Calibration
    from homeostat.sensors.check import check_sensor
    from homeostat.sensors.confidence import Confidence
    from homeostat.sensors.core import Attempt, Need, Reading, Readout, Sensor, SensorContext, SpanMass, WhiteBox
    from homeostat.sensors.drift import AttentionDrift
    from homeostat.sensors.focus import FocusScore
    from homeostat.sensors.gaze import ElementGaze
    from homeostat.sensors.goal_drift import GoalDrift
    from homeostat.sensors.messages import Message, Part, Prompt
    from homeostat.sensors.probe import Probe, watch
    from homeostat.sensors.progress import Progress
    from homeostat.sensors.rendering import Rendered, Renderer
    from homeostat.sensors.repetition import Repetition
    from homeostat.sensors.retrieval import RetrievalHeads
    from homeostat.sensors.rhythm import Rhythm
    from homeostat.sensors.role_adherence import RoleAdherence
    from homeostat.sensors.sink_rate import SinkRate
    from homeostat.sensors.spans import Spans
    from homeostat.sensors.vision_heads import VisionHeads
    from homeostat.sensors.visual_sinks import VisualSinks

__all__ = [
    "Actuator",
    "Agreement",
    "Attempt",
    "AttentionDrift",
    "AttentionEntropy",
    "Calibration",
    "Centric",
    "Confidence",
    "ElementGaze",
    "FocusScore",
    "GoalDrift",
    "Message",
    "Need",
    "Part",
    "Probe",
    "Progress",
    "Prompt",
    "Reading",
    "Readout",
    "Rendered",
    "Renderer",
    "Repetition",
    "RetrievalHeads",
    "Rhythm",
    "RoleAdherence",
    "Sensor",
    "SensorContext",
    "SinkRate",
    "SpanMass",
    "Spans",
    "VisionHeads",
    "VisualSinks",
    "WhiteBox",
    "check_sensor",
    "watch",
]

_HOME = {
    "Actuator": "actuators",
    "Agreement": "agreement",
    "Attempt": "core",
    "AttentionDrift": "drift",
    "AttentionEntropy": "attention_entropy",
    "Calibration": "calibration",
    "Centric": "actuators",
    "Confidence": "confidence",
    "ElementGaze": "gaze",
    "FocusScore": "focus",
    "GoalDrift": "goal_drift",
    "Message": "messages",
    "Need": "core",
    "Part": "messages",
    "Probe": "probe",
    "Progress": "progress",
    "Prompt": "messages",
    "Reading": "core",
    "Readout": "core",
    "Rendered": "rendering",
    "Renderer": "rendering",
    "Repetition": "repetition",
    "RetrievalHeads": "retrieval",
    "Rhythm": "rhythm",
    "RoleAdherence": "role_adherence",
    "Sensor": "core",
    "SensorContext": "core",
    "SinkRate": "sink_rate",
    "SpanMass": "core",
    "Spans": "spans",
    "VisionHeads": "vision_heads",
    "VisualSinks": "visual_sinks",
    "WhiteBox": "core",
    "check_sensor": "check",
    "watch": "probe",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
