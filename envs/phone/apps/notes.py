"""Notes: titles and texts, some of them pinned."""

from homeostat.envs.phone.effects import back, confirm, do, go, menu, sql, toast
from homeostat.envs.phone.ui import App, Context, Screen, button, form_field, item, line

__all__ = ["Notes"]


class Notes(App):
    """The app: notes by title."""

    name = "notes"
    colour = (176, 132, 10)
    schema = (
        "create table notes (id integer primary key, title text not null, body text not null, pinned text not null);"
    )

    def list(self, ctx: Context) -> Screen:
        """Shows every note, the pinned ones first."""
        rows = ctx.all("select id, title, pinned from notes order by pinned = 'no', title, id")
        body = []
        for i, title, pinned in rows:
            pin = sql("update notes set pinned = ? where id = ?", "no" if pinned == "yes" else "yes", i)
            delete = confirm(f"delete {title}", do(sql("delete from notes where id = ?", i), toast("deleted")))
            hold = menu(title, ("unpin" if pinned == "yes" else "pin", pin), ("delete", delete))
            body.append(item(title, "pin" if pinned == "yes" else "", tap=go("note", id=i), hold=hold))
        return Screen("notes", tuple(body), (button("new", go("edit")),))

    def note(self, ctx: Context) -> Screen:
        """Shows one note."""
        i = ctx.params["id"]
        title, body = ctx.one("select title, body from notes where id = ?", i)
        delete = confirm(f"delete {title}", do(sql("delete from notes where id = ?", i), back(), toast("deleted")))
        return Screen(title, (line(body),), (button("edit", go("edit", id=i)), button("delete", delete)))

    def edit(self, ctx: Context) -> Screen:
        """Shows the form for a new or an existing note."""
        i = ctx.params.get("id")
        old = ("", "") if i is None else ctx.one("select title, body from notes where id = ?", i)
        title, body = ctx.draft("title", old[0]), ctx.draft("text", old[1])
        if i is None:
            write = sql("insert into notes (title, body, pinned) values (?, ?, 'no')", title, body)
        else:
            write = sql("update notes set title = ?, body = ? where id = ?", title, body, i)
        save = do(write, back(), toast("saved"))
        fields = (form_field("title", title), form_field("text", body))
        return Screen("new note" if i is None else "edit", fields, (button("save", save),))
