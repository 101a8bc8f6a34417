"""The key-value cache that is kept between model calls.

Two prompts share their longest common run of tokens from the start, as long as the images in it have the same pixels.
The next call crops the cache to that run; the cut never falls inside an image. Where reuse could change a result, the
call gets a fresh prefill instead: sliding-window and linear-attention caches can't be cropped, and in prompts with
token types (bidirectional image attention, prefix LMs) or three-dimensional positions (Qwen-VL) the keys and values of
a prefix depend on more than the prefix.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from homeostat.sensors.chat.rendering import ImageRun, Rendered
from homeostat.sensors.probe.thinned_keys import KeyReader
from homeostat.sensors.spans import Spans

__all__ = ["PLAIN_INPUTS", "KeyValueCache", "Prefill", "inputs_after", "shared_length"]

PLAIN_INPUTS = frozenset({"input_ids", "attention_mask", "pixel_values", "pixel_attention_mask", "image_sizes"})
"""The inputs with which the keys and values of a prefix depend on nothing behind it."""


@dataclass(frozen=True)
class Prefill:
    """Where a call starts.

    Attributes:
        cache: The transformers cache. It holds the keys and values of the prompt's first ``cached`` tokens.
        cached: The number of cached tokens.
        inputs: The prompt's inputs, without the pixels where all images are cached.
    """

    cache: Any
    cached: int
    inputs: dict[str, Any]


class KeyValueCache:
    """One model's key-value cache between calls."""

    def __init__(self, config: Any, *, enabled: bool = True) -> None:
        """Starts empty.

        Args:
            config: The configuration of the text model.
            enabled: Whether anything is kept. Without it, every call gets a fresh prefill.
        """
        self._config = config
        self._enabled = enabled
        self._cache: Any = None
        self._tokens: list[int] = []
        self._images: tuple[ImageRun, ...] = ()

    @property
    def reader(self) -> KeyReader | None:
        """Who has to be told the weights of single keys while the model runs; None for nobody."""
        return None

    @property
    def measures(self) -> bool:
        """Whether the probe has to read every call, also those that nobody watches."""
        return False

    def start(self, rendered: Rendered, fresh: int = 1) -> Prefill:
        """Takes the cache for a prompt, cropped to what the prompt shares with the last one.

        The stored cache is taken out until :meth:`keep` puts one back, so an error in between leaves no damaged cache.

        Args:
            rendered: The prompt.
            fresh: The number of the prompt's last tokens that have to run again at least.

        Returns:
            Where the call starts.
        """
        cache, tokens, images = self._cache, self._tokens, self._images
        self.forget()
        ids = rendered.ids
        shared = 0
        if cache is not None and self.can_reuse(rendered):
            shared = shared_length(tokens, images, ids, rendered.images, max(len(ids) - fresh, 0))
        if not shared:
            return self.start_empty(rendered)
        cache.crop(shared - len(tokens))
        return Prefill(cache, shared, inputs_after(rendered, shared))

    def start_empty(self, rendered: Rendered) -> Prefill:
        """Makes an empty cache for one call. What is stored stays stored.

        Args:
            rendered: The prompt.

        Returns:
            Where the call starts: at the prompt's first token.
        """
        from homeostat.agent.models.roomy_cache import roomy_cache

        return Prefill(roomy_cache(self._config), 0, dict(rendered.inputs))

    def keep(self, cache: Any, tokens: Sequence[int], images: tuple[ImageRun, ...], spans: Spans | None = None) -> None:
        """Stores a cache for the next call, unless it can't be cropped.

        Args:
            cache: The transformers cache after a call.
            tokens: The tokens whose keys it holds: the prompt and what was generated behind it.
            images: The prompt's images.
            spans: The prompt's spans, by which a memory thins the cache; None leaves it as it is.
        """
        from homeostat.agent.models.roomy_cache import can_be_cut

        if not (self._enabled and can_be_cut(cache)):
            return
        length = cache.get_seq_length()
        self._cache, self._tokens, self._images = cache, list(tokens[:length]), images

    def forget(self) -> None:
        """Drops what is stored."""
        self._cache, self._tokens, self._images = None, [], ()

    def around(self) -> AbstractContextManager[None]:
        """Returns what has to surround the model's forward passes in a call: nothing here."""
        return nullcontext()

    def evicted(self, spans: Spans) -> dict[str, float] | None:
        """Estimates the attention on evicted keys.

        Args:
            spans: The prompt's spans.

        Returns:
            The shares by label; None, because this cache evicts nothing.
        """
        return None

    def can_reuse(self, rendered: Rendered) -> bool:
        """Returns whether the keys and values of a prefix depend on nothing behind the prefix.

        Args:
            rendered: The prompt.

        Returns:
            False also where the cache is disabled.
        """
        return self._enabled and set(rendered.inputs) <= PLAIN_INPUTS


def inputs_after(rendered: Rendered, cut: int) -> dict[str, Any]:
    """Leaves the pixels out of a prompt's inputs where all images lie in front of a cut.

    Args:
        rendered: The prompt.
        cut: The number of tokens whose keys and values are known.

    Returns:
        The inputs, with all tokens.
    """
    if rendered.images and rendered.images[-1].stop <= cut:
        return {k: v for k, v in rendered.inputs.items() if k in ("input_ids", "attention_mask")}
    return dict(rendered.inputs)


def shared_length(
    old: Sequence[int],
    old_images: Sequence[ImageRun],
    new: Sequence[int],
    new_images: Sequence[ImageRun],
    most: int,
) -> int:
    """Counts the tokens that a new prompt shares with an old one from the start.

    Args:
        old: The old tokens.
        old_images: The old prompt's images.
        new: The new tokens.
        new_images: The new prompt's images.
        most: The most tokens that may be shared.

    Returns:
        The number of tokens. It never falls inside an image, nor between two images of the new prompt.
    """
    limit = min(len(old), len(new), most)
    shared = next((k for k in range(limit) if old[k] != new[k]), limit)
    for k, image in enumerate(new_images):
        if image.start >= shared:
            break
        if image.stop > shared or k >= len(old_images) or old_images[k] != image:
            shared = image.start
            break
    # The model takes the pixels of all images or of none: cut in front of the first, unless all are cached.
    if new_images and new_images[0].start < shared < new_images[-1].stop:
        shared = new_images[0].start
    return shared
