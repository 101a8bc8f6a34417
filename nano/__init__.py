"""The embedded models ``homeostat/nano``, ``homeostat/nano-planner`` and ``homeostat/nano-recordings``.

The runtime finds the weights through the entry-point group ``homeostat.models`` and never imports the training code.

- ``style``, ``vocabulary``, ``processor``, ``model``, ``planner_model``: what the models are.
- ``data``: training data of the executor, and how it is packed into batches.
- ``plans``: training data of the planner.
- ``training``: the training loop, and one module for each way to train.
- ``weights``: the shipped models; ``logs``: their training logs, which are in the source distribution only.
"""

from pathlib import Path

__all__ = ["executor", "planner", "recordings"]

_WEIGHTS = Path(__file__).parent / "weights"


def executor() -> Path:
    """Returns the folder of ``homeostat/nano``, which reads screens and writes actions.

    Returns:
        The path of the model folder.
    """
    return _WEIGHTS / "executor"


def planner() -> Path:
    """Returns the folder of ``homeostat/nano-planner``, which splits a goal into subtasks.

    Returns:
        The path of the model folder.
    """
    return _WEIGHTS / "planner"


def recordings() -> Path:
    """Returns the folder of ``homeostat/nano-recordings``, which answers questions about screen recordings.

    Returns:
        The path of the model folder.
    """
    return _WEIGHTS / "recordings"
