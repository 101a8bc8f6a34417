"""Maps: places with their distances and routes, and the present trip."""

from __future__ import annotations

from collections.abc import Iterable

from homeostat.envs.phone.apps.collection import Collection, Field
from homeostat.envs.phone.effects import Effect, back, do, go, menu, sql, toast
from homeostat.envs.phone.ui import Context, Screen, Widget, button, item, line

__all__ = ["KINDS", "WAYS", "Maps", "minutes"]

KINDS = ("cafe", "bank", "clinic", "sight", "fuel")
WAYS = {"drive": 2, "ride": 3, "cycle": 5, "walk": 12}  # means of travel -> minutes per kilometre


def minutes(km: str, way: str) -> str:
    """Returns the travel time to a place.

    Args:
        km: The distance in kilometres.
        way: The means of travel.

    Returns:
        The minutes. Every means except walking adds five minutes.
    """
    return str(int(km) * WAYS[way] + (0 if way == "walk" else 5))


class Maps(Collection):
    """The app: places by name, each with a route by a chosen means of travel. There is at most one trip at a time."""

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
        """Returns the button that leads to the trip."""
        return (button("trip", go("trip")),)

    def buttons(self, ctx: Context, i: int, row: dict[str, str]) -> Iterable[Widget]:
        """Returns the button that leads to the route."""
        return (button("route", go("route", id=i)),)

    def gone(self, i: int) -> tuple[Effect, ...]:
        """Returns the effect that ends a trip to a deleted place."""
        return (sql("update trip set place = 0, way = '' where place = ?", i),)

    def route(self, ctx: Context) -> Screen:
        """Shows the route to a place: the means of travel, its duration, and a button to start or stop."""
        i = ctx.params["id"]
        name, km = ctx.one("select name, km from places where id = ?", i)
        (way,) = ctx.one("select way from way")
        choose = menu("way", *((w, sql("update way set way = ?", w)) for w in WAYS))
        start = do(sql("update trip set place = ?, way = ?", i, way), toast("started"))
        body = (line("to", name), item("way", way, tap=choose), line("km", km), line("minutes", minutes(km, way)))
        return Screen("route", body, (button("start", start),))

    def trip(self, ctx: Context) -> Screen:
        """Shows the destination of the present trip, if there is one."""
        rows = ctx.all("select p.name, p.km, t.way from trip t join places p on p.id = t.place")
        if not rows:
            return Screen("trip", (line("no trip"),))
        ((name, km, way),) = rows
        stop = do(sql("update trip set place = 0, way = ''"), back(), toast("stopped"))
        body = (line("to", name), line("way", way), line("minutes", minutes(km, way)))
        return Screen("trip", body, (button("stop", stop),))
