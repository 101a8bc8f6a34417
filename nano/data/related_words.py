"""Words that can stand for the deciding words of questions about recordings, taken from WordNet by a rule.

A question's deciding word is the one without which its answer cannot be known, such as ``first`` in "which app was
opened first?". Training questions replace it now and then, because the questions of a test word the same thing
differently.

The rule: all one-word synonyms of the word in each sense in which WordNet 3.1 has counted it at least once, and all
members of the senses that are derivationally related to these. A word that comes up for two deciding words is left out.
No word was chosen or left out by hand. So the lists also hold words that no one would use here, such as ``maiden``.

Source: G. A. Miller, WordNet: A Lexical Database for English, Communications of the ACM 38 (11), 1995. WordNet 3.1,
Copyright 2011 by Princeton University.
"""

from __future__ import annotations

__all__ = ["RELATED_WORDS"]

RELATED_WORDS: dict[str, tuple[str, ...]] = {
    word: tuple(related.split())
    for word, related in {
        "first": (
            "begin beginning commence commencement firstly foremost get inaugural inaugurate initiate initiative "
            "initiatory kickoff maiden offset originate outset showtime start"
        ),
        "last": (
            "cease close complete conclude concluding conclusion conclusiveness decisiveness end endurance endure "
            "final finale finality finally finis finish fold go lastly live maximum net stop survival survive terminal "
            "terminate utmost uttermost"
        ),
        "before": "earlier",
        "after": "afterward afterwards later subsequently",
        "next": "adjacency adjacent contiguity contiguousness following future futurity succeeding",
    }.items()
}
"""Deciding word -> the words that can stand for it."""
