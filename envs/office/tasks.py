"""The office's tasks: seven questions about something that a tool shows, and five requests to pass it on."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from homeostat.actions import Call
from homeostat.envs.office.tools import READERS
from homeostat.envs.office.words import NAMES
from homeostat.envs.office.world import Record, Shelf, World
from homeostat.envs.tools.tasks import Outcome
from homeostat.errors import UnknownName

__all__ = ["KINDS", "Errand", "Split", "draw_errand", "says", "task_kind", "task_names"]

Split = Literal["train", "dev", "test"]
Wordings = Mapping[Split, tuple[str, ...]]

_QUESTIONS: dict[Shelf, Wordings] = {
    "mail": {
        "train": ("What is the door code in the mail from {key}?", "{key} mailed me the door code. What is it?"),
        "dev": ("Tell me the door code that {key} sent me by mail.",),
        "test": ("Which door code did {key} write in the mail?", "Look up the door code in the mail from {key}."),
    },
    "agenda": {
        "train": ("When does the {what} on {key} begin?", "What time is the {what} on {key}?"),
        "dev": ("Tell me the time of the {what} on {key}.",),
        "test": ("At what time is my {what} on {key}?", "Look up when the {what} on {key} starts."),
    },
    "contact": {
        "train": ("What is the phone number of {key}?", "Give me the phone number of {key}."),
        "dev": ("Tell me how I can reach {key} by phone.",),
        "test": ("Which phone number does {key} have?", "Look up the phone number of {key}."),
    },
    "note": {
        "train": ("What is the PIN in my note '{key}'?", "Give me the PIN from the note '{key}'."),
        "dev": ("Tell me the PIN that my note '{key}' holds.",),
        "test": ("Which PIN is in the note '{key}'?", "Look up the PIN in my note '{key}'."),
    },
    "file": {
        "train": ("What is the budget in the file {key}?", "How many euros is the budget in {key}?"),
        "dev": ("Tell me the budget that the file {key} states.",),
        "test": ("Which budget does the file {key} give?", "Look up the budget in the file {key}."),
    },
    "page": {
        "train": ("What is the closing time on {key}?", "When does the shop of {key} close?"),
        "dev": ("Tell me the closing time that {key} shows.",),
        "test": ("Which closing time does the page {key} give?", "Look up the closing time on {key}."),
    },
    "order": {
        "train": ("What did I order with order number {key}?", "Which product is order {key}?"),
        "dev": ("Tell me the product of order {key}.",),
        "test": ("What product is in order {key}?", "Look up which product order {key} is."),
    },
}
_MAILED: Wordings = {
    "train": ("{ask} Send the answer to {friend} by mail.",),
    "dev": ("{ask} Mail it to {friend}.",),
    "test": ("{ask} Write the answer to {friend} in a mail.", "{ask} Then send it to {friend} by mail."),
}
_LISTED: Wordings = {
    "train": ("{ask} Add the answer to my to-do list.",),
    "dev": ("{ask} Put it on my to-do list.",),
    "test": ("{ask} Write the answer on my to-do list.", "{ask} Then add it to the to-do list."),
}
_PASSED: dict[str, tuple[Shelf, Wordings]] = {
    "note_to_mail": ("note", _MAILED),
    "contact_to_mail": ("contact", _MAILED),
    "file_to_mail": ("file", _MAILED),
    "agenda_to_todo": ("agenda", _LISTED),
    "page_to_todo": ("page", _LISTED),
}
KINDS: tuple[str, ...] = (*(f"{shelf}_fact" for shelf in _QUESTIONS), *_PASSED)
"""The tasks' names."""


@dataclass(frozen=True)
class Errand:
    """One task in one office.

    Attributes:
        goal: The user's request.
        record: What has to be read.
        solution: Calls that solve it, and last the answer.
        done: Tells from the outcome whether it is done. An answer in words has to hold the fact as a whole word; where
            the fact is to be passed on, the mail or the entry has to hold it.
    """

    goal: str
    record: Record
    solution: tuple[Call | str, ...]
    done: Callable[[Outcome], bool]


def task_names() -> tuple[str, ...]:
    """Returns the names of the tasks."""
    return KINDS


def task_kind(task: str) -> str:
    """Returns what a task reads.

    Args:
        task: The task's name.

    Returns:
        ``mail``, ``agenda``, ``contact``, ``note``, ``file``, ``page`` or ``order``.
    """
    return task.partition("_")[0]


def draw_errand(task: str, world: World, split: Split, rng: random.Random) -> Errand:
    """Draws a task in an office.

    Args:
        task: The task's name.
        world: The office.
        split: Whose wordings are used.
        rng: The source of all draws.

    Returns:
        The task.

    Raises:
        UnknownName: There is no such task.
    """
    if task not in KINDS:
        raise UnknownName.of("task", task, KINDS)
    errand = _PASSED.get(task)
    passed = errand[1] if errand is not None else None
    shelf = errand[0] if errand is not None else next(s for s in _QUESTIONS if task == f"{s}_fact")
    record = rng.choice([r for r in world.records if r.shelf == shelf])
    ask = rng.choice(_QUESTIONS[shelf][split]).format(key=record.key, what=record.what)
    reader, argument = READERS[shelf]
    read = Call(tool=reader, arguments={argument: record.key})
    told = f"The {record.what} is {record.fact}."
    if passed is None:
        return Errand(ask, record, (read, told), lambda outcome: says(outcome.answer, record.fact))
    friend = rng.choice([n for n in NAMES if n not in {r.key for r in world.records}])
    goal = rng.choice(passed[split]).format(ask=ask, friend=friend)
    if passed is _MAILED:
        passing = Call(tool="send_mail", arguments={"to": friend, "text": told})
        return Errand(goal, record, (read, passing, told), lambda _: _mailed(world, friend, record.fact))
    passing = Call(tool="add_todo", arguments={"text": told})
    return Errand(goal, record, (read, passing, told), lambda _: _listed(world, record.fact))


def says(text: str, fact: str) -> bool:
    """Whether a text holds a fact as a whole word.

    Args:
        text: The text.
        fact: The fact.

    Returns:
        True if it does; case is ignored.
    """
    return re.search(rf"(?<![\w-]){re.escape(fact)}(?![\w-])", text, re.I) is not None


def _mailed(world: World, friend: str, fact: str) -> bool:
    sent = [effect for effect in world.effects if effect[0] == "send_mail"]
    return any(says(to, friend) and says(text, fact) for _, to, text in sent)


def _listed(world: World, fact: str) -> bool:
    return any(effect[0] == "add_todo" and says(effect[1], fact) for effect in world.effects)
