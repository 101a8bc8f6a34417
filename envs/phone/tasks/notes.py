"""Notes: its tasks."""

from homeostat.envs.phone.tasks.base import Slots, Template, World
from homeostat.envs.phone.tasks.common import ADD, DELETE, path, run

__all__ = ["TEMPLATES"]


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
        tags=ADD,
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
)
