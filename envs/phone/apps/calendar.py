"""Calendar: the events of one week."""

from homeostat.envs.phone.effects import back, confirm, do, go, menu, sql, toast
from homeostat.envs.phone.ui import App, Context, Screen, button, form_field, item, line

__all__ = ["DAYS", "Calendar"]

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_ORDER = "case day " + " ".join(f"when '{d}' then {i}" for i, d in enumerate(DAYS)) + " end"


class Calendar(App):
    """The app: events by day and time."""

    name = "calendar"
    colour = (150, 40, 60)
    schema = """create table events
        (id integer primary key, title text not null, day text not null, time text not null);"""

    def list(self, ctx: Context) -> Screen:
        """Shows the events of the week."""
        rows = ctx.all(f"select id, title, time from events order by {_ORDER}, time, id")
        body = tuple(item(title, tap=go("event", id=i)) for i, title, _ in rows)
        return Screen("calendar", body, (button("new", go("edit")),))

    def event(self, ctx: Context) -> Screen:
        """Shows one event."""
        i = ctx.params["id"]
        title, day, time = ctx.one("select title, day, time from events where id = ?", i)
        gone = do(sql("delete from events where id = ?", i), back(), toast("deleted"))
        move = menu("day", *((d, sql("update events set day = ? where id = ?", d, i)) for d in DAYS))
        footer = (button("edit", go("edit", id=i)), button("delete", confirm(f"delete {title}", gone)))
        return Screen(title, (item("day", day, tap=move), line("time", time)), footer)

    def edit(self, ctx: Context) -> Screen:
        """Shows the form for a new or an existing event."""
        i = ctx.params.get("id")
        old = ("", "", "") if i is None else ctx.one("select title, day, time from events where id = ?", i)
        title, day, time = ctx.draft("title", old[0]), ctx.draft("day", old[1]), ctx.draft("time", old[2])
        if i is None:
            write = sql("insert into events (title, day, time) values (?, ?, ?)", title, day, time)
        else:
            write = sql("update events set title = ?, day = ?, time = ? where id = ?", title, day, time, i)
        save = do(write, back(), toast("saved"))
        fields = (form_field("title", title), form_field("day", day), form_field("time", time))
        return Screen("new event" if i is None else "edit", fields, (button("save", save),))
