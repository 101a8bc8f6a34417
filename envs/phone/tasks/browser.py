"""Browser: its content, and the tasks of opening and reading pages."""

from __future__ import annotations

import sqlite3

from homeostat import actions as a
from homeostat.envs.phone.tasks.base import Change, Slots, Template, World
from homeostat.envs.phone.tasks.common import Route, path, run
from homeostat.envs.phone.tasks.oracle import View
from homeostat.envs.phone.tasks.verbs import tell
from homeostat.envs.phone.tasks.words import Words

__all__ = ["SITE", "TAB", "TEMPLATES", "fill", "opens", "page"]

TAB = frozenset({"tab"})
_DOMAINS = ("com", "net", "org")


def _facts(w: Words) -> dict[str, str]:
    return {
        "price": f"${w.rng.randint(1, 999)}",
        "year": str(w.rng.randint(1900, 2030)),
        "author": w.name(),
        "phone": w.phone(),
    }


def fill(db: sqlite3.Connection, w: Words) -> None:
    """Fills the app with 9 to 14 pages, each with two facts and one to three links. Three to six of them are sites."""
    rng = w.rng
    titles = w.some("noun", rng.randint(9, 14))
    n = rng.randint(3, 6)
    kinds = [("on" if i < n else "off", rng.choice(("on", "off", "off"))) for i in range(len(titles))]
    pages = [
        (title, f"{title}.{rng.choice(_DOMAINS)}", w.phrase(), site, marked)
        for title, (site, marked) in zip(titles, kinds, strict=True)
    ]
    db.executemany("insert into pages (title, address, text, site, marked) values (?, ?, ?, ?, ?)", pages)
    for title in titles:
        facts = _facts(w)
        labels = rng.sample(sorted(facts), 2)
        db.executemany(
            "insert into facts (page, label, value) values (?, ?, ?)", [(title, k, facts[k]) for k in labels]
        )
        others = rng.sample([t for t in titles if t != title], rng.randint(1, 3))
        db.executemany("insert into links (page, target) values (?, ?)", [(title, t) for t in others])
    seen = rng.sample(titles, rng.randint(2, 6))
    db.executemany("insert into visits (page) values (?)", [(t,) for t in seen])
    db.execute("update tab set page = ?", (seen[-1],))


def page(w: World, *columns: str, where: str = "site = 'on'") -> Slots:
    """Draws a page that is not open in the tab.

    Args:
        w: The filled phone.
        columns: Further columns of the page.
        where: SQL condition of the pages to draw from.

    Returns:
        The slots.
    """
    names = ("title", *columns)
    values = w.pick(f"select {', '.join(names)} from pages where {where} and title != (select page from tab)")
    return dict(zip(names, values, strict=True))


def _told(w: World, column: str) -> Slots:
    slots = page(w, column)
    return {"title": slots["title"], "answer": slots[column]}


def _fact(w: World, slots: Slots, page: str) -> Slots:
    label, value = w.pick("select label, value from facts where page = ?", slots[page])
    return {**slots, "label": label, "answer": value}


def _link(w: World) -> Slots:
    """Draws a site and a linked page that is not a site."""
    title, other = w.pick(
        "select p.title, q.title from pages p join links l on l.page = p.title join pages q on q.title = l.target"
        " where p.site = 'on' and q.site = 'off' and q.title != (select page from tab)"
    )
    return {"title": title, "other": other}


def _on(page: str, there: Route) -> Route:
    """Returns a route that answers once the page in this slot is in front."""

    def route(v: View, s: Slots) -> a.Action | None:
        if v.screen == "browser/page" and v.title == s[page]:
            return a.Answer(text=s["answer"])
        return there(v, s)

    return route


def opens(s: Slots) -> Change:
    """Returns the change that opening the page makes."""
    return [("update tab set page = ?", (s["title"],))]


SITE = "browser/list"
_TO_SITE = path({SITE: "{title}"})
_BY_ADDRESS = path({SITE: {"address": "{address}", "then": "go"}})

TEMPLATES = (
    Template(
        "browser_open",
        "browser",
        (
            "open the page {title} in the browser",
            "go to the site {title} in the browser",
            "show me the page {title} in the browser",
            "i want to see the site {title}, open it in the browser",
            "bring up the page {title} in the browser",
        ),
        page,
        _TO_SITE,
        opens,
        watch=TAB,
        verb="open",
    ),
    tell(
        "browser_read_text",
        "browser",
        (
            "what does the page {title} say?",
            "tell me the text of the page {title}",
            "read me the page {title} in the browser",
            "what is written on the page {title}?",
            "find out what the site {title} says",
        ),
        lambda w: _told(w, "text"),
        _on("title", _TO_SITE),
        noun="the text of the page {title}",
        verb="read text",
    ),
    tell(
        "browser_read_fact",
        "browser",
        (
            "what is the {label} on the page {title}?",
            "tell me the {label} on the page {title}",
            "which {label} does the site {title} give?",
            "look up the {label} on the site {title}",
            "i need the {label} from the page {title}",
        ),
        lambda w: _fact(w, page(w), "title"),
        _on("title", _TO_SITE),
        noun="the {label} on the page {title}",
        verb="read fact",
    ),
    tell(
        "browser_read_address",
        "browser",
        (
            "what is the address of the page {title}?",
            "tell me the web address of the site {title}",
            "which address does the page {title} have?",
            "look up the address of the site {title} in the browser",
            "i need to know the address of the page {title}",
        ),
        lambda w: _told(w, "address"),
        _on("title", _TO_SITE),
        noun="the address of the page {title}",
        verb="read address",
    ),
    Template(
        "browser_follow",
        "browser",
        (
            "open the page {title} and follow the link to {other}",
            "go to the site {title} and tap its link to {other}",
            "follow the link {other} on the page {title}",
            "on the page {title} there is a link to {other}, follow it",
            "get to the page {other} by the link on the site {title}",
        ),
        _link,
        path({SITE: "{title}", "browser/page": "{other}"}),
        run("update tab set page = ?", "other"),
        watch=TAB,
        verb="follow",
    ),
    tell(
        "browser_follow_fact",
        "browser",
        (
            "follow the link from {title} to {other} and tell me the {label} there",
            "what is the {label} on {other}, the page that the site {title} links to?",
            "the page {title} has a link to {other}, which {label} does that page give?",
            "find the {label} on the page {other}, by the link on {title}",
            "look up the {label} on the page {other} that {title} links to",
        ),
        lambda w: _fact(w, _link(w), "other"),
        _on("other", path({SITE: "{title}", "browser/page": "{other}"})),
        noun="the {label} on the page {other} that {title} links to",
        verb="follow and read",
    ),
    Template(
        "browser_address",
        "browser",
        (
            "go to {address} in the browser",
            "open the address {address}",
            "enter {address} in the browser and go there",
            "type the address {address} into the browser and open it",
            "take me to the web address {address}",
        ),
        lambda w: page(w, "address", where="site = 'off'"),
        _BY_ADDRESS,
        opens,
        watch=TAB,
        verb="go to address",
    ),
    tell(
        "browser_address_fact",
        "browser",
        (
            "what is the {label} on {address}?",
            "go to {address} and tell me the {label}",
            "look up the {label} at the address {address}",
            "which {label} does {address} give?",
            "i need the {label} that stands on {address}",
        ),
        lambda w: _fact(w, page(w, "address", where="site = 'off'"), "title"),
        _on("title", _BY_ADDRESS),
        noun="the {label} on {address}",
        verb="read at address",
    ),
)
