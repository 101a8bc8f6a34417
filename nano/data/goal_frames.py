"""Fixed wording that training goals are put together from: lists, openings, conditions and the words between subtasks.

These texts are training data: a changed word changes what the embedded model and its vocabulary are trained on. None
of the wording of the hundred compositional templates in ``homeostat.envs.phone.tasks.composed`` appears here, because
those templates are for testing.
"""

from __future__ import annotations

__all__ = [
    "ABOVE",
    "ALL",
    "BOTH",
    "COUNTED",
    "FIRST",
    "FRAMES",
    "IDLE",
    "LAST",
    "LISTS",
    "LOOKS",
    "NUMBERS",
    "OPENERS",
    "POLITE",
    "SAID",
    "THEN",
    "WHETHER",
]

LISTS = (", then ", "; then ", ", after that ", ". then ", ", and ", "; ", ". ")
LAST = (", last ", ", next ", ", and then ", ", and ", " and ", "; at last ", ", finally ", ". then ")
FIRST = ("", "", "", "first ", "now ", "next ", "please ", "i want three things: ")
OPENERS = (": ", ". ", ", ", "; ")
COUNTED = ("do {n} things{s}", "{n} things{s}", "please do {n} things{s}", "{n} small jobs{s}")
NUMBERS = {2: "two", 3: "three", 4: "four"}
BOTH = (
    "{list}{s}{verb} both",
    "{verb} both{s}{list}",
    "{verb} these{s}{list}",
    "i no longer need {list}, {verb} them",
)
ALL = ("{list}{s}{verb} all of them", "{verb} these{s}{list}", "{list}{s}{verb} them all")
POLITE = ("i want to {g}", "can you {g}", "please {g}", "i need to {g}", "{g} please")
SAID = ("the answer", "it", "that", "this")
LOOKS = ("{a}", "find out {n}", "look up {n}", "see {n}", "check {n}")
IDLE = (
    *("before", "after", "i", "am", "my", "we", "for", "the", "a", "day", "week", "party", "trip", "work", "job"),
    *("morning", "evening", "tonight", "tomorrow", "new", "home", "at", "house", "guests", "travel", "plan", "busy"),
    *("it", "is", "time", "when", "this", "on", "holiday", "go", "away", "kids", "to", "with", "quick", "list"),
)
THEN = (" and ", ", then ", ". then ", "; after that ", ", and then ")
WHETHER = (
    "if {v} is {w} {a}, otherwise {b}",
    "if {v} is {w}, {a}, if not {b}",
    "{a} if {v} is {w}, else {b}",
    "when {v} is {w} {a}, if it is not {b}",
    "should {v} be {w} then {a}, otherwise {b}",
)
ABOVE = (
    "if {v} is above {w} {a}, otherwise {b}",
    "if {v} is more than {w}, {a}, if not {b}",
    "{a} if {v} is over {w}, else {b}",
)
FRAMES = (
    *COUNTED,
    *NUMBERS.values(),
    *BOTH,
    *ALL,
    *POLITE,
    *LISTS,
    *LAST,
    *FIRST,
    *SAID,
    *LOOKS,
    *THEN,
    *WHETHER,
    *ABOVE,
)
"""The frames whose words the vocabulary holds as single tokens (``IDLE`` is not among them)."""
