"""``homeostat`` with a model that takes long: the embedded one with slow layers, or one that sleeps in Python.

Run as a program it is the console script. ``SLOW_LAYER`` are the seconds that every decoder layer sleeps in a forward
pass, and with it the answers have no end but their budget. ``SLOW_CALL`` are the seconds that a double, which can't be
interrupted, sleeps in a call. The file ``SLOW_MARK`` appears when the first slow call begins.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.testing import ScriptedModel

load = TransformersModel.load.__func__  # type: ignore[attr-defined]


def mark() -> None:
    """Says that the slow call has begun."""
    Path(os.environ["SLOW_MARK"]).touch()


def slow_layers(name: str, *place: Any, **settings: Any) -> TransformersModel:
    """The model itself; its layers take as long as a large model's."""
    model: TransformersModel = load(TransformersModel, name, *place, **settings)
    model.stops = frozenset()
    model.model.generation_config.eos_token_id = None

    def sleep(*_: Any) -> None:
        mark()
        time.sleep(float(os.environ["SLOW_LAYER"]))

    for layer in model.model.model.language_model.layers:
        layer.register_forward_hook(sleep)
    return model


def sleeper(*_: Any, **settings: Any) -> ScriptedModel:
    """A model that nothing but the end of the process ends."""

    def sleep(call: int) -> None:
        mark()
        time.sleep(float(os.environ["SLOW_CALL"]))

    return ScriptedModel(['{"action": "wait", "time": 0}'], sleep)


if __name__ == "__main__":
    from homeostat.cli.root import main

    slow = slow_layers if "SLOW_LAYER" in os.environ else sleeper
    TransformersModel.load = classmethod(lambda cls, *a, **k: slow(*a, **k))  # type: ignore[method-assign, assignment]
    main()
