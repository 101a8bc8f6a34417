"""What the processors of transformers do to a screenshot before the model sees it, and what they need for it."""

from __future__ import annotations

from typing import Any

from homeostat.agent.prompts.picture import SmartResize
from homeostat.agent.prompts.style import PromptStyle

__all__ = ["TORCHVISION", "fitted", "lacking_torchvision", "resize_of"]

TORCHVISION = "pip install 'homeostat[vision]', from the package index that your torch came from"
"""How to install what the processors of Qwen-VL need."""


def lacking_torchvision(error: Exception) -> str | None:
    """Recognises the error of a processor that needs torchvision.

    Args:
        error: What the loader of transformers raised.

    Returns:
        What is wrong and how to fix it, in one line; None for any other error.
    """
    said = str(error)
    if "torchvision::" in said:  # its compiled operators don't register with another build of torch
        return f"the installed torchvision does not fit this torch; {TORCHVISION}"
    if isinstance(error, ImportError) and "torchvision" in said.lower():
        return f"its processor needs torchvision; {TORCHVISION}"
    return None


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
    images: Any = getattr(processor, "image_processor", None)
    names = [kind.__name__ for kind in type(images).__mro__]
    if not any(name.startswith("Qwen2VLImageProcessor") for name in names) or not getattr(images, "do_resize", True):
        return None
    size: Any = images.size
    return SmartResize(
        factor=int(images.patch_size) * int(images.merge_size),
        min_pixels=int(size["shortest_edge"]),
        max_pixels=int(size["longest_edge"]),
    )


def fitted(style: PromptStyle, processor: Any) -> PromptStyle:
    """Gives a style the picture size of a model's processor.

    Args:
        style: The style.
        processor: The model's image-text processor, or its tokenizer.

    Returns:
        The style with the processor's resizing; the same style where it states a resizing of its own, or the processor
        has none.
    """
    resize = resize_of(processor) if style.resize is None else None
    return style if resize is None else style.model_copy(update={"resize": resize})
