"""Mail: its content and its tasks."""

from __future__ import annotations

import sqlite3

from homeostat.envs.phone.apps.mail import BOXES, Mail
from homeostat.envs.phone.tasks.base import Slots, Template, World
from homeostat.envs.phone.tasks.common import SEND, path, run
from homeostat.envs.phone.tasks.thing import Thing
from homeostat.envs.phone.tasks.verbs import delete, read, switch, tell
from homeostat.envs.phone.tasks.words import Words

__all__ = ["TEMPLATES", "fill"]

_MAIL = Thing(Mail(), ("the mail {subject}", "the mail called {subject}", "my mail {subject}"), "filed = 'inbox'")
_SENT = "insert into mails (subject, receiver, text) values (?, ?, ?)"
_OPEN_BOX = {"mail/list": "boxes", "mail/boxes": "{filed}", "mail/box": "{subject}"}


def fill(db: sqlite3.Connection, w: Words) -> None:
    """Fills every mailbox. All subjects differ."""
    rng = w.rng
    sizes = {"inbox": rng.randint(3, 10), "archive": rng.randint(1, 6), "sent": rng.randint(1, 6)}
    boxes = [box for box, n in sizes.items() for _ in range(n)]
    mails = []
    for subject, box in zip(w.some("title", len(boxes)), boxes, strict=True):
        sender, receiver = ("me", w.name()) if box == "sent" else (w.name(), "me")
        unread = rng.choice(("on", "off")) if box == "inbox" else "off"
        mails.append((subject, sender, receiver, w.phrase(), rng.choice(("on", "off", "off")), unread, box))
    rng.shuffle(mails)
    db.executemany(
        "insert into mails (subject, sender, receiver, text, starred, unread, filed) values (?, ?, ?, ?, ?, ?, ?)",
        mails,
    )


def _elsewhere(w: World, box: str, column: str) -> Slots:
    """Draws a mail from a mailbox other than the inbox."""
    i, subject, value = w.pick(f"select id, subject, {column} from mails where filed = ?", box)
    return {"_id": str(i), "subject": subject, "filed": box, "answer": value}


def _count(w: World) -> Slots:
    box = w.rng.choice(BOXES)
    return {"box": box, "answer": str(w.pick("select count(*) from mails where filed = ?", box)[0])}


TEMPLATES = (
    Template(
        "mail_write",
        "mail",
        (
            "write a mail to {name} with the subject {subject} and the text {text}",
            "send {name} a mail, subject {subject}, text {text}",
            "new mail to {name}: subject {subject}, text {text}",
            "mail {text} to {name}, the subject is {subject}",
            "i want to mail {name} about {subject}, the text is {text}",
        ),
        lambda w: {
            "name": w.words.name(),
            "subject": w.fresh("title", "select subject from mails"),
            "text": w.words.phrase(),
        },
        path(
            {
                "mail/list": "write",
                "mail/write": {"to": "{name}", "subject": "{subject}", "text": "{text}", "then": "send"},
            }
        ),
        run(_SENT, "subject", "name", "text"),
        tags=SEND,
        carry="text",
        verb="write",
    ),
    Template(
        "mail_reply",
        "mail",
        (
            "reply {text} to the mail {subject}",
            "answer the mail {subject} with {text}",
            "reply to my mail {subject}: {text}",
            "send {text} as the answer to the mail {subject}",
            "the mail {subject} needs a reply, say {text}",
        ),
        lambda w: {**_MAIL.pick(w, "sender"), "text": w.words.phrase()},
        path({"mail/list": "{subject}", "mail/item": "reply", "mail/reply": {"text": "{text}", "then": "send"}}),
        run(_SENT, "subject", "sender", "text"),
        tags=SEND,
        carry="text",
        verb="reply",
    ),
    Template(
        "mail_forward",
        "mail",
        (
            "forward the mail {subject} to {name}",
            "send the mail {subject} on to {name}",
            "{name} should get the mail {subject} too, forward it",
            "pass my mail {subject} on to {name}",
            "let {name} have the mail {subject}, forward it",
        ),
        lambda w: {**_MAIL.pick(w, "text"), "name": w.words.name()},
        path(
            {
                "mail/list": "{subject}",
                "mail/item": "more",
                "dialog:more": "forward",
                "mail/forward": {"to": "{name}", "then": "send"},
            }
        ),
        run(_SENT, "subject", "name", "text"),
        tags=SEND,
        carry="name",
        verb="forward",
    ),
    delete(_MAIL),
    read(
        _MAIL,
        "sender",
        "the sender of {it}",
        ("who sent {it}?", "from whom is {it}?", "who wrote {it}?"),
    ),
    read(_MAIL, "text", "the text of {it}", ("what does {it} say?", "read me {it}", "what is in {it}?")),
    switch(
        _MAIL,
        "starred",
        "on",
        ("star {it}", "mark {it} with a star", "add a star to {it}", "make {it} a starred one", "put a star on {it}"),
        "star",
    ),
    switch(
        _MAIL,
        "starred",
        "off",
        (
            "unstar {it}",
            "take the star off {it}",
            "remove the star from {it}",
            "{it} should have no star",
            "{it} should not be starred any more",
        ),
        "unstar",
    ),
    switch(
        _MAIL,
        "unread",
        "on",
        (
            "mark {it} as unread",
            "make {it} unread again",
            "set {it} to unread",
            "{it} should be unread again",
            "i want to read {it} later, mark it unread",
        ),
        "unread",
    ),
    switch(
        _MAIL,
        "unread",
        "off",
        (
            "mark {it} as read",
            "{it} is no longer unread, mark it so",
            "set {it} to read",
            "take the unread mark off {it}",
            "i know {it} already, mark it as read",
        ),
        "read",
    ),
    Template(
        "mail_archive",
        "mail",
        (
            "archive the mail {subject}",
            "move the mail {subject} to the archive",
            "put my mail {subject} into the archive",
            "the mail {subject} belongs in the archive, move it",
            "file the mail {subject} in the archive",
        ),
        _MAIL.pick,
        path({"mail/list": "{subject}", "mail/item": "more", "dialog:more": "to archive"}),
        run("update mails set filed = 'archive' where id = ?", "_id"),
        verb="archive",
    ),
    Template(
        "mail_restore",
        "mail",
        (
            "move the mail {subject} from the archive to the inbox",
            "take the mail {subject} out of the archive, back to the inbox",
            "the archived mail {subject} should be in the inbox again",
            "get the mail {subject} back from the archive",
            "put the archived mail {subject} back into the inbox",
        ),
        lambda w: _elsewhere(w, "archive", "text"),
        path({**_OPEN_BOX, "mail/item": "more", "dialog:more": "to inbox"}),
        run("update mails set filed = 'inbox' where id = ?", "_id"),
        verb="restore",
    ),
    tell(
        "mail_read_archived",
        "mail",
        (
            "what does the archived mail {subject} say?",
            "tell me the text of the mail {subject} in the archive",
            "read me the mail {subject} from the archive",
            "look up the text of the archived mail {subject}",
            "the mail {subject} is in the archive, what is its text?",
        ),
        lambda w: _elsewhere(w, "archive", "text"),
        path(_OPEN_BOX),
        at="mail/item",
        noun="the text of the archived mail {subject}",
        verb="read archived",
    ),
    tell(
        "mail_read_receiver",
        "mail",
        (
            "to whom did i send the mail {subject}?",
            "who is the receiver of the mail {subject} that i sent?",
            "tell me who got the mail {subject} from me",
            "look up the receiver of the sent mail {subject}",
            "find out to whom the sent mail {subject} went",
        ),
        lambda w: _elsewhere(w, "sent", "receiver"),
        path(_OPEN_BOX),
        at="mail/item",
        noun="the receiver of the sent mail {subject}",
        verb="read receiver",
    ),
    tell(
        "mail_count",
        "mail",
        (
            "how many mails are in the box {box}?",
            "how many mails does the {box} of my mail hold?",
            "tell me the number of mails in the {box} box",
            "count the mails in the box {box}",
            "look up how many mails the box {box} has",
        ),
        _count,
        path({"mail/list": "boxes"}),
        at="mail/boxes",
        noun="the number of mails in the box {box}",
        verb="count",
    ),
)
