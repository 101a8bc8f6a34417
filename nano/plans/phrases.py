"""Wording of values, conditions, comparisons and short goals, for goals that are made by rule.

These texts are training data. None of them is a sentence of the hundred compositional templates of
``homeostat.envs.phone.tasks.composed``, because those are for testing.
"""

from __future__ import annotations

__all__ = [
    "ABOVE",
    "ADDS",
    "ASKED",
    "ATTRIBUTES",
    "BELOW",
    "BEST",
    "BEST_SHORT",
    "BEST_VALUE",
    "CONNECTORS",
    "EITHER",
    "EQUAL",
    "EXTREMES",
    "FINDS",
    "ONE_SIDED",
    "SAID_NAMES",
    "SAID_VALUES",
    "SHORT",
    "SUMS",
    "TELLS",
]

# (attribute, its plural, the kind of thing or "", how a subtask asks for it, how its values look)
ATTRIBUTES = (
    ("price", "prices", "", "what does {x} cost", "$"),
    ("price", "prices", "product", "what does {x} cost", "$"),
    ("amount", "amounts", "expense", "what is the amount of the expense {x}", "$"),
    ("time", "times", "event", "at what time is {x}", ":"),
    ("size", "sizes", "file", "how big is the file {x}", "kb"),
    ("length", "lengths", "memo", "what is the length of the memo {x}", ":"),
    ("servings", "servings", "recipe", "what is the servings of the recipe {x}", ""),
    ("temp", "temps", "city", "what is the temp in the city {x}", ""),
    ("humidity", "humidity", "city", "what is the humidity in the city {x}", ""),
    ("distance in km", "distances in km", "place", "what is the distance in km to the place {x}", ""),
    ("number of pictures", "numbers of pictures", "album", "how many pictures are in the album {x}", ""),
    ("number of mails", "numbers of mails", "box", "how many mails are in the box {x}", ""),
)

SUMS = {
    "sum": (
        "the sum of {list}",
        "{plus}",
        "{list} together",
        "{list} in total",
        "the total of {list}",
        "what {list} add up to",
        "{list} added up",
        "the result of adding {list}",
    ),
    "difference": (
        "the difference between {list}",
        "the difference of {list}",
        "how far {list} are apart",
        "what lies between {list}",
    ),
}

# words for the largest and the smallest, by how the values look
EXTREMES = {
    "$": (
        ("higher", "highest", "dearer", "dearest", "larger", "most"),
        ("lower", "lowest", "smaller", "least", "fewer"),
    ),
    ":": (("later", "latest", "last", "longer"), ("earlier", "earliest", "first", "shorter", "sooner")),
    "": (
        ("higher", "highest", "larger", "largest", "more", "most", "bigger", "greater", "warmer", "longest", "biggest"),
        ("lower", "lowest", "smaller", "smallest", "less", "least", "fewer", "nearer", "colder", "shortest", "nearest"),
    ),
}

# the same in one word or two, without the attribute
SHORT = {
    "price": (("dearer", "dearest", "more expensive", "most expensive"), ("cheaper", "cheapest", "less expensive")),
    "amount": (("larger", "higher", "bigger"), ("smaller", "lower")),
    "time": (("later", "latest", "last"), ("earlier", "earliest", "first", "sooner")),
    "size": (("bigger", "larger", "biggest", "largest"), ("smaller", "smallest")),
    "length": (("longer", "longest"), ("shorter", "shortest")),
    "temp": (("warmer", "warmest", "hotter"), ("colder", "coldest", "cooler")),
    "humidity": (("more humid", "most humid"), ("less humid", "least humid")),
    "distance in km": (("farther", "farthest", "further away"), ("nearer", "nearest", "closer", "closest")),
}
ASKED = {
    "price": ("what {l} cost", "how much {l} cost", "how much {l} are"),
    "amount": ("how much {l} were", "what {l} cost"),
    "time": ("when {l} are", "when {l} begin", "at what time {l} are"),
    "size": ("how big {l} are",),
    "length": ("how long {l} are",),
    "temp": ("how warm it is in {l}", "how cold {l} are"),
    "humidity": ("how humid {l} are",),
    "distance in km": ("how far {l} are", "how many km it is to {l}"),
}
BEST_SHORT = (
    "the {w} of {l}",
    "which of {l} is {w}",
    "which is {w}, {l}",
    "the {w} one of {l}",
    "whichever of {l} is {w}",
    "of {l} the {w}",
    "of {l} the {w} one",
)
BEST = (
    "the one of {l} with the {w} {a}",
    "whichever of {l} has the {w} {a}",
    "which of {l} has the {w} {a}",
    "which has the {w} {a}, {l}",
    "of {l} the one with the {w} {a}",
    "who has the {w} {a}: {l}",
    "the {a} of {l} and take the {w}",
)
BEST_VALUE = (
    "the {w} {a} of {l}",
    "the {w} {a} among {l}",
    "the {w} of the {a}s of {l}",
    "which {a} is {w}, that of {l}",
)
ADDS = {
    "sum": ("add up {n}", "sum up {n}", "add {n}", "total {n}", "count {n} together"),
    "difference": ("subtract {n}", "compare {n} and take the difference", "work out how far apart {n} are"),
}
SAID_VALUES = ("it", "that", "the answer", "the result", "this value", "that number", "the sum", "the total", "this")
SAID_NAMES = ("it", "that one", "this one", "the {word} one", "the one", "its name", "that name")
FINDS = (
    "{n}",
    "find out {n}",
    "look up {n}",
    "check {n}",
    "see {n}",
    "get {n}",
    "read {n}",
    "work out {n}",
    "take {n}",
    "tell me {n}",
)
TELLS = ("tell me {n}", "let me know {n}", "say {n}", "i want to know {n}", "answer with {n}", "give me {n}")

ABOVE = (
    "{v} is above {w}",
    "{v} is more than {w}",
    "{v} is over {w}",
    "{v} exceeds {w}",
    "{v} is higher than {w}",
    "{v} is larger than {w}",
    "{v} is greater than {w}",
    "{v} is later than {w}",
    "{v} comes to more than {w}",
)
BELOW = (
    "{v} is below {w}",
    "{v} is less than {w}",
    "{v} is under {w}",
    "{v} is lower than {w}",
    "{v} is smaller than {w}",
    "{v} is earlier than {w}",
    "{v} stays under {w}",
    "{v} is cheaper than {w}",
)
EQUAL = ("{v} is {w}", "{v} says {w}", "{v} is equal to {w}", "{v} happens to be {w}", "{v} reads {w}")
EITHER = (
    "if {c}, {a}, otherwise {b}",
    "if {c} {a}, otherwise {b}",
    "if {c}, {a}, if not {b}",
    "if {c} then {a}, else {b}",
    "{a} if {c}, else {b}",
    "{a} if {c}, otherwise {b}",
    "when {c} {a}, when not {b}",
    "in case {c}, {a}; in the other case {b}",
    "{c}? then {a}. if not, {b}",
    "{c}? {a}, or else {b}",
    "should it be that {c}, {a}, and if not {b}",
    "{b}, but if {c} {a} instead",
)
ONE_SIDED = (
    "if {c}, {a}",
    "if {c} {a}",
    "{a} if {c}",
    "{a}, but only if {c}",
    "when {c}, {a}",
    "only if {c}: {a}",
    "{a} in case {c}",
)

CONNECTORS = (
    (" labelled ", (" ", ", ", " called ", " with the label ", " named ", ": ")),
    (" with the label ", (" ", ", ", " labelled ")),
    (" saying ", (": ", " that says ", " with the text ", ", ", " reading ")),
    (" that says ", (": ", " saying ", ", ")),
    (" with the text ", (": ", ", ", " saying ")),
    (" titled ", (" ", " called ", ", ", " named ")),
    (" called ", (" ", ", ", " named ")),
    (" named ", (" ", ", ", " called ")),
    (" with the number ", (" ", ", ", ", number ", " number ")),
    (" with the subject ", (" ", ", ", ", subject ")),
    (" and the text ", (", ", ", text ", " saying ")),
    (" of ", (" ", " for ", ": ")),
    (" to ", (" ", ": ", " = ")),
    (" at ", (" ", ", ", " for ")),
    (" for ", (" ", ", ", " of ")),
    (" in ", (" ", ", ")),
)
