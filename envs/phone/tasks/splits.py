"""The split of the atomic templates into training and held-out templates. The split was drawn by lot under two rules.

A held-out template combines what training shows separately. Therefore (a) every word of its phrasings, except words
drawn for the phone, occurs in a training phrasing, and (b) its family (delete, read, switch on, …) has training
templates in at least two other apps. At most a third of an app's templates, rounded down, are held out.
``tests/envs/test_phone_splits.py`` checks these rules. The names below are final: a template that is added later
belongs to training.
"""

from __future__ import annotations

import re
from typing import Literal

from homeostat.envs.phone.tasks import TEMPLATES
from homeostat.envs.phone.tasks.base import Template

__all__ = ["HELD_OUT", "family", "goal_words", "templates_of"]

HELD_OUT: dict[Literal["dev", "test"], tuple[str, ...]] = {
    "dev": (
        "messages_delete",
        "clock_alarm_off",
        "browser_count_marks",
        "calculator_clear_memory",
        "gallery_rename",
        "gallery_choose_album",
        "mail_star",
        "maps_read_road",
        "maps_read_kind",
        "music_delete_list",
        "music_shuffle_off",
        "recorder_choose_tag",
        "recorder_quality",
        "weather_alerts_off",
        "weather_read_home",
    ),
    "test": (
        "contacts_read_phone",
        "contacts_change_phone",
        "notes_read",
        "tasks_add",
        "tasks_read_level",
        "calendar_delete",
        "calendar_read_day",
        "clock_change_alarm",
        "browser_read_address",
        "browser_address_fact",
        "browser_forget",
        "camera_photo",
        "camera_soft_portrait",
        "camera_timer",
        "camera_flash_off",
        "drawing_pen",
        "expenses_add",
        "expenses_rename",
        "expenses_budget",
        "gallery_read_day",
        "mail_delete",
        "mail_read_text",
        "mail_read_archived",
        "maps_delete",
        "music_like",
        "music_read_song",
        "recipes_rename",
        "recipes_read_minutes",
        "recipes_add_item",
        "recorder_keep",
    ),
}

_FAMILIES = {  # the first pattern that matches the name after the app's prefix decides
    "read": "read_|read$|count|last$|.*_fact",
    "delete": "delete|remove$|forget|erase",
    "clear": "clear",
    "rename": "rename",
    "switch off": "turn_off|.*_off$|un(star|pin|like|favourite|mark|mute)|release|reopen|pause|stop",
    "switch on": "turn_on|.*_on$|star$|pin$|like$|favourite|mark$|mute$|keep$|unread|complete|start|resume|play",
    "add": "add|folder|new_|save|take|photo|video|portrait|flash_photo|soft_portrait|record$",
    "choose": "choose_|mode|timer$|tone|bright|volume|timeout|level|move|pen|unit|quality|paint",
    "change": "change_|edit|time$|home|budget",
    "write": "reply|compose|write|forward",
    "open": "open|follow|address",
}


def family(name: str) -> str:
    """Returns what a template does, regardless of the app: ``notes_delete`` and ``mail_delete`` belong to one family.

    Args:
        name: The template's name.

    Returns:
        The family's name.
    """
    if name == "mail_read":  # this task marks a mail as read
        return "switch off"
    done = name.partition("_")[2]
    return next((f for f, ends in _FAMILIES.items() if re.match(ends, done)), done)


def goal_words(template: Template) -> set[str]:
    """Returns the words of a template's phrasings, without its slots.

    Args:
        template: The template.

    Returns:
        The words.
    """
    return {w for goal in template.goals for w in re.findall(r"[a-z]+", re.sub(r"\{\w*\}", " ", goal.lower()))}


def templates_of(split: Literal["train", "dev", "test"]) -> dict[str, Template]:
    """Returns the templates of a split.

    Args:
        split: The split.

    Returns:
        The templates by name, in the order of :data:`~homeostat.envs.phone.tasks.TEMPLATES`.
    """
    held = {name for names in HELD_OUT.values() for name in names}
    return {n: t for n, t in TEMPLATES.items() if (n not in held if split == "train" else n in HELD_OUT[split])}
