"""Tasks: a to-do list with priorities."""

from homeostat.envs.phone.effects import back, confirm, do, go, menu, sql, toast
from homeostat.envs.phone.ui import App, Context, Screen, button, form_field, item, toggle

__all__ = ["PRIORITIES", "Tasks"]

PRIORITIES = ("low", "normal", "urgent")


class Tasks(App):
    """The app: tasks by title, open ones first."""

    name = "tasks"
    colour = (20, 120, 130)
    schema = (
        "create table tasks (id integer primary key, title text not null, done text not null, level text not null);"
    )

    def list(self, ctx: Context) -> Screen:
        """Shows every task, open ones first."""
        rows = ctx.all("select id, title, done from tasks order by done = 'on', title, id")
        body = tuple(item(t, "done" if d == "on" else "", tap=go("task", id=i)) for i, t, d in rows)
        return Screen("tasks", body, (button("new", go("edit")),))

    def task(self, ctx: Context) -> Screen:
        """Shows one task."""
        i = ctx.params["id"]
        title, done, level = ctx.one("select title, done, level from tasks where id = ?", i)
        flip = sql("update tasks set done = ? where id = ?", "off" if done == "on" else "on", i)
        rank = menu("level", *((p, sql("update tasks set level = ? where id = ?", p, i)) for p in PRIORITIES))
        gone = do(sql("delete from tasks where id = ?", i), back(), toast("deleted"))
        footer = (button("edit", go("edit", id=i)), button("delete", confirm(f"delete {title}", gone)))
        return Screen(title, (toggle("done", done == "on", flip), item("level", level, tap=rank)), footer)

    def edit(self, ctx: Context) -> Screen:
        """Shows the form for a new or an existing task."""
        i = ctx.params.get("id")
        old = "" if i is None else ctx.one("select title from tasks where id = ?", i)[0]
        title = ctx.draft("title", old)
        if i is None:
            write = sql("insert into tasks (title, done, level) values (?, 'off', 'normal')", title)
        else:
            write = sql("update tasks set title = ? where id = ?", title, i)
        save = do(write, back(), toast("saved"))
        return Screen("new task" if i is None else "edit", (form_field("title", title),), (button("save", save),))
