"""Browser: an offline web of pages with links and facts, bookmarks, a history, and an address field."""

from __future__ import annotations

from homeostat.envs.phone.effects import Effect, confirm, do, go, sql, toast
from homeostat.envs.phone.ui import App, Context, Screen, Widget, button, form_field, item, line

__all__ = ["Browser"]


class Browser(App):
    """The app. There is one tab; the database stores the page that is open in it."""

    name = "browser"
    colour = (38, 112, 180)
    traces = frozenset({"tab", "visits"})
    schema = """
        create table pages (id integer primary key, title text not null, address text not null, text text not null,
            site text not null default 'off', marked text not null default 'off');
        create table facts (id integer primary key, page text not null, label text not null, value text not null);
        create table links (id integer primary key, page text not null, target text not null);
        create table visits (id integer primary key, page text not null);
        create table tab (page text not null);
        insert into tab values ('');
    """

    def list(self, ctx: Context) -> Screen:
        """Shows the address field and the sites."""
        address = ctx.draft("address")
        known = ctx.all("select title from pages where address = ?", address)
        leads = _open(known[0][0]) if known else toast("no such page")
        return Screen(
            "browser",
            (form_field("address", address), *_items(ctx, "site = 'on' order by title")),
            (button("marks", go("marks")), button("history", go("history")), button("go", leads)),
        )

    def page(self, ctx: Context) -> Screen:
        """Shows the page in the tab. A tap on a link opens another page in its place."""
        title, address, text, marked = ctx.one(
            "select title, address, text, marked from pages where title = (select page from tab)"
        )
        facts = ctx.all("select label, value from facts where page = ? order by id", title)
        links = ctx.all("select target from links where page = ? order by target", title)
        put = sql("update pages set marked = ? where title = ?", "off" if marked == "on" else "on", title)
        mark = (
            button("unmark", do(put, toast("unmarked"))) if marked == "on" else button("mark", do(put, toast("marked")))
        )
        body = (
            line("address", sub=address),
            line("text", text),
            *(line(label, value) for label, value in facts),
            *(item(target, ">", tap=_visit(target)) for (target,) in links),
        )
        return Screen(title, body, (mark,))

    def marks(self, ctx: Context) -> Screen:
        """Shows the bookmarked pages."""
        marked = _items(ctx, "marked = 'on' order by title")
        return Screen("marks", (line("total", str(len(marked))), *marked))

    def history(self, ctx: Context) -> Screen:
        """Shows the visited pages, the latest first. A long press offers to remove one."""
        body = []
        for i, page in ctx.all("select id, page from visits order by id desc"):
            gone = do(sql("delete from visits where id = ?", i), toast("forgotten"))
            body.append(item(page, tap=_open(page), hold=confirm(f"forget {page}", gone, "forget")))
        clear = confirm("clear history", do(sql("delete from visits"), toast("cleared")), "clear")
        return Screen("history", tuple(body), (button("clear", clear),))


def _items(ctx: Context, which: str) -> tuple[Widget, ...]:
    return tuple(item(title, tap=_open(title)) for (title,) in ctx.all(f"select title from pages where {which}"))


def _visit(page: str) -> Effect:
    """Opens a page in the tab. The history holds each page once, at its latest visit."""
    return do(
        sql("delete from visits where page = ?", page),
        sql("insert into visits (page) values (?)", page),
        sql("update tab set page = ?", page),
    )


def _open(page: str) -> Effect:
    return do(_visit(page), go("page"))
