"""The names that users import from ``homeostat.alignment``."""

import subprocess
import sys

from homeostat import alignment

NAMES = [
    "Adapter",
    "AlignSettings",
    "Aligned",
    "Case",
    "CloneSettings",
    "Cloned",
    "Diagnosis",
    "HeadOverlap",
    "Localization",
    "NoiseFilter",
    "Pair",
    "Pointer",
    "PointerTraining",
    "Twins",
    "align",
    "causal_check",
    "chat_twins",
    "clone",
    "compare_heads",
    "complaint_pairs",
    "corrected_pairs",
    "diagnose",
    "draw_cases",
    "load_adapted",
    "load_public",
    "localize",
    "loop_pairs",
    "pairs_of",
    "phone_twins",
    "read_conversations",
    "read_pairs",
    "read_traces",
    "summarise",
    "team_twins",
    "train_pointer",
    "trajectories",
    "write_pairs",
]


def test_public_names():
    assert sorted(alignment.__all__) == NAMES
    assert all(getattr(alignment, name) is not None for name in NAMES)


def test_importing_the_package_and_the_settings_loads_no_torch():
    code = "import sys; from homeostat.alignment import AlignSettings; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
