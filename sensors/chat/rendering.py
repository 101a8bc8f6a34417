"""Renders a prompt as the model takes it: token ids, pixels, and the exact token ranges of every label.

The fast tokenizer's offsets map characters to tokens. The processor expands an image's placeholder into a run of image
tokens; its own record of replacements maps the placeholder to them. A token that straddles two parts belongs to the
part that contains its first character.

Processors and tokenizers of transformers have no common base class that declares an image processor, image tokens or a
chat template, so these are read with ``getattr``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ConfigError, ModelError
from homeostat.sensors.chat.batches import RenderedBatch, batch
from homeostat.sensors.chat.boundaries import Layout
from homeostat.sensors.chat.control_tokens import ControlTokens
from homeostat.sensors.chat.messages import Chat, Part, Prompt
from homeostat.sensors.chat.part_positions import LocatedText
from homeostat.sensors.chat.rendered import ImageRun, Rendered
from homeostat.sensors.chat.templating import ChatTemplate
from homeostat.sensors.chat.token_ranges import expanded, joined, runs, tokens_between, unexpanded
from homeostat.sensors.chat.tools import Tool

__all__ = ["ImageRun", "Rendered", "Renderer"]

_ROUNDS = 16  # one round finds every promoted token, so only nested ones take more


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
            ModelError: The tokenizer is slow: it has no offsets.
        """
        self._processor = processor if hasattr(processor, "image_processor") else None
        self._tokenizer = getattr(processor, "tokenizer", processor)
        if not getattr(self._tokenizer, "is_fast", False):
            raise ModelError(
                f"tokenizer {type(self._tokenizer).__name__!r} has no offsets; use the model's fast tokenizer"
            )
        owner = next((one for one in (processor, self._tokenizer) if getattr(one, "chat_template", None)), None)
        self._template = ChatTemplate(owner, lists=self._processor is not None)
        self._image_ids = self._find_image_ids()
        self._control = ControlTokens(self._tokenizer, self._processor)

    @property
    def tokenizer(self) -> Any:
        """The fast tokenizer."""
        return self._tokenizer

    @property
    def templating(self) -> Any:
        """The processor or tokenizer that owns the chat template.

        Raises:
            ModelError: There is no chat template; only plain texts can be rendered.
        """
        self.check_chat_template()
        return self._template.owner

    def check_chat_template(self) -> None:
        """Checks that chats can be rendered.

        Raises:
            ModelError: There is no chat template.
        """
        self._template.check()

    @property
    def mark(self) -> str:
        """The character that breaks up control tokens in foreign text; without it, the text is the original one."""
        return self._control.mark

    @property
    def reads_images(self) -> bool:
        """Whether the model reads images; otherwise they are removed from prompts."""
        return self._processor is not None

    def render(self, prompt: Chat, *, tools: Sequence[Tool] | None = None) -> Rendered:
        """Renders a prompt.

        Args:
            prompt: A prompt, a chat (see ``Prompt.from_chat``), or a plain text (see ``Prompt.from_text``). For a
                text-only model, its images are removed.
            tools: The chat's tools: JSON schemas, or functions with type hints and a docstring. What the template
                writes about them is the span "tools".

        Returns:
            The model's inputs, with the token ranges of every label.

        Raises:
            ModelError: There is no chat template, a text-only model gets images without an element list, the template
                changes the parts or leaves the tools out, the processor does not place every image, or foreign text
                holds a control token that can't be broken up.
            ConfigError: The chat or a tool is invalid.
        """
        given = self._usable(Prompt.of(prompt, tools))
        followed = self._template.follow(given, self._control)
        prompt, located = followed.prompt, followed.located
        images = [part for message in prompt.messages for part in message.parts if part.image is not None]
        fields = ", ".join(sorted({key for message in prompt.messages for key in message.extra}))
        names = [*(repr(part.label) for part, _, _ in located.parts), f"a message's {fields}"]
        layout = Layout.of(located.text, located.parts, followed.further)
        for _ in range(_ROUNDS):
            layout = layout.without(self._control)
            encoded = self._encode(layout.text, images, self._adds(layout.text, plain=prompt.plain))
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

    def render_batch(self, prompts: Sequence[Chat], *, tools: Sequence[Tool] | None = None) -> RenderedBatch:
        """Renders prompts for one batch, padded on the left.

        Args:
            prompts: The prompts, as :meth:`render` takes them.
            tools: The tools of all chats.

        Returns:
            The batch: its inputs, and each prompt by itself.

        Raises:
            ModelError: A prompt can't be rendered, or the processor's inputs can't be stacked.
            ConfigError: There is no prompt, or a chat or a tool is invalid.
        """
        if not prompts:
            raise ConfigError("a batch without prompts can't be rendered; pass one prompt or more")
        pad = next((k for k in (self._tokenizer.pad_token_id, self._tokenizer.eos_token_id) if k is not None), 0)
        return batch([self.render(prompt, tools=tools) for prompt in prompts], pad)

    def _encode(self, text: str, images: Sequence[Part], adds: bool) -> _Encoded:
        import torch

        asked = {"return_tensors": "pt", "return_offsets_mapping": True, "add_special_tokens": adds}
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
        return _Encoded(out, offsets, replaced, unexpanded(len(text), replaced))

    def _rendered(self, located: LocatedText, encoded: _Encoded, images: Sequence[Part]) -> Rendered:
        out, offsets, replaced = encoded.inputs, encoded.offsets, encoded.replaced
        spans: dict[str, list[tuple[int, int]]] = {}
        for part, start, stop in located.parts:
            if part.label != "template":
                start, stop = expanded(start, replaced), expanded(stop, replaced)
                spans.setdefault(part.label, []).extend(tokens_between(offsets, start, stop))
        pictures = []
        for part, record in zip(images, replaced, strict=True):
            whole = tokens_between(offsets, *record["new_span"])
            if not whole:
                raise ModelError("the processor gave an image no tokens; check the processor's patch size")
            pictures.append(ImageRun(whole[0][0], whole[-1][1], _digest(part.image)))
            spans.setdefault(part.label, []).extend(self._image_tokens(out["input_ids"][0].tolist(), whole))
        return Rendered(
            text=located.text,
            inputs=out,
            spans={label: joined(ranges) for label, ranges in spans.items() if ranges},
            images=tuple(pictures),
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
            kept = tuple(part for part in message.parts if part.image is None or self.reads_images)
            messages.append(replace(message, parts=kept))
        return replace(prompt, messages=tuple(messages))

    def _adds(self, text: str, *, plain: bool) -> bool:
        # transformers' own rule: a processor lets the tokenizer add its tokens unless the template wrote them. A
        # tokenizer adds them to a plain text only.
        bos = self._tokenizer.bos_token
        return (plain or self._processor is not None) and not (bos and text.startswith(bos))

    def _find_image_ids(self) -> frozenset[int]:
        found: set[int | None] = {getattr(self._processor, "image_token_id", None)}
        found.update(getattr(self._processor, "image_token_ids", None) or ())
        found.add(getattr(self._tokenizer, "image_token_id", None))
        return frozenset(i for i in found if i is not None)

    def _image_tokens(self, ids: list[int], whole: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """The image tokens among those of an expanded placeholder, which may also contain row and frame marks."""
        inside = [k for start, stop in whole for k in range(start, stop)]
        return runs(k for k in inside if ids[k] in self._image_ids) or whole


def _digest(image: NDArray[np.uint8]) -> str:
    array = np.ascontiguousarray(image)
    return hashlib.sha256(str(array.shape).encode() + array.tobytes()).hexdigest()
