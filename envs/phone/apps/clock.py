"""Clock: alarms and a timer."""

from homeostat.envs.phone.effects import back, do, go, sql, toast
from homeostat.envs.phone.ui import App, Context, Screen, button, form_field, item, line, toggle

__all__ = ["Clock"]


class Clock(App):
    """The app: alarms by time, each with a label and a switch, and a timer in minutes."""

    name = "clock"
    colour = (150, 80, 30)
    first = "alarms"
    schema = """
        create table alarms (id integer primary key, time text not null, label text not null, state text not null);
        create table timer (minutes text not null, state text not null);
        insert into timer values ('5', 'off');
    """

    def alarms(self, ctx: Context) -> Screen:
        """Shows every alarm, by time."""
        rows = ctx.all("select id, time, state from alarms order by time, id")
        body = tuple(item(time, state, tap=go("alarm", id=i)) for i, time, state in rows)
        return Screen("alarms", body, (button("new", go("edit")), button("timer", go("timer"))))

    def alarm(self, ctx: Context) -> Screen:
        """Shows one alarm."""
        i = ctx.params["id"]
        time, label, state = ctx.one("select time, label, state from alarms where id = ?", i)
        flip = sql("update alarms set state = ? where id = ?", "off" if state == "on" else "on", i)
        body = (line("time", time), line("label", label), toggle("active", state == "on", flip))
        delete = do(sql("delete from alarms where id = ?", i), back(), toast("deleted"))
        return Screen(time, body, (button("edit", go("edit", id=i)), button("delete", delete)))

    def edit(self, ctx: Context) -> Screen:
        """Shows the form for a new or an existing alarm."""
        i = ctx.params.get("id")
        old = ("", "") if i is None else ctx.one("select time, label from alarms where id = ?", i)
        time, label = ctx.draft("time", old[0]), ctx.draft("label", old[1])
        if i is None:
            write = sql("insert into alarms (time, label, state) values (?, ?, 'on')", time, label)
        else:
            write = sql("update alarms set time = ?, label = ? where id = ?", time, label, i)
        save = do(write, back(), toast("saved"))
        fields = (form_field("time", time), form_field("label", label))
        return Screen("new alarm" if i is None else "edit", fields, (button("save", save),))

    def timer(self, ctx: Context) -> Screen:
        """Shows the timer."""
        old, state = ctx.one("select minutes, state from timer")
        minutes = ctx.draft("minutes", old)
        start = do(sql("update timer set minutes = ?, state = 'on'", minutes), toast("started"))
        stop = do(sql("update timer set state = 'off'"), toast("stopped"))
        body = (form_field("minutes", minutes), line("running", "yes" if state == "on" else "no"))
        return Screen("timer", body, (button("start", start), button("stop", stop)))
