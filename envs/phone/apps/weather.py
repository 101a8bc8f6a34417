"""Weather: cities with what it is like there; a unit, a home city."""

from __future__ import annotations

from collections.abc import Iterable

from homeostat.envs.phone.apps.collection import Collection, Field
from homeostat.envs.phone.ui import Context, Effect, Screen, Widget, back, button, do, go, item, menu, sql, toast

__all__ = ["SKIES", "UNITS", "Weather", "degrees"]

SKIES = ("sunny", "cloudy", "rainy", "foggy", "snowy", "stormy")
UNITS = ("celsius", "kelvin")


def degrees(celsius: str, unit: str) -> str:
    """A temperature as it is shown: ``21c`` or ``294k``."""
    return f"{celsius}c" if unit == "celsius" else f"{int(celsius) + 273}k"


class Weather(Collection):
    """Cities by name. A deleted city can be added again."""

    name = "weather"
    colour = (70, 120, 170)
    one, table = "city", "cities"
    fields = (
        Field("name"),
        Field("sky", "fact"),
        Field("temp", "fact"),
        Field("humid", "fact"),
        Field("gusts", "fact"),
        Field("alerts", "switch", default="off"),
        Field("shown", "hidden", default="yes"),
    )
    beside = "sky"
    inside = "shown = 'yes'"
    new = editable = False
    more = """
        create table climate (unit text not null, home integer not null);
        insert into climate values ('celsius', 0);
    """

    def told(self, ctx: Context, f: Field, value: str) -> str:
        """The temperature in the unit."""
        return degrees(value, ctx.one("select unit from climate")[0]) if f.name == "temp" else value

    def removal(self, i: int) -> tuple[Effect, ...]:
        """A deleted city is no longer shown; it may have been home."""
        return (
            sql("update cities set shown = 'no', alerts = 'off' where id = ?", i),
            sql("update climate set home = 0 where home = ?", i),
        )

    def doors(self, ctx: Context) -> Iterable[Widget]:
        """The ways to other cities and to the options."""
        return (button("add", go("add")), button("options", go("options")))

    def add(self, ctx: Context) -> Screen:
        """The cities that are not shown; a tap adds one."""
        rows = ctx.all("select id, name from cities where shown = 'no' order by name, id")
        put = "update cities set shown = 'yes' where id = ?"
        body = (item(name, "+", tap=do(sql(put, i), back(), toast("added"))) for i, name in rows)
        return Screen("add city", tuple(body))

    def options(self, ctx: Context) -> Screen:
        """The unit and the home city."""
        unit, home = ctx.one("select unit, coalesce(name, '') from climate left join cities c on c.id = home")
        choose = menu("unit", *((u, sql("update climate set unit = ?", u)) for u in UNITS))
        return Screen("options", (item("unit", unit, tap=choose), item("home", home, tap=go("home"))))

    def home(self, ctx: Context) -> Screen:
        """The cities; a tap makes one home."""
        rows = ctx.all("select id, name from cities where shown = 'yes' order by name, id")
        put = "update climate set home = ?"
        return Screen("home", tuple(item(n, tap=do(sql(put, i), back(), toast("saved"))) for i, n in rows))
