"""Tasks in contacts and messages."""

from homeostat.envs.phone.tasks.base import Slots, Template, World
from homeostat.envs.phone.tasks.common import DELETE, path, run

__all__ = ["TEMPLATES"]

_SEND = frozenset({"send"})


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


def _chat(w: World) -> Slots:
    (name,) = w.pick("select name from chats")
    return {"_id": name, "name": name}


def _mute(muted: str) -> Template:
    def draw(w: World) -> Slots:
        (name,) = w.pick("select name from chats where muted != ?", muted)
        return {"_id": name, "name": name}

    verb = "mute" if muted == "yes" else "unmute"
    return Template(
        f"messages_{verb}",
        "messages",
        (
            f"{verb} the chat with {{name}}",
            f"{verb} {{name}}",
            f"please {verb} messages from {{name}}",
            f"set the chat with {{name}} to {verb}",
        ),
        draw,
        path({"messages/list": ("hold", "{name}"), "dialog:{name}": verb}),
        lambda s: [("update chats set muted = ? where name = ?", (muted, s["name"]))],
    )


def _last(w: World) -> Slots:
    name, text = w.pick(
        "select chat, text from messages m where id = (select max(id) from messages where chat = m.chat) and who = chat"
    )
    return {"_id": name, "name": name, "answer": text}


def _reply(w: World) -> Slots:
    return {**_chat(w), "text": w.words.phrase()}


def _compose(w: World) -> Slots:
    return {"name": w.fresh("name", "select name from chats"), "text": w.words.phrase()}


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
    Template(
        "messages_reply",
        "messages",
        (
            "write {text} to {name}",
            "reply {text} to {name}",
            "answer the chat of {name} with {text}",
            "tell {name} in the chat: {text}",
        ),
        _reply,
        path({"messages/list": "{name}", "messages/chat": {"text": "{text}", "then": "send"}}),
        run("insert into messages (chat, who, text) values (?, 'me', ?)", "name", "text"),
        tags=_SEND,
        carry="text",
    ),
    Template(
        "messages_compose",
        "messages",
        (
            "start a new chat with {name} saying {text}",
            "open a new chat to {name} and send {text}",
            "new chat: {name}, text {text}",
            "begin a chat with {name}: {text}",
        ),
        _compose,
        path({"messages/list": "new", "messages/compose": {"to": "{name}", "text": "{text}", "then": "send"}}),
        lambda s: [
            ("insert into chats values (?, 'no')", (s["name"],)),
            ("insert into messages (chat, who, text) values (?, 'me', ?)", (s["name"], s["text"])),
        ],
        tags=_SEND,
        carry="text",
    ),
    Template(
        "messages_read_last",
        "messages",
        (
            "what did {name} write last?",
            "read me the last message from {name}",
            "tell me what {name} wrote last",
            "what is the newest message of {name}?",
        ),
        _last,
        path({"messages/list": "{name}"}),
        at="messages/chat",
        answer=lambda s: s["answer"],
    ),
    Template(
        "messages_delete",
        "messages",
        (
            "delete the chat with {name}",
            "remove the chat of {name}",
            "erase my chat with {name}",
            "the chat with {name} can go, delete it",
        ),
        _chat,
        path({"messages/list": ("hold", "{name}"), "dialog:{name}": "delete", "dialog:delete {name}": "delete"}),
        lambda s: [
            ("delete from chats where name = ?", (s["name"],)),
            ("delete from messages where chat = ?", (s["name"],)),
        ],
        tags=DELETE,
    ),
    _mute("yes"),
    _mute("no"),
)
