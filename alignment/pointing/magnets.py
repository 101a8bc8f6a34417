"""Zero-shot pointing from attention maps, with stop words as attention magnets (RefAM, arXiv 2509.22650).

RefAM finds an object in the attention of a diffusion transformer between image patches and the words of a referring
expression. Stop words attract surplus attention there. RefAM therefore appends further stop words as magnets, drops the
maps of all stop words, filters global attention sinks, and averages the maps that are left. Nothing is trained.

A vision-language model with causal attention differs: its words look at the patches, and each word's row is a softmax
of its own, so an appended word takes nothing from another word's row. What carries over, in the formulas below, is what
the magnets show: where a word looks that means nothing. These choices are ours. With A_w(i) the attention of word w on
patch i, averaged over heads and layers and divided by its sum over the patches, C the content words of the expression
and M the appended magnets:

    content(i) = mean of A_w(i) over C,   background(i) = mean of A_w(i) over M
    map(i)     = max(content(i) − background(i), 0),  0 at sinks

A patch is a sink if its background exceeds the mean over all patches by three standard deviations. The point is the
weighted centre of the map's best region (:func:`~homeostat.alignment.pointing.head.read_point`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AttentionInterface
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from homeostat.agent.models.inputs import on_device
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.alignment.pointing.head import patch_grid, read_point
from homeostat.alignment.pointing.targets import Target, asked
from homeostat.errors import ConfigError
from homeostat.sensors.chat.messages import Part, Prompt
from homeostat.sensors.probe.architectures import find_layers
from homeostat.sensors.probe.explicit_attention import AttentionScoring, RowMask

__all__ = ["MAGNETS", "STOP_WORDS", "Third", "magnet_map", "magnet_prompt", "pointed_by_attention"]

_STOP = (
    "a an and are as at be but by for from has in into is it its of on or that the their there this to was were with"
    " . , ; : ! ? -"
)
STOP_WORDS = frozenset(_STOP.split())
"""Words whose attention maps are dropped."""
MAGNETS = (".", ",", "the", "a", "of", "to", "with", "and")
"""The stop words that are appended."""
Third = Literal["all", "first", "middle", "last"]
"""Which third of the layers is read, or all of them."""
_DEVIATIONS = 3.0


def magnet_prompt(model: TransformersModel, target: Target, magnets: Sequence[str] = MAGNETS) -> Prompt:
    """Writes the question where a target is, with each word in a span, and appends the magnets.

    Args:
        model: The model, for its prompt style.
        target: The target.
        magnets: The stop words to append.

    Returns:
        The prompt: content words in the span ``word``, stop words of the instruction in ``stop``, magnets in
        ``magnet``.

    Raises:
        ConfigError: The prompt style does not show the instruction as it stands.
    """
    prompt = asked(model.style, target)
    *before, last = prompt.messages
    parts: list[Part] = []
    split = False
    for part in last.parts:
        if part.label == "goal" and not split and target.instruction in part.text:
            lead, _, rest = part.text.partition(target.instruction)
            space = lead[len(lead.rstrip(" ")) :]  # many tokens begin with the space before their word
            words = _words(target.instruction, space)
            parts += [Part("goal", lead.rstrip(" ")), *words, Part("goal", rest)]
            split = True
        else:
            parts.append(part)
    if not split:
        raise ConfigError(f"the prompt style does not show the instruction {target.instruction[:40]!r} as it stands")
    if magnets:
        parts.append(Part("magnet", "".join(f" {word}" for word in magnets)))
    return Prompt((*before, replace(last, parts=tuple(p for p in parts if p.text or p.image is not None))))


def _words(text: str, space: str) -> Iterator[Part]:
    """The text in parts, content words apart from stop words. If there are only stop words, all count as content."""
    words = text.split(" ")
    known = [not word or word.lower() in STOP_WORDS for word in words]
    for n, word in enumerate(words):
        stop = known[n] and not all(known)
        yield Part("stop" if stop else "word", (" " if n else space) + word)


@torch.inference_mode()
def magnet_map(
    model: TransformersModel, target: Target, magnets: Sequence[str] = MAGNETS, third: Third = "all"
) -> NDArray[np.float32]:
    """Computes the map over the patches.

    Args:
        model: The model. It must be loaded with torch's SDPA attention.
        target: The target.
        magnets: The stop words to append. Without any, the map is that of the content words.
        third: The layers to read.

    Returns:
        The map (P,), row by row, at least 0.

    Raises:
        ConfigError: The model has another attention implementation, or the prompt does not have exactly one image.
        ProbeError: The attention of this architecture can't be read.
    """
    row = model.renderer.render(magnet_prompt(model, target, magnets))
    if len(row.images) != 1:
        raise ConfigError(f"the prompt has {len(row.images)} images; pointing needs one")
    layers = _chosen(model.model, third)
    content = _slots(row.spans, "word")
    background = _slots(row.spans, "magnet") if magnets else []
    seen: list[torch.Tensor] = []
    keys = slice(row.images[0].start, row.images[0].stop)
    inputs = {k: v for k, v in row.inputs.items() if torch.is_tensor(v)}
    with _reading(layers, [*content, *background], keys, seen):
        model.model(**on_device(model.model, inputs), use_cache=False, logits_to_keep=1)
    maps = torch.stack(seen).mean((0, 1)).cpu().numpy().astype(np.float64)  # (words, P)
    maps /= np.maximum(maps.sum(-1, keepdims=True), 1e-12)
    found = maps[: len(content)].mean(0)
    if background:
        empty = maps[len(content) :].mean(0)
        sinks = empty > empty.mean() + _DEVIATIONS * empty.std()
        left = np.where(sinks, 0.0, np.maximum(found - empty, 0.0))
        found = left if left.any() else found  # the magnets look where the words do: nothing is left to point with
    result: NDArray[np.float32] = found.astype(np.float32)
    return result


def pointed_by_attention(
    model: TransformersModel,
    targets: Sequence[Target],
    *,
    magnets: Sequence[str] = MAGNETS,
    third: Third = "all",
    best: Literal["max", "mean"] = "max",
) -> list[tuple[float, float] | None]:
    """Points without any training, at one forward pass for each target.

    Args:
        model: The model.
        targets: The targets.
        magnets: The stop words to append; none for the plain attention of the content words.
        third: The layers to read.
        best: Which region of the map gives the point.

    Returns:
        A point for each target.
    """
    points: list[tuple[float, float] | None] = []
    for target in targets:
        found = magnet_map(model, target, magnets, third)
        points.append(read_point(found, *patch_grid(len(found), *target.screenshot.shape[:2]), best))
    return points


def _slots(spans: Any, label: str) -> list[int]:
    if label not in spans:
        raise ConfigError(f"the tokenizer gives no token of its own to the span {label!r}, so its attention has no map")
    return [slot for start, stop in spans[label] for slot in range(start, stop)]


def _chosen(model: Any, third: Third) -> dict[int, torch.nn.Module]:
    layers = find_layers(model, "all")
    count = len(layers)
    if third == "all":
        return layers
    part = ("first", "middle", "last").index(third)
    first = math.floor(part * count / 3)
    return {n: layers[n] for n in list(layers)[first : max(math.ceil((part + 1) * count / 3), first + 1)]}


@contextmanager
def _reading(
    layers: dict[int, torch.nn.Module], rows: Sequence[int], keys: slice, seen: list[torch.Tensor]
) -> Iterator[None]:
    """Within it, every layer adds the weights (H, rows, keys) of some rows on some keys to ``seen``."""
    modules = set(layers.values())
    for module in modules:
        config: Any = module.config
        if config._attn_implementation != "sdpa":
            raise ConfigError(
                f"the attention implementation {config._attn_implementation!r} can't be read; load the model with "
                "attn_implementation='sdpa'"
            )
    plain: Any = ALL_ATTENTION_FUNCTIONS["sdpa"]

    def attend(module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **settings: Any) -> Any:
        if module in modules:
            scale = settings.get("scaling")
            scoring = AttentionScoring(query.shape[-1] ** -0.5 if scale is None else scale)
            mask = RowMask(attention_mask, query.shape[2], key.shape[2], True, query.device).rows(0, query.shape[2])
            mine = mask if mask is None or mask.shape[2] == 1 else mask[:, :, rows]
            seen.append(scoring.weights(query[:, :, rows], key, mine)[0, :, :, keys])
        return plain(module, query, key, value, attention_mask, **settings)

    AttentionInterface.register("sdpa", attend)
    try:
        yield
    finally:
        AttentionInterface.register("sdpa", plain)
