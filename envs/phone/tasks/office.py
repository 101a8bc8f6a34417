"""Tasks in notes, tasks and calendar."""

from homeostat.envs.phone.apps.calendar import DAYS
from homeostat.envs.phone.apps.tasks import PRIORITIES
from homeostat.envs.phone.tasks.base import Slots, Template, World
from homeostat.envs.phone.tasks.common import DELETE, path, run

__all__ = ["TEMPLATES"]

_ADD = frozenset({"add"})


def _note(w: World) -> Slots:
    i, title, body = w.pick("select id, title, body from notes")
    return {"_id": str(i), "title": title, "answer": body}


def _pin(pinned: str) -> Template:
    def draw(w: World) -> Slots:
        i, title = w.pick("select id, title from notes where pinned != ?", pinned)
        return {"_id": str(i), "title": title}

    verb = "pin" if pinned == "yes" else "unpin"
    return Template(
        f"notes_{verb}",
        "notes",
        (
            f"{verb} the note {{title}}",
            f"please {verb} my note {{title}}",
            f"the note {{title}} should be set to {verb}",
            f"{verb} note {{title}}",
        ),
        draw,
        path({"notes/list": ("hold", "{title}"), "dialog:{title}": verb}),
        lambda s: [("update notes set pinned = ? where id = ?", (pinned, s["_id"]))],
    )


def _mark(done: str) -> Template:
    def draw(w: World) -> Slots:
        i, title = w.pick("select id, title from tasks where done != ?", done)
        return {"_id": str(i), "title": title}

    goals = {
        "on": (
            "mark the task {title} as done",
            "tick off the task {title}",
            "complete the task {title}",
            "i finished the task {title}, mark it",
        ),
        "off": (
            "mark the task {title} as not done",
            "reopen the task {title}",
            "untick the task {title}",
            "the task {title} is open again, mark it",
        ),
    }
    return Template(
        "tasks_complete" if done == "on" else "tasks_reopen",
        "tasks",
        goals[done],
        draw,
        path({"tasks/list": "{title}", "tasks/task": "done"}),
        lambda s: [("update tasks set done = ? where id = ?", (done, s["_id"]))],
    )


def _level(w: World) -> Slots:
    i, title, level = w.pick("select id, title, level from tasks")
    return {"_id": str(i), "title": title, "level": w.rng.choice([p for p in PRIORITIES if p != level])}


def _any_task(w: World) -> Slots:
    i, title, level = w.pick("select id, title, level from tasks")
    return {"_id": str(i), "title": title, "answer": level}


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
        "notes_add",
        "notes",
        (
            "create a note titled {title} saying {text}",
            "add a note {title} with the text {text}",
            "write a new note: title {title}, text {text}",
            "new note called {title} that says {text}",
        ),
        lambda w: {"title": w.fresh("title", "select title from notes"), "text": w.words.phrase()},
        path({"notes/list": "new", "notes/edit": {"title": "{title}", "text": "{text}", "then": "save"}}, new=True),
        run("insert into notes (title, body, pinned) values (?, ?, 'no')", "title", "text"),
        tags=_ADD,
        carry="text",
    ),
    Template(
        "notes_delete",
        "notes",
        (
            "delete the note {title}",
            "remove my note {title}",
            "erase the note called {title}",
            "throw the note {title} away",
        ),
        _note,
        path({"notes/list": "{title}", "notes/note": "delete", "dialog:delete {title}": "delete"}),
        run("delete from notes where id = ?", "_id"),
        tags=DELETE,
    ),
    Template(
        "notes_read",
        "notes",
        (
            "what does the note {title} say?",
            "read me the note {title}",
            "tell me the text of the note {title}",
            "what is in my note {title}?",
        ),
        _note,
        path({"notes/list": "{title}"}),
        at="notes/note",
        answer=lambda s: s["answer"],
    ),
    Template(
        "notes_edit",
        "notes",
        (
            "change the text of the note {title} to {text}",
            "edit the note {title} so that it says {text}",
            "the note {title} should say {text}",
            "update my note {title}: {text}",
        ),
        lambda w: {**_note(w), "text": w.words.phrase()},
        path(
            {"notes/list": "{title}", "notes/note": "edit", "notes/edit": {"text": "{text}", "then": "save"}}, new=False
        ),
        run("update notes set body = ? where id = ?", "text", "_id"),
        carry="text",
    ),
    _pin("yes"),
    _pin("no"),
    Template(
        "tasks_add",
        "tasks",
        ("add a task {title}", "create the task {title}", "put {title} on my list of tasks", "new task: {title}"),
        lambda w: {"title": w.fresh("title", "select title from tasks")},
        path({"tasks/list": "new", "tasks/edit": {"title": "{title}", "then": "save"}}, new=True),
        run("insert into tasks (title, done, level) values (?, 'off', 'normal')", "title"),
        tags=_ADD,
        carry="title",
    ),
    _mark("on"),
    _mark("off"),
    Template(
        "tasks_delete",
        "tasks",
        ("delete the task {title}", "remove {title} from my tasks", "erase the task {title}", "drop the task {title}"),
        _any_task,
        path({"tasks/list": "{title}", "tasks/task": "delete", "dialog:delete {title}": "delete"}),
        run("delete from tasks where id = ?", "_id"),
        tags=DELETE,
    ),
    Template(
        "tasks_level",
        "tasks",
        (
            "set the level of the task {title} to {level}",
            "make the task {title} {level}",
            "the task {title} is {level}, change its level",
            "change the task {title} to level {level}",
        ),
        _level,
        path({"tasks/list": "{title}", "tasks/task": "level", "dialog:level": "{level}"}),
        run("update tasks set level = ? where id = ?", "level", "_id"),
    ),
    Template(
        "tasks_read_level",
        "tasks",
        (
            "what level has the task {title}?",
            "tell me the level of the task {title}",
            "which level is the task {title}?",
            "look up the level of the task {title}",
        ),
        _any_task,
        path({"tasks/list": "{title}"}),
        at="tasks/task",
        answer=lambda s: s["answer"],
    ),
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
        tags=_ADD,
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
