"""The contract of a model: what the loop asks of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from homeostat.agent.prompts import PromptStyle
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.core import Attempt, Need, Readout
from homeostat.sensors.steering.actuators import Actuator

__all__ = ["Model"]


@runtime_checkable
class Model(Protocol):
    """What the loop asks of a model. ``provides`` says which sensors' needs its attempts meet."""

    name: str
    style: PromptStyle
    provides: frozenset[Need]

    def generate(
        self,
        prompt: Prompt,
        *,
        n: int = 1,
        temperature: float = 0.0,
        max_new_tokens: int = 256,
        watch: bool | Readout = True,
        deadline: float | None = None,
        seed: int | None = None,
        steer: Sequence[Actuator] = (),
        schema: Mapping[str, Any] | None = None,
    ) -> list[Attempt]:
        """``n`` answers to the prompt.

        ``temperature=0`` is greedy (then every answer is the same one). ``watch=False`` leaves attention unread; a
        :class:`~homeostat.sensors.Readout` reads more of it.
        ``deadline`` is a ``time.monotonic()`` instant past which generation ends (``finish="length"``); ``seed``
        makes sampling repeatable. ``steer``: whose attention is changed in this call (only asked of a model whose
        ``steers`` is true); ``schema``: a JSON schema that the answer has to fit (only asked of one whose
        ``constrains`` is true). Raises :class:`ModelError`.
        """
        ...
