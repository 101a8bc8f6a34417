"""A model that answers the same greedy call once: the rows of a table share their first attempts."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Any

from homeostat import TransformersModel
from homeostat.agent.models.shared_model import SharedModel
from homeostat.sensors import Attempt
from homeostat.sensors.chat.messages import Prompt

__all__ = ["Remembering"]


class Remembering:
    """A model for many threads that keeps every greedy answer, with what was read of it.

    A greedy answer follows from the prompt, the steering and the limits of the call alone. So a row of a table that
    corrects some answers asks the model for its corrections only, and what it does not correct is the same answer as in
    the row before, not one that was computed beside other prompts and may differ in the last bit.

    Attributes:
        name: The model's name.
        style: How its prompts are worded.
        capabilities: What it offers.
        asked: The number of calls that the model itself has answered.
    """

    def __init__(self, model: TransformersModel, batch: int) -> None:
        """Begins with no answers.

        Args:
            model: The model.
            batch: The most calls that are answered together.
        """
        self.name, self.style, self.capabilities = model.name, model.style, model.capabilities
        self.asked = 0
        self._shared = SharedModel(model, rows=batch, batch_samples=False)
        self._answers: dict[Hashable, list[Attempt]] = {}
        self._lock, self._mine = threading.Lock(), threading.local()

    def __getattr__(self, name: str) -> Any:
        """Everything but answers, such as the measure of a prompt, is the model's own."""
        return getattr(self._caller(), name)

    def generate(self, prompt: Prompt, **settings: Any) -> list[Attempt]:
        """Answers a prompt (see :class:`~homeostat.agent.Model`), from memory where it has been answered."""
        told = {key: value for key, value in settings.items() if key not in ("deadline", "seed")}
        if settings.get("temperature", 0.0) or settings.get("n", 1) > 1:
            return self._ask(prompt, settings)
        key = repr((prompt, sorted(told.items())))
        if key not in self._answers:
            found = self._ask(prompt, settings)
            with self._lock:
                self._answers.setdefault(key, found)
        return self._answers[key]

    def close(self) -> None:
        """Ends the thread that owns the model."""
        self._shared.close()

    def _ask(self, prompt: Prompt, settings: dict[str, Any]) -> list[Attempt]:
        found: list[Attempt] = self._caller().generate(prompt, **settings)
        with self._lock:
            self.asked += 1
        return found

    def _caller(self) -> Any:
        if not hasattr(self._mine, "caller"):
            self._mine.caller = self._shared.local_caller()
        return self._mine.caller
