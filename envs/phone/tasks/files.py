"""Files: the tasks of files and folders."""

from homeostat.envs.phone.tasks.base import Slots, Template, World
from homeostat.envs.phone.tasks.common import ADD, DELETE, path, run

__all__ = ["TEMPLATES"]


def _file(w: World) -> Slots:
    i, name, size = w.pick("select id, name, size from files where kind = 'file'")
    return {"_id": str(i), "name": name, "answer": size}


def _file_star(star: str) -> Template:
    def draw(w: World) -> Slots:
        i, name = w.pick("select id, name from files where star != ? and kind = 'file'", star)
        return {"_id": str(i), "name": name}

    verb = "star" if star == "yes" else "unstar"
    return Template(
        f"files_{verb}",
        "files",
        (
            f"{verb} the file {{name}}",
            f"{verb} {{name}} in files",
            f"please {verb} my file {{name}}",
            f"the file {{name}} should be set to {verb}",
        ),
        draw,
        path({"files/list": ("hold", "{name}"), "dialog:{name}": verb}),
        lambda s: [("update files set star = ? where id = ?", (star, s["_id"]))],
    )


def _rename_file(w: World) -> Slots:
    return {**_file(w), "other": w.fresh("noun", "select name from files")}


TEMPLATES = (
    Template(
        "files_delete",
        "files",
        (
            "delete the file {name}",
            "remove {name} from files",
            "erase the file {name}",
            "the file {name} can go, delete it",
        ),
        _file,
        path({"files/list": ("hold", "{name}"), "dialog:{name}": "delete", "dialog:delete {name}": "delete"}),
        run("delete from files where id = ?", "_id"),
        tags=DELETE,
    ),
    Template(
        "files_rename",
        "files",
        (
            "rename the file {name} to {other}",
            "change the name of the file {name} to {other}",
            "call the file {name} {other} from now on",
            "give the file {name} the name {other}",
        ),
        _rename_file,
        path({"files/list": "{name}", "files/info": "rename", "files/rename": {"name": "{other}", "then": "save"}}),
        run("update files set name = ? where id = ?", "other", "_id"),
    ),
    Template(
        "files_folder",
        "files",
        (
            "create a folder {name}",
            "make a new folder called {name}",
            "add the folder {name} to files",
            "new folder {name}",
        ),
        lambda w: {"name": w.fresh("noun", "select name from files")},
        path({"files/list": "folder", "files/folder": {"name": "{name}", "then": "save"}}),
        run("insert into files (name, size, kind, star) values (?, '0kb', 'folder', 'no')", "name"),
        tags=ADD,
    ),
    Template(
        "files_read_size",
        "files",
        (
            "how big is the file {name}?",
            "what is the size of the file {name}?",
            "tell me the size of the file {name}",
            "look up the size of the file {name}",
        ),
        _file,
        path({"files/list": "{name}"}),
        at="files/info",
        answer=lambda s: s["answer"],
    ),
    _file_star("yes"),
    _file_star("no"),
)
