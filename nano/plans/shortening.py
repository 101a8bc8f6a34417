"""Words one task briefly, as people do within a longer goal."""

from __future__ import annotations

import random
import re

from homeostat.nano.plans.phrases import CONNECTORS

__all__ = ["shortened"]


def shortened(rng: random.Random, text: str) -> str:
    """Words a task briefly: the verb is left out or moved, and connecting words are replaced.

    Args:
        rng: The random generator.
        text: The full text of the subtask.

    Returns:
        The wording.
    """
    if found := re.fullmatch(r"(?:set|change|put|make|switch|turn) (?:the |my )?(.+?) (?:to|into) (.+)", text):
        name, value = found.groups()
        forms: tuple[str, ...] = (
            "{n} to {v}",
            "{n} at {v}",
            "the {n} to {v}",
            "{n}: {v}",
            "{n} {v}",
            "the {n} should be {v}",
        )
        more = ("make the {n} {v}", "i want the {n} at {v}", "change {n} to {v}", "bring the {n} to {v}")
        if "@" in value:
            forms = (
                "{v} is the new {n}",
                "{v} becomes the {n}",
                "use {v} as the {n}",
                "take {v} as the {n}",
                *forms,
            )
        return rng.choice(forms + more).format(n=name, v=value)
    if found := re.fullmatch(r"(?:turn|switch) (on|off) (?:the )?(.+)|(?:turn|switch) (?:the )?(.+) (on|off)", text):
        state, name = found.group(1) or found.group(4), found.group(2) or found.group(3)
        forms = ("{n} {s}", "turn {n} {s}", "{s} with {n}", "{n} should be {s}", "switch {s} {n}", "i want {n} {s}")
        return rng.choice(forms).format(n=name, s=state)
    links = [(link, options) for link, options in CONNECTORS if link in text]
    for link, options in rng.sample(links, min(len(links), rng.choice((0, 1, 1, 2)))):
        head, _, tail = text.rpartition(link)
        text = head + rng.choice(options) + tail
    if found := re.fullmatch(r"(?:add|create|make|save|new|start|write|enter|put) (?:a |an |the |my )?(.+)", text):
        rest = found.group(1)
        forms = (
            "{r}",
            "a {r}",
            "the {r}",
            "new {r}",
            "a new {r}",
            "i need a {r}",
            "make {r}",
            "add {r}",
            "put in {r}",
        )
        return rng.choice(forms).format(r=rest) if rng.random() < 0.6 else text
    if rng.random() < 0.2:
        text = re.sub(r"\b(the|my|a|an) ", lambda m: "" if rng.random() < 0.7 else m.group(0), text)
    return text
