"""Compares the prompt that ``generate`` gets with the spans, before the model runs.

A prompt of another length than the spans' moves every span: tools in the chat template, padding or another system
message are enough. Forwards alone do not show it, because a long first forward may also hold a prompt and a given
answer. ``generate`` is told what its prompt is, so it is watched itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from types import MethodType
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from transformers.generation.utils import GenerationMixin

if TYPE_CHECKING:
    from homeostat.sensors.probe.attention_function import Watcher

__all__ = ["compared_prompts"]


@contextmanager
def compared_prompts(model: nn.Module, probed: Sequence[nn.Module], probe: Watcher) -> Iterator[None]:
    """Lets ``generate`` compare its prompt with the spans of the present run.

    Args:
        model: The watched model.
        probed: Its probed attention modules.
        probe: The probe.

    Yields:
        Nothing. After the block, ``generate`` is what it was.
    """
    wanted = {id(module) for module in probed}
    parts = [
        part
        for part in model.modules()
        if isinstance(part, GenerationMixin) and any(id(module) in wanted for module in part.modules())
    ]
    former = [vars(part).get("generate") for part in parts]
    try:
        for part in parts:
            vars(part)["generate"] = _comparing(part, probe)
        yield
    finally:
        for part, mine in zip(parts, former, strict=True):
            if mine is None:
                vars(part).pop("generate", None)
            else:
                vars(part)["generate"] = mine


def _comparing(model: Any, probe: Watcher) -> MethodType:
    """``model.generate``, preceded by the comparison."""
    plain = model.generate.__func__ if isinstance(model.generate, MethodType) else type(model).generate

    @wraps(plain)
    def generate(self: Any, inputs: Tensor | None = None, *args: Any, **kwargs: Any) -> Any:
        recorder = probe.recorder
        length = _prompt_length(inputs, kwargs)
        if recorder is None or length is None:
            return plain(self, inputs, *args, **kwargs)
        recorder.begin_generation(length)
        try:
            return plain(self, inputs, *args, **kwargs)
        finally:
            recorder.end_generation()

    return MethodType(generate, model)  # bound like the original, so that a copy of the model gets its own


def _prompt_length(inputs: Tensor | None, kwargs: Mapping[str, Any]) -> int | None:
    """The number of slots of the prompt, those in the cache included; None if ``generate`` makes the prompt itself."""
    embeds, mask = kwargs.get("inputs_embeds"), kwargs.get("attention_mask")
    ids = kwargs.get("input_ids") if inputs is None else inputs
    if embeds is not None:
        return int(embeds.shape[1])
    if ids is None:
        return None
    if kwargs.get("past_key_values") is not None and mask is not None:  # then the ids may be the new ones only
        return max(int(mask.shape[1]), int(ids.shape[1]))
    return int(ids.shape[1])
