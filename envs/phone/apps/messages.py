"""Messages: one chat for each person."""

from homeostat.envs.phone.effects import back, confirm, do, go, menu, sql, toast
from homeostat.envs.phone.ui import App, Context, Screen, button, form_field, item

__all__ = ["Messages"]


class Messages(App):
    """The app: chats by person. A chat shows its messages and a text field."""

    name = "messages"
    colour = (30, 130, 90)
    schema = """
        create table chats (name text primary key, muted text not null);
        create table messages (id integer primary key, chat text not null, who text not null, text text not null);
    """

    def list(self, ctx: Context) -> Screen:
        """Shows every chat, by name."""
        body = []
        for name, muted in ctx.all("select name, muted from chats order by name"):
            mute = sql("update chats set muted = ? where name = ?", "no" if muted == "yes" else "yes", name)
            gone = do(
                sql("delete from chats where name = ?", name),
                sql("delete from messages where chat = ?", name),
                toast("deleted"),
            )
            options = (("unmute" if muted == "yes" else "mute", mute), ("delete", confirm(f"delete {name}", gone)))
            body.append(
                item(name, "mute" if muted == "yes" else "", tap=go("chat", name=name), hold=menu(name, *options))
            )
        return Screen("messages", tuple(body), (button("new", go("compose")),))

    def chat(self, ctx: Context) -> Screen:
        """Shows the last messages of one chat."""
        name = ctx.params["name"]
        ctx.one("select name from chats where name = ?", name)
        rows = ctx.all("select who, text from messages where chat = ? order by id desc limit 3", name)
        text = ctx.draft("text")
        send = do(
            sql("insert into messages (chat, who, text) values (?, 'me', ?)", name, text),
            back(),
            toast("sent"),
        )
        body = [item(who, sub=said) for who, said in reversed(rows)]
        return Screen(name, (form_field("text", text), *body), (button("send", send),))

    def compose(self, ctx: Context) -> Screen:
        """Shows the form for a message to any person."""
        name, text = ctx.draft("to"), ctx.draft("text")
        send = do(
            sql("insert or ignore into chats values (?, 'no')", name),
            sql("insert into messages (chat, who, text) values (?, 'me', ?)", name, text),
            back(),
            toast("sent"),
        )
        return Screen("new chat", (form_field("to", name), form_field("text", text)), (button("send", send),))
