"""Tasks: the tasks of the to-do list."""

from homeostat.envs.phone.apps.tasks import PRIORITIES
from homeostat.envs.phone.tasks.base import Slots, Template, World
from homeostat.envs.phone.tasks.common import ADD, DELETE, path, run

__all__ = ["TEMPLATES"]


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


TEMPLATES = (
    Template(
        "tasks_add",
        "tasks",
        ("add a task {title}", "create the task {title}", "put {title} on my list of tasks", "new task: {title}"),
        lambda w: {"title": w.fresh("title", "select title from tasks")},
        path({"tasks/list": "new", "tasks/edit": {"title": "{title}", "then": "save"}}, new=True),
        run("insert into tasks (title, done, level) values (?, 'off', 'normal')", "title"),
        tags=ADD,
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
)
