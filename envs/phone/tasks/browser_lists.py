"""Browser: the tasks of bookmarks and of the history."""

from __future__ import annotations

from homeostat import actions as a
from homeostat.envs.phone.tasks.base import Slots, Template, World
from homeostat.envs.phone.tasks.browser import SITE, TAB, opens, page
from homeostat.envs.phone.tasks.common import DELETE, Route, path, run
from homeostat.envs.phone.tasks.oracle import View
from homeostat.envs.phone.tasks.verbs import tell

__all__ = ["TEMPLATES"]

_VISITS = frozenset({"visits"})


def _marker(state: str) -> Route:
    """Returns a route that marks or unmarks the page once it is in front."""
    there = path({"browser/list" if state == "on" else "browser/marks": "{title}"})

    def route(v: View, s: Slots) -> a.Action | None:
        if v.screen == "browser/page" and v.title == s["title"]:
            return v.tap("mark" if state == "on" else "unmark")
        if v.screen == "browser/list" and state == "off":
            return v.tap("marks")
        return there(v, s)

    return route


def _marks(w: World) -> Slots:
    return {"answer": str(w.pick("select count(*) from pages where marked = 'on'")[0])}


def _last(w: World) -> Slots:
    return {"answer": w.pick("select page from visits where id = (select max(id) from visits)")[0]}


TEMPLATES = (
    Template(
        "browser_mark",
        "browser",
        (
            "mark the page {title} in the browser",
            "bookmark the page {title}",
            "save the site {title} as a bookmark",
            "put the page {title} into the marks",
            "i want the site {title} among my bookmarks",
        ),
        lambda w: page(w, where="site = 'on' and marked = 'off'"),
        _marker("on"),
        run("update pages set marked = 'on' where title = ?", "title"),
        verb="mark",
    ),
    Template(
        "browser_unmark",
        "browser",
        (
            "unmark the page {title} in the browser",
            "take the page {title} off the marks",
            "remove the bookmark {title}",
            "the site {title} should be no bookmark any more",
            "drop the page {title} from my bookmarks",
        ),
        lambda w: page(w, where="marked = 'on'"),
        _marker("off"),
        run("update pages set marked = 'off' where title = ?", "title"),
        verb="unmark",
    ),
    Template(
        "browser_open_mark",
        "browser",
        (
            "open the bookmark {title}",
            "go to the page {title} in my bookmarks",
            "open the marked page {title} in the browser",
            "show me the page {title} from the marks",
            "take me to my bookmark {title}",
        ),
        lambda w: page(w, where="site = 'off' and marked = 'on'"),
        path({SITE: "marks", "browser/marks": "{title}"}),
        opens,
        watch=TAB,
        verb="open mark",
    ),
    tell(
        "browser_count_marks",
        "browser",
        (
            "how many pages are marked in the browser?",
            "how many bookmarks do i have?",
            "tell me the total of my marks in the browser",
            "count my bookmarks",
            "find out how many marks the browser has",
        ),
        _marks,
        path({SITE: "marks"}),
        at="browser/marks",
        noun="the total of the marks in the browser",
        verb="count marks",
    ),
    tell(
        "browser_last",
        "browser",
        (
            "which page did i visit last?",
            "what is the last page in the history of the browser?",
            "tell me the page that i opened last in the browser",
            "look up my last visit in the browser",
            "find out which page i looked at last",
        ),
        _last,
        path({SITE: "history"}),
        at="browser/history",
        noun="the page that i visited last",
        verb="read history",
    ),
    Template(
        "browser_forget",
        "browser",
        (
            "forget my visit to the page {title}",
            "take the page {title} out of the history of the browser",
            "remove {title} from the browser history",
            "the page {title} should not be in my history, forget it",
            "make the browser forget the page {title}",
        ),
        lambda w: {"title": w.pick("select page from visits")[0]},
        path({SITE: "history", "browser/history": ("hold", "{title}"), "dialog:forget {title}": "forget"}),
        run("delete from visits where page = ?", "title"),
        tags=DELETE,
        watch=_VISITS,
        verb="forget",
    ),
    Template(
        "browser_clear",
        "browser",
        (
            "clear the history of the browser",
            "delete my browser history",
            "empty the history in the browser",
            "wipe the list of pages that i visited",
            "the browser should forget every visit, clear its history",
        ),
        lambda w: {},
        path({SITE: "history", "browser/history": "clear", "dialog:clear history": "clear"}),
        run("delete from visits"),
        tags=DELETE,
        watch=_VISITS,
        verb="clear history",
    ),
)
