"""Files: a flat list of files and folders."""

from homeostat.envs.phone.effects import back, confirm, do, go, menu, sql, toast
from homeostat.envs.phone.ui import App, Context, Screen, button, form_field, item, line

__all__ = ["Files"]


class Files(App):
    """The app: files by name, each with a size and a star. A long press opens a menu of operations."""

    name = "files"
    colour = (90, 70, 150)
    schema = """create table files
        (id integer primary key, name text not null, size text not null, kind text not null, star text not null);"""

    def list(self, ctx: Context) -> Screen:
        """Shows all files and folders, the folders first."""
        body = []
        for i, name, kind, star in ctx.all("select id, name, kind, star from files order by kind = 'file', name, id"):
            flip = sql("update files set star = ? where id = ?", "no" if star == "yes" else "yes", i)
            gone = do(sql("delete from files where id = ?", i), toast("deleted"))
            options = (("unstar" if star == "yes" else "star", flip), ("rename", go("rename", id=i)))
            hold = menu(name, *options, ("delete", confirm(f"delete {name}", gone)))
            value = "dir" if kind == "folder" else "star" if star == "yes" else ""
            body.append(item(name, value, tap=go("info", id=i), hold=hold))
        return Screen("files", tuple(body), (button("folder", go("folder")),))

    def info(self, ctx: Context) -> Screen:
        """Shows one file."""
        i = ctx.params["id"]
        name, size, kind = ctx.one("select name, size, kind from files where id = ?", i)
        return Screen(name, (line("kind", kind), line("size", size)), (button("rename", go("rename", id=i)),))

    def rename(self, ctx: Context) -> Screen:
        """Shows the form for a new name."""
        i = ctx.params["id"]
        (old,) = ctx.one("select name from files where id = ?", i)
        name = ctx.draft("name", old)
        save = do(sql("update files set name = ? where id = ?", name, i), back(), toast("saved"))
        return Screen("rename", (form_field("name", name),), (button("save", save),))

    def folder(self, ctx: Context) -> Screen:
        """Shows the form for a new folder."""
        name = ctx.draft("name")
        save = do(
            sql("insert into files (name, size, kind, star) values (?, '0kb', 'folder', 'no')", name),
            back(),
            toast("saved"),
        )
        return Screen("new folder", (form_field("name", name),), (button("save", save),))
