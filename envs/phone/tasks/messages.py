"""Messages: its tasks."""

from homeostat.envs.phone.tasks.base import Slots, Template, World
from homeostat.envs.phone.tasks.common import DELETE, SEND, path, run

__all__ = ["TEMPLATES"]


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
        tags=SEND,
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
        tags=SEND,
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
