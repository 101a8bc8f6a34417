"""Music: songs, playlists, and a player."""

from collections.abc import Iterable

from homeostat.envs.phone.apps.collection import Collection, Field
from homeostat.envs.phone.effects import Effect, back, confirm, do, go, menu, sql, toast
from homeostat.envs.phone.ui import Context, Screen, Widget, button, form_field, item, line, toggle

__all__ = ["Music"]


class Music(Collection):
    """The app: songs by title. The player plays one of them."""

    name = "music"
    colour = (150, 52, 140)
    one, table = "song", "songs"
    fields = (Field("title"), Field("singer"), Field("liked", "switch", default="off"))
    beside = "liked"
    new, editable = False, False
    more = """
        create table player (song text not null, playing text not null, shuffle text not null);
        insert into player values ('', 'off', 'off');
        create table lists (id integer primary key, name text not null);
        create table entries (id integer primary key, list text not null, song text not null);
    """

    def doors(self, ctx: Context) -> Iterable[Widget]:
        """Returns the buttons that lead to the player and to the playlists."""
        return (button("player", go("player")), button("lists", go("lists")))

    def buttons(self, ctx: Context, i: int, row: dict[str, str]) -> Iterable[Widget]:
        """Returns the buttons that play a song and add it to a playlist."""
        play = do(sql("update player set song = ?, playing = 'on'", row["title"]), toast("playing"))
        lists = [
            (name, do(sql("insert into entries (list, song) values (?, ?)", name, row["title"]), toast("added")))
            for (name,) in ctx.all("select name from lists order by name, id")
        ]
        return (button("play", play), button("add", menu("add to list", *lists)))

    def gone(self, i: int) -> tuple[Effect, ...]:
        """Returns the effect that removes a deleted song from the playlists."""
        return (sql("delete from entries where song not in (select title from songs)"),)

    def player(self, ctx: Context) -> Screen:
        """Shows the present song and the player's settings."""
        song, playing, shuffle = ctx.one("select song, playing, shuffle from player")
        flip = sql("update player set shuffle = ?", "off" if shuffle == "on" else "on")
        after = ctx.all("select title from songs where title > ? order by title limit 1", song)
        first = ctx.all("select title from songs order by title limit 1")
        following = (after or first or [("",)])[0][0]
        hold = sql("update player set playing = ?", "off" if playing == "on" else "on")
        footer = (
            button("pause" if playing == "on" else "resume", hold),
            button("next", sql("update player set song = ?", following)),
        )
        body = (line("song", song), line("playing", "yes" if playing == "on" else "no"))
        return Screen("player", (*body, toggle("shuffle", shuffle == "on", flip)), footer)

    def lists(self, ctx: Context) -> Screen:
        """Shows every playlist."""
        rows = ctx.all("select id, name from lists order by name, id")
        return Screen("lists", tuple(item(n, tap=go("songs", id=i)) for i, n in rows), (button("new", go("start")),))

    def songs(self, ctx: Context) -> Screen:
        """Shows the songs of one playlist. A tap offers to remove one."""
        i = ctx.params["id"]
        (name,) = ctx.one("select name from lists where id = ?", i)
        body = []
        for k, song in ctx.all("select id, song from entries where list = ? order by song, id", name):
            out = do(sql("delete from entries where id = ?", k), toast("removed"))
            body.append(item(song, tap=confirm(f"remove {song}", out, "remove")))
        entries = sql("delete from entries where list = ?", name)
        gone = do(sql("delete from lists where id = ?", i), entries, back(), toast("deleted"))
        return Screen(name, tuple(body), (button("delete", confirm(f"delete {name}", gone)),))

    def start(self, ctx: Context) -> Screen:
        """Shows the form for a new playlist."""
        name = ctx.draft("name")
        save = do(sql("insert into lists (name) values (?)", name), back(), toast("saved"))
        return Screen("new list", (form_field("name", name),), (button("save", save),))
