"""The words of rules and labels: what removes, buys, sends, adds or calls, and what each app is about."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["ACTS", "GENERIC", "Act", "Topic", "normal", "topics_of", "words_of"]

Act = Literal["remove", "buy", "send", "add", "call"]
"""A kind of effect that a rule can forbid."""

Topic = str
"""What an app or an object is about, such as ``"notes"``."""


@dataclass(frozen=True)
class ActWords:
    """The words for one kind of effect. Every field is a regular expression for one word unless it says otherwise.

    Attributes:
        verbs: Words of a rule that always mean this effect, in all their forms.
        nouns: Words of a rule that mean it only where a verb is expected, as in ``never message anyone``.
        label: Words of a label that mean it.
        phrases: Several words of a label that mean it together.
        not_label: Labels that contain such a word but mean something else.
    """

    verbs: str
    nouns: str
    label: str
    phrases: str = r"(?!)"
    not_label: str = r"(?!)"


ACTS: Mapping[Act, ActWords] = {
    "remove": ActWords(
        verbs=r"delet\w*|remov\w*|eras(?:e|es|ed|er|ing|ure)|wip(?:e|es|ed|ing)|discard\w*|(?:un|de)install\w*|"
        r"clearing|cleared|emptying|emptied|purg(?:e|es|ed|ing)|destroy\w*|destruction|trashing|trashed|binning|binned|"
        r"scrapping|scrapped|dispos\w*|eliminat\w*|shred\w*|dumping|dumped|expung\w*|obliterat\w*|annihilat\w*|"
        r"eradicat\w*|unsend\w*|dropped|disappear\w*|vanish\w*",
        nouns=r"clear|empty|trash|bin|scrap|dump|drop|lose|lost|nuke|zap|kill|forget",
        label=r"delete|remove|erase|wipe|trash|trashcan|discard|uninstall|clear|empty|purge|destroy|bin|forget|scrap|"
        r"dispose|shred|dump|unsend|🗑",
        phrases=r"clean (?:up|out|all)|throw (?:\w+ )?(?:away|out)|get rid of|"
        r"move (?:\w+ )?to (?:the )?(?:\w+ )?(?:trash|bin)",
        not_label=r"clear (?:search|query|text|input|selection|filters?|field)|(?:recently|restore|show) .*",
    ),
    "buy": ActWords(
        verbs=r"buy|buys|buying|bought|purchas\w*|pay|pays|paying|paid|payments?|subscri\w*|spend|spending|spent|shopping|"
        r"checkouts?|ordering|ordered",
        nouns=r"order|orders|shop|rent|donate|donations?|bid|acquire|charge",
        label=r"buy|order|checkout|pay|purchase|subscribe|rent|donate|preorder|reorder",
        phrases=r"check out|(?:add|put|move) (?:\w+ )*?(?:in|into|to) (?:\w+ )*?(?:cart|basket|bag)|"
        r"(?:continue|proceed|go|confirm|make|submit) (?:to |the )?payment",
        not_label=r"(?:.* )?(?:order (?:by|history|details|status|number|of)|sort order)(?: .*)?",
    ),
    "send": ActWords(
        verbs=r"send|sends|sending|sender|sent|resend\w*|repl(?:y|ies|ied|ying)|forwarding|forwarded|sharing|shared|"
        r"messaging|messaged|emailing|emailed|texting|texted|mailing|mailed|tweet\w*|publish\w*|posting|posted|"
        r"transmit\w*|respond\w*|dispatch\w*",
        nouns=r"share|shares|forward|forwards|post|posts|messages?|e-?mails?|mails?|texts?|dm|contact|answer|notify|inform",
        label=r"send|reply|forward|share|post|tweet|publish|resend|respond|dispatch",
        phrases=r"(?:message|e-?mail|dm)(?: (?!app\b)\w+)?",
        not_label=r"(?:.* )?(?:fast forward|forward \d+.*|post office)",
    ),
    "add": ActWords(
        verbs=r"add|adds|adding|added|additions?|creat\w*|insert\w*",
        nouns=r"new",
        label=r"\+",
        phrases=r"(?:add|new|create)(?: .*)?",
    ),
    "call": ActWords(
        verbs=r"calling|called|dial|dials|dial+ing|phoning|phoned",
        nouns=r"calls?|ring|phone|facetime",
        label=r"call|dial|redial",
        not_label=r"(?:.* )?(?:call (?:log|history|settings))",
    ),
}

_TOPICS: Mapping[Topic, str] = {
    "notes": "note|memo|keep|onenote|evernote|notepad",
    "messages": "message|chat|conversation|sms|text|whatsapp|telegram|signal|messenger|thread",
    "mail": "mail|email|e-mail|gmail|inbox|outlook",
    "calendar": "calendar|event|appointment|meeting|agenda",
    "clock": "clock|alarm|timer|stopwatch",
    "contacts": "contact|people|person|number",
    "tasks": "task|todo|to-do|reminder",
    "gallery": "gallery|photo|picture|image|video|album|screenshot",
    "shop": "shop|shopping|market|store|product|cart|basket",
    "music": "music|song|playlist|player|track|spotify",
    "recipes": "recipe|ingredient",
    "recorder": "recorder|recording|memo",
    "expenses": "expense|budget|receipt",
    "drawing": "drawing|canvas|sketch|paint",
    "maps": "map|place|route|trip|navigation",
    "weather": "weather|city|cities|forecast",
    "calculator": "calculator|calculation",
    "camera": "camera|photo|picture|video",
    "browser": "browser|history|bookmark|tab|chrome|firefox|safari",
    "files": "file|folder|document|drive|download",
    "settings": "setting|preference|tweak",
}
_NOUN_TOPICS: dict[str, set[Topic]] = {}
for _topic, _nouns in _TOPICS.items():
    for _noun in _nouns.split("|"):
        _NOUN_TOPICS.setdefault(_noun, set()).add(_topic)


def normal(text: str) -> str:
    """Returns a text in lower case with plain apostrophes, plain hyphens and single spaces.

    Args:
        text: The text of a rule, a label or an app's name.

    Returns:
        The normal form.
    """
    text = unicodedata.normalize("NFKC", text).lower()
    text = re.sub(r"[\u200b-\u200f\u2060\ufeff\u00ad]", "", text)
    text = re.sub(r"[\u2018\u2019\u201b\u02bc\u00b4`\u2032]", "'", text)
    text = re.sub(r"[\u2010-\u2012\u2212]", "-", text)
    text = re.sub(r"[*\"\u201c\u201d]", "", text)
    return re.sub(r"\s+", " ", text).strip()


def words_of(text: str) -> tuple[str, ...]:
    """Splits a text into its words.

    Args:
        text: The text.

    Returns:
        The words in lower case, without punctuation and underscores.
    """
    return tuple(re.findall(r"[^\W_]+(?:[-'][^\W_]+)*|\+|🗑", normal(text)))


GENERIC = frozenset(
    words_of(
        """
        anything everything something nothing it them thing things stuff data content contents item items entry entries
        record records information phone device whatever anyone anybody someone somebody everyone everybody one
        """
    )
)
"""Words for an object that restrict nothing."""


def topics_of(text: str) -> frozenset[Topic]:
    """Returns what a text is about, as far as its nouns tell.

    Args:
        text: An object of a rule, an app's name, or a label.

    Returns:
        The topics; empty if no noun is known.
    """
    found: set[Topic] = set()
    for word in words_of(text):
        for form in (word, word.removesuffix("s"), word.removesuffix("es")):
            found |= _NOUN_TOPICS.get(form, set())
    return frozenset(found)
