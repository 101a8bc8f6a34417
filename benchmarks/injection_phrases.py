"""A guard that knows the usual phrases of prompt injections: the baseline of the detection benchmark that reads text.

The patterns were written from what is generally known of such attacks, before any of the data that they are measured on
were looked at, and were not changed since. A guard of this kind sees the text under test alone: what a user wrote, or
what a tool returned.
"""

from __future__ import annotations

import re

__all__ = ["PATTERNS", "phrase_score"]

_EARLIER = (
    r"(?:all|any|every|the|your|my|these|those|of|previous|prior|earlier|above|preceding|former|foregoing|other|\s)+"
)
_ORDERS = (
    r"(?:instructions?|prompts?|rules?|commands?|orders?|directions?|guidelines?|messages?|text|context|constraints?)"
)
_DROP = r"(?:ignore|disregard|forget|override|overrule|bypass|discard|drop|neglect|skip|cancel|erase)"
_SHOW = r"(?:reveal|show|print|repeat|output|display|tell|give|leak|say|write|disclose|recite|summari[sz]e|translate)"
_SECRET = (
    r"(?:system\s+prompt|initial\s+prompt|hidden\s+prompt|instructions|pass\s?words?|secrets?|access\s+codes?|"
    r"api\s+keys?|credentials)"
)

PATTERNS: tuple[re.Pattern[str], ...] = tuple(
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for pattern in (
        rf"\b{_DROP}\b\s+{_EARLIER}\s*{_ORDERS}\b",
        rf"\b{_DROP}\b\s+(?:everything|anything|all|what(?:ever)?)\b.{{0,30}}"
        r"\b(?:above|before|previously|said|told|so far)\b",
        rf"\b(?:do\s+not|don'?t|never|stop)\s+(?:follow|obey|listen|comply|adher)\w*\b.{{0,40}}\b(?:{_ORDERS}|above|previous)",
        r"\b(?:new|updated|real|actual|revised|following)\s+(?:system\s+)?(?:instructions?|task|orders?|rules?|prompt)\b",
        r"\byou\s+(?:are|will\s+be|must\s+be)\s+now\b|\bfrom\s+now\s+on\b|\byou\s+are\s+no\s+longer\b",
        r"\b(?:pretend|act|behave|role-?play|imagine)\b.{0,20}\b(?:to\s+be|as|like|that|you\s+are)\b",
        rf"\b{_SHOW}\b.{{0,40}}\b{_SECRET}\b",
        r"\b(?:developer|debug|admin|god|maintenance|sudo|root|test)\s+mode\b|\bjailbreak|\bDAN\b|\bdo\s+anything\s+now\b",
        r"<\|?/?(?:im_start|im_end|system|user|assistant|endoftext|inst)\|?>|\[/?(?:INST|SYS|SYSTEM)\]|<</?SYS>>",
        r"^\W*(?:system|assistant|admin(?:istrator)?|developer|instructions?|important|attention|note\s+to\s+the\s+\w+)\s*:",
        r"\b(?:important|urgent)\s+(?:message|notice|instruction|update)\b",
        r"\b(?:end|start|begin(?:ning)?)\s+of\s+(?:the\s+)?(?:prompt|instructions?|input|message|conversation|text|data)\b",
        r"\bbefore\s+(?:you\s+)?(?:answer|continu|reply|respond|proceed|do)\w*\b.{0,60}\b(?:must|first|call|send|execute|run)\b",
        r"\b(?:as\s+an?|you\s+are\s+an?)\s+(?:ai|language\s+model|large\s+language\s+model|llm|assistant|chatbot)\b",
        r"\b(?:respond|reply|answer|output|say|write|print|return)\s+(?:only\s+|just\s+|exactly\s+)?(?:with\s+)?[\"'“”‘’`]",
        r"\b(?:instead|rather)\b.{0,40}\b(?:say|write|print|output|respond|reply|do|call|send|answer)\b",
        r"(?:[=\-*#_~]{4,}|[\]\[{}()\\/|]{6,})",
        r"\b(?:base64|rot13|encoded|decode)\b|\\x[0-9a-f]{2}|\\u[0-9a-f]{4}",
    )
)
"""What the guard looks for."""


def phrase_score(text: str) -> float:
    """Counts the patterns that a text matches.

    Args:
        text: The text under test.

    Returns:
        The number of patterns that match at least once.
    """
    return float(sum(pattern.search(text) is not None for pattern in PATTERNS))
