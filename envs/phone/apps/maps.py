"""Maps: places, how far they are, the way there, and the trip that is under way."""

from __future__ import annotations

from collections.abc import Iterable

from homeostat.envs.phone.apps.collection import Collection, Field
from homeostat.envs.phone.ui import Context, Effect, Screen, Widget, back, button, do, go, item, line, menu, sql, toast

__all__ = ["KINDS", "WAYS", "Maps", "minutes"]

KINDS = ("cafe", "bank", "clinic", "sight", "fuel")
WAYS = {"drive": 2, "ride": 3, "cycle": 5, "walk": 12}  # minutes for a kilometre


def minutes(km: str, way: str) -> str:
    """The minutes to a place ``km`` away, with five to start with unless one walks."""
    return str(int(km) * WAYS[way] + (0 if way == "walk" else 5))


class Maps(Collection):
    """Places by name. Each has a route, by one of the ways; one trip at a time."""

    name = "maps"
    colour = (52, 130, 84)
    one, table = "place", "places"
    fields = (
        Field("name"),
        Field("road"),
        Field("kind", "choice", KINDS, default="sight"),
        Field("km", "fact", default="10"),
    )
    beside = "kind"
    traces = frozenset({"way"})
    more = """
        create table way (way text not null);
        insert into way values ('drive');
        create table trip (place integer not null, way text not null);
        insert into trip values (0, '');
    """

    def doors(self, ctx: Context) -> Iterable[Widget]:
        """The way to the trip."""
        return (button("trip", go("trip")),)

    def buttons(self, ctx: Context, i: int, row: dict[str, str]) -> Iterable[Widget]:
        """The way to the route."""
        return (button("route", go("route", id=i)),)

    def gone(self, i: int) -> tuple[Effect, ...]:
        """A trip to a deleted place ends."""
        return (sql("update trip set place = 0, way = '' where place = ?", i),)

    def route(self, ctx: Context) -> Screen:
        """The route to a place: the way, how long it takes; start or stop."""
        i = ctx.params["id"]
        name, km = ctx.one("select name, km from places where id = ?", i)
        (way,) = ctx.one("select way from way")
        choose = menu("way", *((w, sql("update way set way = ?", w)) for w in WAYS))
        start = do(sql("update trip set place = ?, way = ?", i, way), toast("started"))
        body = (line("to", name), item("way", way, tap=choose), line("km", km), line("minutes", minutes(km, way)))
        return Screen("route", body, (button("start", start),))

    def trip(self, ctx: Context) -> Screen:
        """Where one is going, if anywhere."""
        rows = ctx.all("select p.name, p.km, t.way from trip t join places p on p.id = t.place")
        if not rows:
            return Screen("trip", (line("no trip"),))
        ((name, km, way),) = rows
        stop = do(sql("update trip set place = 0, way = ''"), back(), toast("stopped"))
        body = (line("to", name), line("way", way), line("minutes", minutes(km, way)))
        return Screen("trip", body, (button("stop", stop),))
