"""``Row``: a prompt of a batch with its own settings."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from homeostat.agent.models.generation import GenerationCall
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.chat.rendered import Rendered

__all__ = ["Row", "fits_a_batch"]


@dataclass(frozen=True)
class Row:
    """One prompt of a batch.

    Attributes:
        prompt: The prompt.
        call: The settings of its call.
        top_p: Only the likeliest tokens whose probabilities add up to this are sampled; 1 for all.
        stop: Texts that end the answer and are no part of it.
        on_text: Told each new piece of the answer while it is generated, in the thread that generates; None for nobody.
        cancelled: Whether the answer is no longer wanted; it then ends behind the present token. None for never.
        rendered: The rendered prompt, where it is known already.
        owner: Who asks. The next prompt of the same owner starts from what this one has computed.
    """

    prompt: Prompt
    call: GenerationCall
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    on_text: Callable[[str], None] | None = None
    cancelled: Callable[[], bool] | None = None
    rendered: Rendered | None = None
    owner: Hashable = None


def fits_a_batch(call: GenerationCall, *, changing: bool) -> bool:
    """Tells whether a call can share a batch with other prompts.

    Args:
        call: The settings.
        changing: Whether the batch is one whose rows come and go. In a batch of fixed rows, ``generate`` treats all
            rows alike, so no row has steering or a schema of its own.

    Returns:
        True for one answer; rules about attention sinks need a prompt that nothing is read beside.
    """
    if call.rows > 1 or any(rule.sinks is not None for rule in call.steer):
        return False
    return changing or (not call.steer and call.schema is None)
