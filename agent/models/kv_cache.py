"""The key-value cache kept between model calls, cropped to the tokens that the next prompt shares with the last.

What two prompts share is their longest common run of tokens from the start, as long as the images in it have the same
pixels; a cut never falls inside an image. Reuse is refused (a fresh prefill, never a wrong one) where keys and values
of a prefix depend on more than the prefix or can't be cut back: sliding-window and linear-attention caches, prompts
with token types (bidirectional image attention, prefix LMs) or with three-dimensional positions (Qwen-VL).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from homeostat.sensors.chat.rendering import ImageRun, Rendered

__all__ = ["PrefixCache", "Start"]

_PLAIN_INPUTS = frozenset({"input_ids", "attention_mask", "pixel_values", "pixel_attention_mask", "image_sizes"})


@dataclass(frozen=True)
class Start:
    """Where a call starts: ``cache`` holds the prompt's first ``cached`` tokens; ``inputs`` lacks images among them."""

    cache: Any
    cached: int
    inputs: dict[str, Any]


class PrefixCache:
    """One model's cache between calls."""

    def __init__(self, config: Any, *, enabled: bool = True) -> None:
        """``config`` is the text model's; ``enabled=False`` makes every call a fresh one."""
        self._config = config
        self._enabled = enabled
        self._cache: Any = None
        self._tokens: list[int] = []
        self._images: tuple[ImageRun, ...] = ()

    def start(self, rendered: Rendered, fresh: int = 1) -> Start:
        """The cache for this prompt, of which the last ``fresh`` tokens at least are left to run.

        Until :meth:`keep` nothing is stored, so an error leaves no torn cache behind.
        """
        cache, tokens, images = self._cache, self._tokens, self._images
        self.forget()
        ids = rendered.ids
        shared = 0
        if cache is not None and self.can_reuse(rendered):
            shared = _shared(tokens, images, ids, rendered.images, max(len(ids) - fresh, 0))
        if not shared:
            return self.apart(rendered)
        cache.crop(shared - len(tokens))
        return Start(cache, shared, self.behind(rendered, shared))

    def apart(self, rendered: Rendered) -> Start:
        """A cache of the call's own, with nothing in it; what is stored stays."""
        from transformers import DynamicCache

        return Start(DynamicCache(config=self._config), 0, dict(rendered.inputs))

    def behind(self, rendered: Rendered, cut: int) -> dict[str, Any]:
        """The prompt's inputs without the pixels of images that lie in front of ``cut``."""
        if rendered.images and rendered.images[-1].stop <= cut:
            return {k: v for k, v in rendered.inputs.items() if k in ("input_ids", "attention_mask")}
        return dict(rendered.inputs)

    def keep(self, cache: Any, tokens: Sequence[int], images: tuple[ImageRun, ...]) -> None:
        """Store a cache whose keys are those of ``tokens`` (a prompt and what was generated after it)."""
        from transformers.cache_utils import DynamicLayer

        plain = all(type(layer) is DynamicLayer for layer in cache.layers)
        if not (self._enabled and plain):
            return
        length = cache.get_seq_length()
        self._cache, self._tokens, self._images = cache, list(tokens[:length]), images

    def forget(self) -> None:
        """Drop what is stored."""
        self._cache, self._tokens, self._images = None, [], ()

    def can_reuse(self, rendered: Rendered) -> bool:
        """Whether a prefix of this prompt has keys and values that depend on nothing behind it."""
        return self._enabled and set(rendered.inputs) <= _PLAIN_INPUTS


def _shared(
    old: Sequence[int],
    old_images: Sequence[ImageRun],
    new: Sequence[int],
    new_images: Sequence[ImageRun],
    most: int,
) -> int:
    limit = min(len(old), most)
    shared = next((k for k in range(limit) if old[k] != new[k]), limit)
    for k, image in enumerate(new_images):
        if image.start >= shared:
            break
        if image.stop > shared or k >= len(old_images) or old_images[k] != image:
            shared = image.start
            break
    # Pixels can only be handed over for all images or none: cut before the first, unless all are in.
    if new_images and new_images[0].start < shared < new_images[-1].stop:
        shared = new_images[0].start
    return shared
