import subprocess
import sys

import homeostat.sensors as sensors

NAMES = [
    "Actuator",
    "Agreement",
    "Attempt",
    "AttentionDrift",
    "AttentionEntropy",
    "AttentionTracker",
    "Calibration",
    "Capability",
    "Centric",
    "Confidence",
    "ConflictProbe",
    "DormantHeads",
    "ElementGaze",
    "EvictedMass",
    "ExtendedReadout",
    "FocusScore",
    "GoalDrift",
    "HeadWeights",
    "Message",
    "Need",
    "Part",
    "Probe",
    "ProbeWeights",
    "Progress",
    "Prompt",
    "Reading",
    "Readout",
    "Refocus",
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
    "SpanReading",
    "Spans",
    "SubtaskSensor",
    "VisionHeads",
    "VisualSinks",
    "WhiteBox",
    "check_sensor",
    "watch",
]


def test_exported_names_are_pinned():
    assert sensors.__all__ == NAMES
    assert dir(sensors) == sorted(NAMES)
    for name in NAMES:
        assert getattr(sensors, name) is not None


def test_importing_the_package_loads_no_heavy_library():
    code = "import sys, homeostat.sensors; print([m for m in ('torch', 'transformers', 'numpy') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
