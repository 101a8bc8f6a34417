"""Contacts: people and their phone numbers."""

from homeostat.envs.phone.effects import back, confirm, do, go, sql, toast
from homeostat.envs.phone.ui import App, Context, Screen, button, form_field, item, line, toggle

__all__ = ["Contacts"]


class Contacts(App):
    """The app: people by name."""

    name = "contacts"
    colour = (40, 110, 170)
    schema = (
        "create table contacts (id integer primary key, name text not null, phone text not null, star text not null);"
    )

    def list(self, ctx: Context) -> Screen:
        """Shows every person, by name."""
        rows = ctx.all("select id, name from contacts order by name, id")
        return Screen("contacts", tuple(item(n, tap=go("person", id=i)) for i, n in rows), (button("new", go("edit")),))

    def person(self, ctx: Context) -> Screen:
        """Shows one person."""
        i = ctx.params["id"]
        name, phone, star = ctx.one("select name, phone, star from contacts where id = ?", i)
        flip = sql("update contacts set star = ? where id = ?", "off" if star == "on" else "on", i)
        gone = do(sql("delete from contacts where id = ?", i), back(), toast("deleted"))
        body = (line("phone", phone), toggle("star", star == "on", flip))
        return Screen(name, body, (button("edit", go("edit", id=i)), button("delete", confirm(f"delete {name}", gone))))

    def edit(self, ctx: Context) -> Screen:
        """Shows the form for a new or an existing person."""
        i = ctx.params.get("id")
        old = ("", "") if i is None else ctx.one("select name, phone from contacts where id = ?", i)
        name, phone = ctx.draft("name", old[0]), ctx.draft("phone", old[1])
        if i is None:
            write = sql("insert into contacts (name, phone, star) values (?, ?, 'off')", name, phone)
        else:
            write = sql("update contacts set name = ?, phone = ? where id = ?", name, phone, i)
        save = do(write, back(), toast("saved"))
        fields = (form_field("name", name), form_field("phone", phone))
        return Screen("new person" if i is None else "edit", fields, (button("save", save),))
