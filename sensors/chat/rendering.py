"""Renders a prompt as the model takes it: token ids, pixels, and the exact token ranges of every label.

The fast tokenizer's offsets map characters to tokens. The processor expands an image's placeholder into a run of image
tokens; its own record of replacements maps the placeholder to them. A token that straddles two parts belongs to the
part that contains its first character.

Processors and tokenizers of transformers have no common base class that declares an image processor, image tokens or a
chat template, so these are read with ``getattr``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ModelError
from homeostat.sensors.chat.boundaries import Layout, masked, neutralised
from homeostat.sensors.chat.control_tokens import ControlTokens
from homeostat.sensors.chat.messages import Message, Part, Prompt
from homeostat.sensors.chat.part_positions import LocatedText, MessageFormat, locate
from homeostat.sensors.spans import Spans
from homeostat.time_limit import time_limit

__all__ = ["ImageRun", "Rendered", "Renderer"]

_TEMPLATE_SECONDS = 5.0
Ranges = tuple[tuple[int, int], ...]
_ROUNDS = 16  # one round finds every promoted token, so only nested ones take more


@dataclass(frozen=True)
class ImageRun:
    """The tokens that one image's placeholder became.

    Attributes:
        start: The first token.
        stop: The token after the last.
        digest: The sha256 of the image's shape and pixels.
    """

    start: int
    stop: int
    digest: str


@dataclass(frozen=True)
class Rendered:
    """A prompt, rendered for one model.

    Attributes:
        text: The rendered text.
        inputs: What the processor returns: ``input_ids`` of shape (1, P), ``attention_mask``, ``pixel_values``, ….
        spans: For each label, its sorted token ranges [start, stop).
        images: The image runs, in order.
    """

    text: str
    inputs: Mapping[str, Any] = field(repr=False)
    spans: dict[str, Ranges]
    images: tuple[ImageRun, ...] = ()

    @property
    def ids(self) -> list[int]:
        """The P prompt tokens."""
        ids: list[int] = self.inputs["input_ids"][0].tolist()
        return ids

    def as_spans(self) -> Spans:
        """Returns the spans as the probe takes them.

        Returns:
            The ranges of every label, and the prompt's length.
        """
        return Spans(self.spans, length=len(self.ids))


@dataclass(frozen=True)
class _Encoded:
    """What the processor makes of a text.

    Attributes:
        inputs: The model's inputs.
        offsets: (T, 2): the first character of each token and the one after its last, in the expanded text.
        replaced: The processor's record of each expanded image placeholder.
        where: For each character of the expanded text, its place in the text; -1 inside an expanded placeholder.
    """

    inputs: dict[str, Any]
    offsets: NDArray[np.int64]
    replaced: Sequence[Mapping[str, Any]]
    where: NDArray[np.int64]

    @property
    def ids(self) -> NDArray[np.int64]:
        return np.asarray(self.inputs["input_ids"][0], dtype=np.int64)


class Renderer:
    """Renders prompts for one tokenizer (text only) or one image-text processor."""

    def __init__(self, processor: Any) -> None:
        """Prepares a renderer.

        Args:
            processor: A fast tokenizer or an image-text processor of transformers.

        Raises:
            ModelError: The tokenizer is slow (it has no offsets), or there is no chat template.
        """
        self._processor = processor if hasattr(processor, "image_processor") else None
        self._tokenizer = getattr(processor, "tokenizer", processor)
        if not getattr(self._tokenizer, "is_fast", False):
            raise ModelError(
                f"tokenizer {type(self._tokenizer).__name__!r} has no offsets; use the model's fast tokenizer"
            )
        if not (getattr(processor, "chat_template", None) or getattr(self._tokenizer, "chat_template", None)):
            raise ModelError("the model has no chat template; add chat_template.jinja to its folder")
        self._templating = processor if getattr(processor, "chat_template", None) else self._tokenizer
        self._formats = [MessageFormat(lists, merged) for lists in self._contents() for merged in (False, True)]
        self._image_ids = self._find_image_ids()
        self._control = ControlTokens(self._tokenizer, self._processor)

    @property
    def tokenizer(self) -> Any:
        """The fast tokenizer."""
        return self._tokenizer

    @property
    def templating(self) -> Any:
        """The processor or tokenizer that owns the chat template."""
        return self._templating

    @property
    def mark(self) -> str:
        """The character that breaks up control tokens in foreign text; without it, the text is the original one."""
        return self._control.mark

    @property
    def reads_images(self) -> bool:
        """Whether the model reads images; otherwise they are removed from prompts."""
        return self._processor is not None

    def render(self, prompt: Prompt) -> Rendered:
        """Renders a prompt.

        Args:
            prompt: The prompt. For a text-only model, its images are removed.

        Returns:
            The model's inputs, with the token ranges of every label.

        Raises:
            ModelError: A text-only model gets images without an element list, the chat template changes the parts, the
                processor does not place every image, or foreign text holds a control token that can't be broken up.
        """
        prompt = neutralised(self._usable(prompt), self._control)
        located = locate(prompt, self._apply, self._formats)
        if located.format != self._formats[0]:  # the format that was accepted once is tried first from now on
            self._formats.sort(key=lambda form: form != located.format)
        images = [part for message in prompt.messages for part in message.parts if part.image is not None]
        further = masked(prompt, located, lambda changed: locate(changed, self._apply, [located.format]).text)
        fields = ", ".join(sorted({key for message in prompt.messages for key in message.extra}))
        names = [*(repr(part.label) for part, _, _ in located.parts), f"a message's {fields}"]
        layout = Layout.of(located.text, located.parts, further)
        for _ in range(_ROUNDS):
            layout = layout.without(self._control)
            encoded = self._encode(layout.text, images)
            promoted = layout.promoted(self._control, encoded.ids, encoded.offsets, encoded.where)
            if not promoted:
                offsets = self._control.without_space(encoded.ids, encoded.offsets, layout.text, encoded.where)
                encoded = replace(encoded, offsets=offsets)
                parts = [(p, *bounds) for (p, _, _), bounds in zip(located.parts, layout.bounds, strict=True)]
                return self._rendered(LocatedText(layout.text, tuple(parts), located.format), encoded, images)
            places = [layout.place(spelled) for spelled in promoted]
            if None in places:
                break
            layout = layout.marked((place for place in places if place is not None), self._control.mark)
        where = next(int(layout.source[c]) for c in promoted[0] if layout.source[c] >= 0)
        spelled = "".join(layout.text[c] for c in promoted[0])
        raise ModelError(
            f"{names[where]} holds {spelled!r}, a control token of this model that can't be broken up; remove it from "
            "the text"
        )

    def _encode(self, text: str, images: Sequence[Part]) -> _Encoded:
        import torch

        asked = {"return_tensors": "pt", "return_offsets_mapping": True, "add_special_tokens": self._adds(text)}
        if images:
            from PIL import Image

            assert self._processor is not None
            pictures = [Image.fromarray(np.ascontiguousarray(part.image)) for part in images]
            try:
                out = dict(self._processor(text=[text], images=pictures, return_text_replacement_offsets=True, **asked))
            except ValueError as error:
                reason = str(error).partition("\n")[0][:120]
                raise ModelError(f"the processor refuses the prompt ({reason}); check the chat template") from None
            replaced = out.pop("text_replacement_offsets", [[]])[0]
        else:
            out, replaced = dict(self._tokenizer([text], **asked)), []
        if len(replaced) != len(images):
            raise ModelError(f"the processor placed {len(replaced)} of {len(images)} images; check the chat template")
        offsets = np.asarray(out.pop("offset_mapping")[0], dtype=np.int64)
        out.setdefault("attention_mask", torch.ones_like(out["input_ids"]))
        return _Encoded(out, offsets, replaced, _unexpanded(len(text), replaced))

    def _rendered(self, located: LocatedText, encoded: _Encoded, images: Sequence[Part]) -> Rendered:
        out, offsets, replaced = encoded.inputs, encoded.offsets, encoded.replaced
        spans: dict[str, list[tuple[int, int]]] = {}
        for part, start, stop in located.parts:
            if part.label != "template":
                start, stop = _shift(start, replaced), _shift(stop, replaced)
                spans.setdefault(part.label, []).extend(_tokens(offsets, start, stop))
        runs = []
        for part, record in zip(images, replaced, strict=True):
            whole = _tokens(offsets, *record["new_span"])
            if not whole:
                raise ModelError("the processor gave an image no tokens; check the processor's patch size")
            runs.append(ImageRun(whole[0][0], whole[-1][1], _digest(part.image)))
            spans.setdefault(part.label, []).extend(self._image_tokens(out["input_ids"][0].tolist(), whole))
        return Rendered(
            text=located.text,
            inputs=out,
            spans={label: _joined(ranges) for label, ranges in spans.items() if ranges},
            images=tuple(runs),
        )

    def _usable(self, prompt: Prompt) -> Prompt:
        """Removes images that a text-only model cannot read."""
        messages = []
        parts = [part for message in prompt.messages for part in message.parts]
        if (
            not self.reads_images
            and any(p.image is not None for p in parts)
            and not any(p.label == "elements" and p.text for p in parts)
        ):
            raise ModelError(
                "this model reads no images and the prompt has no element list; set `elements` in its homeostat.json"
            )
        for message in prompt.messages:
            kept = [part for part in message.parts if part.image is None or self.reads_images]
            messages.append(Message(message.role, tuple(kept), message.extra))
        return Prompt(tuple(messages))

    def _apply(self, chat: list[dict[str, Any]]) -> str:
        endless = ModelError(f"the model's chat template runs for more than {_TEMPLATE_SECONDS:g} s; correct it")
        with time_limit(_TEMPLATE_SECONDS, endless):
            text: str = self._templating.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        return text

    def _adds(self, text: str) -> bool:
        # transformers' own rule: a processor lets the tokenizer add its tokens unless the template wrote them.
        bos = self._tokenizer.bos_token
        return self._processor is not None and not (bos and text.startswith(bos))

    def _contents(self) -> tuple[bool, ...]:
        return (True, False) if self._processor is not None else (False, True)

    def _find_image_ids(self) -> frozenset[int]:
        found: set[int | None] = {getattr(self._processor, "image_token_id", None)}
        found.update(getattr(self._processor, "image_token_ids", None) or ())
        found.add(getattr(self._tokenizer, "image_token_id", None))
        return frozenset(i for i in found if i is not None)

    def _image_tokens(self, ids: list[int], whole: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """The image tokens among those of an expanded placeholder, which may also contain row and frame marks."""
        inside = [k for start, stop in whole for k in range(start, stop)]
        return _ranges(k for k in inside if ids[k] in self._image_ids) or whole


def _unexpanded(length: int, replaced: Sequence[Mapping[str, Any]]) -> NDArray[np.int64]:
    """For each character after the expansion of placeholders, its place before; -1 inside an expanded one."""
    pieces, at = [], 0
    for record in replaced:
        start, stop = record["span"]
        first, last = record["new_span"]
        pieces += [np.arange(at, start), np.full(last - first, -1)]
        at = stop
    return np.concatenate([*pieces, np.arange(at, length)]).astype(np.int64)


def _shift(at: int, replaced: Sequence[Mapping[str, Any]]) -> int:
    """A character's position after the placeholders before it were expanded."""
    gained = 0
    for record in replaced:
        if record["span"][1] <= at:
            gained = record["new_span"][1] - record["span"][1]
    return at + gained


def _tokens(offsets: NDArray[np.int64], start: int, stop: int) -> list[tuple[int, int]]:
    """The ranges of the tokens whose first character lies in [start, stop)."""
    first, last = offsets[:, 0], offsets[:, 1]
    return _ranges(np.flatnonzero((first >= start) & (first < stop) & (last > first)).tolist())


def _ranges(indices: Iterable[int]) -> list[tuple[int, int]]:
    out: list[tuple[int, int]] = []
    for k in indices:
        if out and out[-1][1] == k:
            out[-1] = (out[-1][0], k + 1)
        else:
            out.append((k, k + 1))
    return out


def _joined(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Sorts ranges and merges those that touch."""
    out: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(stop, out[-1][1]))
        else:
            out.append((start, stop))
    assert all(a[1] < b[0] for a, b in pairwise(out))
    return tuple(out)


def _digest(image: NDArray[np.uint8]) -> str:
    array = np.ascontiguousarray(image)
    return hashlib.sha256(str(array.shape).encode() + array.tobytes()).hexdigest()
