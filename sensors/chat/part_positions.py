"""Finds the exact characters of every part of a prompt in the text that a chat template renders.

A template may trim a message, merge roles, or put literals between parts. The text of a part may also occur elsewhere,
so it is never searched for. Instead, the chat is rendered three times:

1. as it is;
2. with every part's core (its text without outer white space) replaced by a sentinel, keeping the outer white space;
3. with every part replaced by its bare sentinel.

The second rendering, with the cores put back, must equal the first; otherwise the message format is refused. The
difference between the second and the third shows which outer white space the template kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from homeostat.errors import ModelError
from homeostat.sensors.chat.messages import Message, Part, Prompt

__all__ = ["LocatedText", "MessageFormat", "Template", "locate"]

Template = Callable[[list[dict[str, Any]]], str]
"""A chat template: takes messages and returns text."""


@dataclass(frozen=True)
class MessageFormat:
    """How messages are passed to a template.

    Attributes:
        lists: Whether a message's content is a list of typed parts (processors) or one string (tokenizers).
        merged: Whether the system message's parts are put at the start of the first user message, for templates without
            a system role (Gemma 1 and 2).
        missing: Whether a message without parts has the content None, as in OpenAI's API; otherwise it is empty.
    """

    lists: bool
    merged: bool
    missing: bool = False


@dataclass(frozen=True)
class LocatedText:
    """A rendered chat.

    Attributes:
        text: The rendered text.
        parts: Each text part with its first character and the one after its last, in the order of the text.
        format: The message format that the template accepted.
    """

    text: str
    parts: tuple[tuple[Part, int, int], ...]
    format: MessageFormat


def locate(prompt: Prompt, template: Template, formats: Sequence[MessageFormat]) -> LocatedText:
    """Renders a prompt in the first message format that the template accepts.

    Args:
        prompt: The prompt.
        template: The chat template.
        formats: The formats to try, in order.

    Returns:
        The text, with the position of every part.

    Raises:
        ModelError: The template accepts no format: it drops, repeats or rewrites a part.
    """
    reasons = []
    for form in formats:
        try:
            return _locate(prompt, template, form)
        except _Refused as refused:
            reasons.append(str(refused))
    why = "; ".join(dict.fromkeys(reasons))
    raise ModelError(f"the chat template cannot be followed ({why}); give the model another one")


class _Refused(Exception):
    """This template does not accept the message format."""


def _locate(prompt: Prompt, template: Template, form: MessageFormat) -> LocatedText:
    messages = _merge(prompt.messages) if form.merged else prompt.messages
    texts = [part for message in messages for part in message.parts if part.image is None and part.text]
    opening, closing = _unused(texts)
    sentinels = [f"{opening}{i}{closing}" for i in range(len(texts))]
    outer = [_outer(part.text) for part in texts]

    def rendered(words: Sequence[str], form: MessageFormat = form) -> str:
        try:
            return template(_chat(messages, words, form))
        except ModelError:  # the template takes too long in any format
            raise
        except Exception as error:  # foreign code: whatever it raises, it refuses this format
            raise _Refused(f"{type(error).__name__}: {str(error)[:80]}") from None

    text = rendered([part.text for part in texts])
    spaced = rendered([lead + s + trail for s, (lead, trail) in zip(sentinels, outer, strict=True)])
    bare = rendered(sentinels)
    if "{'type'" in bare:
        raise _Refused("it prints a list of parts verbatim")
    if form.missing and "None" in bare:
        empty = rendered(sentinels, replace(form, missing=False))
        if bare.count("None") > empty.count("None"):
            raise _Refused("it prints a missing content as None")
    for s, part in zip(sentinels, texts, strict=True):
        if spaced.count(s) != 1 or bare.count(s) != 1:
            raise _Refused(f"it drops or repeats the part {part.label!r}")
    order = sorted(range(len(texts)), key=lambda i: spaced.index(sentinels[i]))
    gaps = _gaps(spaced, [sentinels[i] for i in order])
    if len(gaps) != len(bare_gaps := _gaps(bare, [sentinels[i] for i in order])):
        raise _Refused("it moves parts by their white space")
    cores = [texts[i].text.strip() for i in order]
    if gaps[0] + "".join(core + gap for core, gap in zip(cores, gaps[1:], strict=True)) != text:
        raise _Refused("it rewrites a part by its content")
    return LocatedText(text, tuple(_ranges([texts[i] for i in order], cores, gaps, bare_gaps)), form)


def _ranges(
    parts: Sequence[Part], cores: Sequence[str], gaps: Sequence[str], bare: Sequence[str]
) -> list[tuple[Part, int, int]]:
    """The characters of each part: its core, and the outer white space that the template kept, as the gaps show."""
    before = [0] * len(parts)  # the length of the white space kept before part i
    after = [0] * len(parts)
    for g, (gap, literal) in enumerate(zip(gaps, bare, strict=True)):
        trail = _outer(parts[g - 1].text)[1] if g > 0 else ""
        lead = _outer(parts[g].text)[0] if g < len(parts) else ""
        for kept_trail, kept_lead in ((trail, lead), (trail, ""), ("", lead), ("", "")):
            if kept_trail + literal + kept_lead == gap:
                if g > 0:
                    after[g - 1] = len(kept_trail)
                if g < len(parts):
                    before[g] = len(kept_lead)
                break
    out, at = [], 0
    for i, (part, core) in enumerate(zip(parts, cores, strict=True)):
        at += len(gaps[i])
        out.append((part, at - before[i], at + len(core) + after[i]))
        at += len(core)
    return out


def _gaps(text: str, sentinels: Sequence[str]) -> list[str]:
    gaps, rest = [], text
    for s in sentinels:
        gap, found, rest = rest.partition(s)
        if not found:
            return []
        gaps.append(gap)
    return [*gaps, rest]


def _outer(text: str) -> tuple[str, str]:
    """The white space before and after a text's core; all of it comes before, if there is no core."""
    core = text.strip()
    lead = len(text) - len(text.lstrip())
    return (text[:lead], text[lead + len(core) :])


def _unused(parts: Sequence[Part]) -> tuple[str, str]:
    """Two private-use characters that occur in no part."""
    used = set("".join(part.text for part in parts))
    free = [c for c in map(chr, range(0xE000, 0xE000 + len(used) + 2)) if c not in used]
    return free[0], free[1]


def _merge(messages: Sequence[Message]) -> tuple[Message, ...]:
    if len(messages) < 2 or messages[0].role != "system":
        raise _Refused("it has no system role")
    system, first, *rest = messages
    return (
        Message(first.role, (*system.parts, Part("template", "\n\n", trusted=((0, 2),)), *first.parts), first.extra),
        *rest,
    )


def _chat(messages: Sequence[Message], words: Sequence[str], form: MessageFormat) -> list[dict[str, Any]]:
    chat, left = [], iter(words)
    for message in messages:
        content: list[dict[str, Any]] = []
        for part in message.parts:
            if part.image is not None:
                content.append({"type": "image"})
            elif part.text:
                content.append({"type": "text", "text": next(left)})
        said: Any = content if form.lists else "".join(c.get("text", "") for c in content)
        if form.missing and not message.parts:
            said = None
        chat.append({"role": message.role, "content": said, **message.extra})
    return chat
