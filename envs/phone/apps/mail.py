"""Mail: mailboxes, and mails that can be written, answered, forwarded, filed and starred."""

from __future__ import annotations

from collections.abc import Iterable

from homeostat.envs.phone.apps.collection import Collection, Field
from homeostat.envs.phone.effects import Effect, back, do, go, menu, sql, toast
from homeostat.envs.phone.ui import Context, Screen, Widget, button, form_field, item, line

__all__ = ["BOXES", "Mail"]

BOXES = ("inbox", "archive", "sent")


class Mail(Collection):
    """The app: mails by subject. The list is the inbox; the other boxes are on a screen of their own."""

    name = "mail"
    colour = (176, 64, 48)
    one, table = "mail", "mails"
    fields = (
        Field("subject"),
        Field("sender", "fact", default="me"),
        Field("receiver", "fact", default="me"),
        Field("text", "fact"),
        Field("starred", "switch", default="off"),
        Field("unread", "switch", default="off"),
        Field("filed", "hidden", default="sent"),
    )
    beside = "unread"
    inside = "filed = 'inbox'"
    new = editable = False

    def doors(self, ctx: Context) -> Iterable[Widget]:
        """Returns the buttons that lead to a new mail and to the boxes."""
        return (button("write", go("write")), button("boxes", go("boxes")))

    def buttons(self, ctx: Context, i: int, row: dict[str, str]) -> Iterable[Widget]:
        """Returns the operations on a mail."""
        forward = ("forward", go("forward", id=i))
        if row["filed"] == "sent":
            return (button("more", menu("more", forward)),)
        other = "archive" if row["filed"] == "inbox" else "inbox"
        move = do(sql("update mails set filed = ? where id = ?", other, i), back(), toast(f"in {other}"))
        return (button("reply", go("reply", id=i)), button("more", menu("more", forward, (f"to {other}", move))))

    def boxes(self, ctx: Context) -> Screen:
        """Shows the boxes, each with the number of its mails."""
        count = "select count(*) from mails where filed = ?"
        return Screen("boxes", tuple(item(b, str(ctx.one(count, b)[0]), tap=go("box", box=b)) for b in BOXES))

    def box(self, ctx: Context) -> Screen:
        """Shows the mails of one box."""
        box = ctx.params["box"]
        return Screen(box, self.rows(ctx, "filed = ?", box))

    def write(self, ctx: Context) -> Screen:
        """Shows the form for a new mail."""
        to, subject, text = (ctx.draft(key) for key in ("to", "subject", "text"))
        body = (form_field("to", to), form_field("subject", subject), form_field("text", text))
        return Screen("new mail", body, (button("send", _send(subject, to, text)),))

    def reply(self, ctx: Context) -> Screen:
        """Shows the form for an answer to the sender."""
        subject, sender = ctx.one("select subject, sender from mails where id = ?", ctx.params["id"])
        text = ctx.draft("text")
        send = button("send", _send(subject, sender, text))
        return Screen("reply", (line("to", sender), form_field("text", text)), (send,))

    def forward(self, ctx: Context) -> Screen:
        """Shows the form that sends the same text to another person."""
        subject, text = ctx.one("select subject, text from mails where id = ?", ctx.params["id"])
        to = ctx.draft("to")
        return Screen("forward", (form_field("to", to),), (button("send", _send(subject, to, text)),))


def _send(subject: str, to: str, text: str) -> Effect:
    return do(
        sql("insert into mails (subject, receiver, text) values (?, ?, ?)", subject, to, text), back(), toast("sent")
    )
