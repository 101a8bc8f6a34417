"""Calendar: its tasks."""

from homeostat.envs.phone.apps.calendar import DAYS
from homeostat.envs.phone.tasks.base import Slots, Template, World
from homeostat.envs.phone.tasks.common import ADD, DELETE, path, run

__all__ = ["TEMPLATES"]


def _event(w: World) -> Slots:
    i, title, day, time = w.pick("select id, title, day, time from events")
    return {"_id": str(i), "title": title, "day": day, "time": time}


def _move(w: World) -> Slots:
    s = _event(w)
    return {**s, "day": w.rng.choice([d for d in DAYS if d != s["day"]])}


def _postpone(w: World) -> Slots:
    return {**_event(w), "time": w.fresh("time", "select time from events")}


TEMPLATES = (
    Template(
        "calendar_add",
        "calendar",
        (
            "add an event {title} on {day} at {time}",
            "schedule {title} for {day} {time}",
            "put {title} into the calendar on {day} at {time}",
            "new event: {title}, {day}, {time}",
        ),
        lambda w: {
            "title": w.fresh("title", "select title from events"),
            "day": w.rng.choice(DAYS),
            "time": w.words.time(),
        },
        path(
            {
                "calendar/list": "new",
                "calendar/edit": {"title": "{title}", "day": "{day}", "time": "{time}", "then": "save"},
            },
            new=True,
        ),
        run("insert into events (title, day, time) values (?, ?, ?)", "title", "day", "time"),
        tags=ADD,
    ),
    Template(
        "calendar_delete",
        "calendar",
        (
            "delete the event {title}",
            "remove {title} from the calendar",
            "cancel the event {title}",
            "erase the event {title}",
        ),
        _event,
        path({"calendar/list": "{title}", "calendar/event": "delete", "dialog:delete {title}": "delete"}),
        run("delete from events where id = ?", "_id"),
        tags=DELETE,
    ),
    Template(
        "calendar_read_day",
        "calendar",
        (
            "on which day is {title}?",
            "tell me the day of the event {title}",
            "what day is the event {title}?",
            "look up the day of {title} in the calendar",
        ),
        _event,
        path({"calendar/list": "{title}"}),
        at="calendar/event",
        answer=lambda s: s["day"],
    ),
    Template(
        "calendar_read_time",
        "calendar",
        (
            "at what time is {title}?",
            "tell me the time of the event {title}",
            "when does the event {title} start?",
            "look up the time of {title} in the calendar",
        ),
        _event,
        path({"calendar/list": "{title}"}),
        at="calendar/event",
        answer=lambda s: s["time"],
    ),
    Template(
        "calendar_move",
        "calendar",
        (
            "move the event {title} to {day}",
            "shift {title} to {day}",
            "the event {title} is on {day} now, change the day",
            "change the day of {title} to {day}",
        ),
        _move,
        path({"calendar/list": "{title}", "calendar/event": "day", "dialog:day": "{day}"}),
        run("update events set day = ? where id = ?", "day", "_id"),
    ),
    Template(
        "calendar_time",
        "calendar",
        (
            "change the time of {title} to {time}",
            "the event {title} starts at {time} now, change the time",
            "set the time of the event {title} to {time}",
            "event {title} at {time} instead",
        ),
        _postpone,
        path(
            {"calendar/list": "{title}", "calendar/event": "edit", "calendar/edit": {"time": "{time}", "then": "save"}},
            new=False,
        ),
        run("update events set time = ? where id = ?", "time", "_id"),
    ),
)
