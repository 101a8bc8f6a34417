"""The embedded models ``homeostat/nano`` and ``homeostat/nano-planner``: their weights and their training recipe.

The runtime finds the weights through the entry-point group ``homeostat.models`` and never imports the recipe.
"""

from pathlib import Path

__all__ = ["executor", "planner"]

_WEIGHTS = Path(__file__).parent / "weights"


def executor() -> Path:
    """The folder of ``homeostat/nano``, which reads screens and writes actions."""
    return _WEIGHTS / "executor"


def planner() -> Path:
    """The folder of ``homeostat/nano-planner``, which splits a goal into subtasks."""
    return _WEIGHTS / "planner"
