"""What the processors of transformers do to a screenshot before the model sees it."""

from __future__ import annotations

from typing import Any

from homeostat.agent.prompts.picture import SmartResize

__all__ = ["resize_of"]


def resize_of(processor: Any) -> SmartResize | None:
    """Reads how a processor resizes pictures.

    The image processors of Qwen2-VL, Qwen2.5-VL and Qwen3-VL are one class in three backends, which have no public base
    class; so they are known by their name. Other classes with the same settings, such as GLM-4V's, compute another
    size.

    Args:
        processor: An image-text processor, a tokenizer, or None.

    Returns:
        The resizing; None for any other processor, and for one that does not resize.
    """
    images = getattr(processor, "image_processor", None)
    names = [kind.__name__ for kind in type(images).__mro__]
    if not any(name.startswith("Qwen2VLImageProcessor") for name in names) or not getattr(images, "do_resize", True):
        return None
    size: Any = images.size  # type: ignore[union-attr]
    return SmartResize(
        factor=int(images.patch_size) * int(images.merge_size),  # type: ignore[union-attr]
        min_pixels=int(size["shortest_edge"]),
        max_pixels=int(size["longest_edge"]),
    )
