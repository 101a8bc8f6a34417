"""Contacts: its tasks."""

from homeostat.envs.phone.tasks.base import Slots, Template, World
from homeostat.envs.phone.tasks.common import DELETE, path, run

__all__ = ["TEMPLATES"]


def _person(w: World) -> Slots:
    i, name, phone = w.pick("select id, name, phone from contacts")
    return {"_id": str(i), "name": name, "answer": phone}


def _new_person(w: World) -> Slots:
    return {"name": w.fresh("name", "select name from contacts"), "phone": w.words.phone()}


def _star(state: str) -> Template:
    def draw(w: World) -> Slots:
        i, name = w.pick("select id, name from contacts where star != ?", state)
        return {"_id": str(i), "name": name}

    goals = {
        "on": (
            "star {name}",
            "add a star to the contact {name}",
            "mark {name} with a star",
            "make {name} a starred contact",
        ),
        "off": (
            "unstar {name}",
            "take the star off the contact {name}",
            "remove the star from {name}",
            "{name} should have no star",
        ),
    }
    return Template(
        "contacts_star" if state == "on" else "contacts_unstar",
        "contacts",
        goals[state],
        draw,
        path({"contacts/list": "{name}", "contacts/person": "star"}),
        lambda s: [("update contacts set star = ? where id = ?", (state, s["_id"]))],
    )


TEMPLATES = (
    Template(
        "contacts_add",
        "contacts",
        (
            "add a contact named {name} with the number {phone}",
            "create a new contact: {name}, phone {phone}",
            "save {phone} as the number of {name} in a new contact",
            "new contact {name} {phone}",
        ),
        _new_person,
        path(
            {"contacts/list": "new", "contacts/edit": {"name": "{name}", "phone": "{phone}", "then": "save"}}, new=True
        ),
        run("insert into contacts (name, phone, star) values (?, ?, 'off')", "name", "phone"),
        tags=frozenset({"add"}),
    ),
    Template(
        "contacts_delete",
        "contacts",
        (
            "delete the contact {name}",
            "remove {name} from my contacts",
            "erase {name} from the contacts",
            "i no longer need the contact {name}, delete it",
        ),
        _person,
        path({"contacts/list": "{name}", "contacts/person": "delete", "dialog:delete {name}": "delete"}),
        run("delete from contacts where id = ?", "_id"),
        tags=DELETE,
    ),
    Template(
        "contacts_read_phone",
        "contacts",
        (
            "what is the phone number of {name}?",
            "tell me the number of {name}",
            "which number does {name} have?",
            "look up the phone number of {name}",
        ),
        _person,
        path({"contacts/list": "{name}"}),
        at="contacts/person",
        answer=lambda s: s["answer"],
    ),
    Template(
        "contacts_change_phone",
        "contacts",
        (
            "change the number of {name} to {phone}",
            "the contact {name} has a new number {phone}, update it",
            "set the phone of {name} to {phone}",
            "update {name}: the number is now {phone}",
        ),
        lambda w: {**_person(w), "phone": w.words.phone()},
        path(
            {
                "contacts/list": "{name}",
                "contacts/person": "edit",
                "contacts/edit": {"phone": "{phone}", "then": "save"},
            },
            new=False,
        ),
        run("update contacts set phone = ? where id = ?", "phone", "_id"),
    ),
    _star("on"),
    _star("off"),
)
