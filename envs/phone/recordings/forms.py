"""The forms of questions about recordings: the errands that a form needs, and how its answer follows from the facts.

A drawn form consists of its name, the errands that make a fitting recording, and a function that drafts the question,
the wrong options and the right option from a recording (None if the recording does not fit).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from homeostat.envs.phone.adversity import PopUps
from homeostat.envs.phone.env import PhoneEnv
from homeostat.envs.phone.recordings import facts
from homeostat.envs.phone.recordings.errands import Errands
from homeostat.envs.phone.recordings.phrasings import ask
from homeostat.envs.phone.recordings.record import FEWEST, MOST, Recording, record
from homeostat.envs.phone.tasks.words import Split

__all__ = ["QUESTION_KINDS", "Draft", "Form", "recording_of"]

# table -> the task that deletes a row, the noun for the rows, the column that a list shows
_LISTS = {
    "notes": ("notes_delete", "notes", "title"),
    "contacts": ("contacts_delete", "contacts", "name"),
    "tasks": ("tasks_delete", "tasks", "title"),
    "events": ("calendar_delete", "events", "title"),
    "files": ("files_delete", "files", "name"),
    "alarms": ("clock_delete_alarm", "alarms", "time"),
}
_ADDS = ("notes_add", "contacts_add", "tasks_add", "calendar_add", "messages_reply", "files_folder", "settings_rename")
_READS = {  # form -> task, screen, label ("": the text without a label), table and column of the wrong values
    "note said": ("notes_read", "notes/note", "", "notes", "body"),
    "number read": ("contacts_read_phone", "contacts/person", "phone", "contacts", "phone"),
    "price read": ("shop_read_price", "shop/product", "price", "products", "price"),
}
_QUIET = ("settings_turn_on", "settings_turn_off", "contacts_star", "tasks_complete", "shop_add", "clock_alarm_on")
_DIALOGS = {
    "held": ("files_star", "messages_mute", "notes_pin"),
    "button": ("contacts_delete", "tasks_delete", "calendar_delete"),
    "row": ("tasks_level", "calendar_move", "settings_volume", "settings_bright", "settings_tone"),
    "itself": (*_ADDS[:4], "clock_add_alarm"),
}
_ROWS = ("level", "day", "volume", "bright", "tone")

Draft = tuple[str, list[str], str]  # question, wrong options, right option
Form = tuple[str, Callable[[], Sequence[str]], Callable[[Recording], Draft | None]]


def recording_of(split: Split, rng: random.Random, names: Sequence[str], popups: float) -> Recording | None:
    """Records a sequence of errands on a new phone.

    Args:
        split: The vocabulary of the phone.
        rng: The random generator.
        names: The errands: names of atomic tasks or of apps.
        popups: The rate of pop-ups; 0 for none.

    Returns:
        The recording; None if an errand does not fit the phone or there are too few frames.
    """
    phone = PhoneEnv(task=None, split=split, adverts=0, apps="all", max_steps=MOST - 1)
    env = PopUps(phone, popups) if popups else phone
    env.reset_task(seed=rng.randrange(2**31))
    errands = Errands(names, rng)
    made = record(env, errands)
    return made if errands.done and len(made.frames) >= FEWEST else None


def _apps(rng: random.Random, n: int) -> list[str]:
    return rng.sample(sorted(PhoneEnv(task=None, apps="all").device.apps), n)


def _order(split: Split, rng: random.Random) -> Form:
    form = rng.choice(("first app", "last app", "next app", "app before"))

    def names() -> Sequence[str]:
        return _around(rng, _apps(rng, rng.randint(5, 8)), rng.sample(_QUIET, rng.randint(0, 1)))

    def draft(r: Recording) -> Draft | None:
        apps = facts.opened(r)
        if len(apps) < 3:
            return None
        if form in ("first app", "last app"):
            right, word = apps[0 if form == "first app" else -1], ""
        else:
            at = rng.randrange(1, len(apps) - 1)
            word = apps[at]
            right = apps[at + 1 if form == "next app" else at - 1]
        others = sorted(set(apps) - {right, word})
        if max(apps.count(word), apps.count(right)) > 1 or len(others) < 3:
            return None
        return ask(form, split, rng, app=word), rng.sample(others, 3), right

    return form, names, draft


def _opened(split: Split, rng: random.Random) -> Form:
    wanted, (app, *others) = rng.randint(1, 4), _apps(rng, 4)

    def names() -> Sequence[str]:
        between = [rng.choice(others) for _ in range(rng.randint(max(wanted, 4), 7))]
        places = rng.sample(range(len(between) + 1), wanted)
        for place in sorted(places, reverse=True):
            between.insert(place, app)
        return between

    def draft(r: Recording) -> Draft | None:
        if facts.opened(r).count(app) != wanted:
            return None
        return ask("times opened", split, rng, app=app), _numbers(wanted), str(wanted)

    return "times opened", names, draft


def _deleted(split: Split, rng: random.Random) -> Form:
    wanted, table = rng.randint(1, 4), rng.choice(list(_LISTS))
    task, items, _ = _LISTS[table]

    def names() -> Sequence[str]:
        more = rng.sample([d for d, *_ in _LISTS.values() if d != task], rng.randint(0, 1))
        quiet = rng.sample(_QUIET, rng.randint(0, 1) if wanted > 2 else rng.randint(1, 2))
        errands = [*[task] * wanted, *more, *quiet]
        rng.shuffle(errands)
        return errands

    def draft(r: Recording) -> Draft | None:
        if len(r.changes(table, "removed")) != wanted:
            return None
        return ask("times deleted", split, rng, items=items), _numbers(wanted), str(wanted)

    return "times deleted", names, draft


def _numbers(right: int) -> list[str]:
    return [str(n) for n in range(1, 5) if n != right]


def _typed(split: Split, rng: random.Random) -> Form:
    task = rng.choice(_ADDS)

    def draft(r: Recording) -> Draft | None:
        done = facts.typed(r)
        fields = [field for field, _, _ in done]
        once = [d for d in done if fields.count(d[0]) == 1 and d[2] is not None]
        if not once:
            return None
        field, text, change = rng.choice(once)
        assert change is not None
        assert change.after is not None
        name = next(k for k, v in change.after.items() if v == text)
        values = facts.column(r, change.table, name)
        return _pick(rng, ask("typed", split, rng, field=field), values, text)

    return "typed", lambda: _around(rng, [task], rng.sample(_QUIET, 2)), draft


def _alarm(split: Split, rng: random.Random) -> Form:
    task = rng.choice(("clock_add_alarm", "clock_change_alarm"))

    def draft(r: Recording) -> Draft | None:
        saved = [*r.changes("alarms", "added"), *r.changes("alarms", "changed")]
        if len(saved) != 1 or saved[0].after is None:
            return None
        return _pick(rng, ask("alarm", split, rng), facts.column(r, "alarms", "time"), saved[0].after["time"])

    quiet = [q for q in _QUIET if not q.startswith("clock")]
    return "alarm", lambda: _around(rng, [task], rng.sample(quiet, 2)), draft


def _read(split: Split, rng: random.Random) -> Form:
    form = rng.choice(list(_READS))
    task, screen, label, table, name = _READS[form]

    def draft(r: Recording) -> Draft | None:
        seen = [(title, pairs[label]) for title, pairs in facts.read(r, screen) if label in pairs]
        if len({title for title, _ in seen}) != len(seen) or not seen:
            return None
        title, text = rng.choice(seen)
        return _pick(rng, ask(form, split, rng, title=title), facts.column(r, table, name), text)

    quiet = [q for q in _QUIET if q.split("_")[0] != task.split("_")[0]]
    return form, lambda: _around(rng, [task] * rng.randint(1, 2), rng.sample(quiet, 2)), draft


def _shorter(split: Split, rng: random.Random) -> Form:
    table = rng.choice(list(_LISTS))
    task, items, name = _LISTS[table]

    def draft(r: Recording) -> Draft | None:
        gone = r.changes(table, "removed")
        if len(gone) != 1 or gone[0].before is None:
            return None
        titles = [f"{title} was deleted" for title in facts.column(r, table, name)]
        return _pick(rng, ask("shorter list", split, rng, items=items), titles, f"{gone[0].before[name]} was deleted")

    return "shorter list", lambda: _around(rng, [task], rng.sample(_QUIET, 2)), draft


def _dialog(split: Split, rng: random.Random) -> Form:
    wanted = rng.choice(list(_DIALOGS))

    def draft(r: Recording) -> Draft | None:
        found = facts.dialogs(r)
        if len(found) != 1 or found[0][0] != wanted:
            return None
        table, name = rng.choice((("files", "name"), ("chats", "name"), ("notes", "title")))
        words = {"held": rng.choice(r.start[table])[name], "button": "delete", "row": rng.choice(_ROWS)}
        words |= {wanted: found[0][1]}
        options = {
            "held": f"the row {words['held']} was held down",
            "button": f"the button {words['button']} was touched",
            "row": f"the row {words['row']} was touched",
            "itself": "nothing was touched for it, it came by itself",
        }
        return ask("dialog", split, rng), [o for k, o in options.items() if k != wanted], options[wanted]

    errands = rng.choice(_DIALOGS[wanted])
    return "dialog", lambda: _around(rng, [errands], rng.sample(_QUIET, 2)), draft


def _around(rng: random.Random, names: Sequence[str], quiet: Sequence[str]) -> list[str]:
    errands = [*names, *quiet]
    rng.shuffle(errands)
    return errands


def _pick(rng: random.Random, question: str, values: Sequence[str], right: str) -> Draft | None:
    """Returns a draft with three other values as wrong options; None if there are fewer than three."""
    others = [v for v in values if v != right and v]
    return (question, rng.sample(others, 3), right) if len(others) >= 3 else None


QUESTION_KINDS: dict[str, tuple[Callable[[Split, random.Random], Form], ...]] = {
    "order": (_order,),
    "count": (_opened, _deleted),
    "value": (_typed, _alarm, _read),
    "cause": (_shorter, _dialog),
}
