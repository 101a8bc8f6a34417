"""Where every part of a prompt stands in the text that a chat template renders, to the character.

A template may trim a message, merge roles or put literals between parts, so a part's text is never searched for: it
may occur elsewhere too. Instead the chat is rendered three times: as it is; with every part's core (its text without
outer white space) replaced by a sentinel, outer white space kept; and with bare sentinels. The second rendering with
the cores put back must equal the first, or the layout is refused; against the third it shows which outer white space
the template kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from homeostat.errors import ModelError
from homeostat.sensors.chat.messages import Message, Part, Prompt

__all__ = ["Layout", "LocatedText", "Template", "locate"]

Template = Callable[[list[dict[str, Any]]], str]
"""A chat template: messages in, text out."""


@dataclass(frozen=True)
class Layout:
    """How messages are handed to a template.

    ``lists``: a message's content is a list of typed parts (processors), or one string (tokenizers). ``merged``: the
    system message's parts open the first user message, for templates that know no system role (Gemma 1 and 2).
    """

    lists: bool
    merged: bool


@dataclass(frozen=True)
class LocatedText:
    """A rendered chat; ``parts`` pairs each text part with its (start, end) characters, in the text's order."""

    text: str
    parts: tuple[tuple[Part, int, int], ...]
    layout: Layout


def locate(prompt: Prompt, template: Template, layouts: Sequence[Layout]) -> LocatedText:
    """Render ``prompt`` in the first of ``layouts`` that the template honours.

    Raises :class:`ModelError` where it honours none: it drops, repeats or rewrites a part.
    """
    reasons = []
    for layout in layouts:
        try:
            return _locate(prompt, template, layout)
        except _Refused as refused:
            reasons.append(str(refused))
    why = "; ".join(dict.fromkeys(reasons))
    raise ModelError(f"the chat template can't be followed ({why}); give the model another")


class _Refused(Exception):
    """A layout that this template does not honour."""


def _locate(prompt: Prompt, template: Template, layout: Layout) -> LocatedText:
    messages = _merge(prompt.messages) if layout.merged else prompt.messages
    texts = [part for message in messages for part in message.parts if part.image is None and part.text]
    opening, closing = _unused(texts)
    sentinels = [f"{opening}{i}{closing}" for i in range(len(texts))]
    outer = [_outer(part.text) for part in texts]

    def rendered(words: Sequence[str]) -> str:
        try:
            return template(_chat(messages, words, layout.lists))
        except Exception as error:  # a template is foreign code: whatever it raises, it refuses this layout
            raise _Refused(f"{type(error).__name__}: {str(error)[:80]}") from None

    text = rendered([part.text for part in texts])
    spaced = rendered([lead + s + trail for s, (lead, trail) in zip(sentinels, outer, strict=True)])
    bare = rendered(sentinels)
    if "{'type'" in bare:
        raise _Refused("it prints a list of parts as it is")
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
    return LocatedText(text, tuple(_ranges([texts[i] for i in order], cores, gaps, bare_gaps)), layout)


def _ranges(
    parts: Sequence[Part], cores: Sequence[str], gaps: Sequence[str], bare: Sequence[str]
) -> list[tuple[Part, int, int]]:
    """Characters of each part: its core, and the outer white space that the gaps show to have survived."""
    before = [0] * len(parts)  # white space kept in front of part i
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
    """The white space in front of and behind a text's core (all of it in front, where there is no core)."""
    core = text.strip()
    lead = len(text) - len(text.lstrip())
    return (text[:lead], text[lead + len(core) :])


def _unused(parts: Sequence[Part]) -> tuple[str, str]:
    """Two private-use characters that no part holds."""
    used = set("".join(part.text for part in parts))
    free = [c for c in map(chr, range(0xE000, 0xE000 + len(used) + 2)) if c not in used]
    return free[0], free[1]


def _merge(messages: Sequence[Message]) -> tuple[Message, ...]:
    if len(messages) < 2 or messages[0].role != "system":
        raise _Refused("it knows no system role")
    system, first, *rest = messages
    return (Message(first.role, (*system.parts, Part("template", "\n\n"), *first.parts), first.extra), *rest)


def _chat(messages: Sequence[Message], words: Sequence[str], lists: bool) -> list[dict[str, Any]]:
    chat, left = [], iter(words)
    for message in messages:
        content: list[dict[str, Any]] = []
        for part in message.parts:
            if part.image is not None:
                content.append({"type": "image"})
            elif part.text:
                content.append({"type": "text", "text": next(left)})
        said = content if lists else "".join(c.get("text", "") for c in content)
        chat.append({"role": message.role, "content": said, **message.extra})
    return chat
