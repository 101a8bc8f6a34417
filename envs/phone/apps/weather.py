"""Weather: cities with their present weather, a unit of temperature, and a home city."""

from __future__ import annotations

from collections.abc import Iterable

from homeostat.envs.phone.apps.collection import Collection, Field
from homeostat.envs.phone.effects import Effect, back, do, go, menu, sql, toast
from homeostat.envs.phone.ui import Context, Screen, Widget, button, item

__all__ = ["SKIES", "UNITS", "Weather", "degrees"]

SKIES = ("sunny", "cloudy", "rainy", "foggy", "snowy", "stormy")
UNITS = ("celsius", "kelvin")


def degrees(celsius: str, unit: str) -> str:
    """Formats a temperature as the screen shows it: ``21c`` or ``294k``.

    Args:
        celsius: The temperature in degrees Celsius.
        unit: ``celsius`` or ``kelvin``.

    Returns:
        The text.
    """
    return f"{celsius}c" if unit == "celsius" else f"{int(celsius) + 273}k"


class Weather(Collection):
    """The app: cities by name. A deleted city can be added again."""

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
        """Returns the temperature in the chosen unit; any other field unchanged."""
        return degrees(value, ctx.one("select unit from climate")[0]) if f.name == "temp" else value

    def removal(self, i: int) -> tuple[Effect, ...]:
        """Returns the effects that hide a deleted city and, if it was the home city, clear the home city."""
        return (
            sql("update cities set shown = 'no', alerts = 'off' where id = ?", i),
            sql("update climate set home = 0 where home = ?", i),
        )

    def doors(self, ctx: Context) -> Iterable[Widget]:
        """Returns the buttons that lead to other cities and to the options."""
        return (button("add", go("add")), button("options", go("options")))

    def add(self, ctx: Context) -> Screen:
        """Shows the cities that are not in the list. A tap adds one."""
        rows = ctx.all("select id, name from cities where shown = 'no' order by name, id")
        put = "update cities set shown = 'yes' where id = ?"
        body = (item(name, "+", tap=do(sql(put, i), back(), toast("added"))) for i, name in rows)
        return Screen("add city", tuple(body))

    def options(self, ctx: Context) -> Screen:
        """Shows the unit and the home city."""
        unit, home = ctx.one("select unit, coalesce(name, '') from climate left join cities c on c.id = home")
        choose = menu("unit", *((u, sql("update climate set unit = ?", u)) for u in UNITS))
        return Screen("options", (item("unit", unit, tap=choose), item("home", home, tap=go("home"))))

    def home(self, ctx: Context) -> Screen:
        """Shows the cities. A tap selects the home city."""
        rows = ctx.all("select id, name from cities where shown = 'yes' order by name, id")
        put = "update climate set home = ?"
        return Screen("home", tuple(item(n, tap=do(sql(put, i), back(), toast("saved"))) for i, n in rows))
