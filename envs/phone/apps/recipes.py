"""Recipes: cooking time, servings, a star, and ingredients."""

from collections.abc import Iterable

from homeostat.envs.phone.apps.collection import Collection, Field
from homeostat.envs.phone.effects import Effect, back, confirm, do, go, sql, toast
from homeostat.envs.phone.ui import Context, Screen, Widget, button, form_field, item

__all__ = ["Recipes"]


class Recipes(Collection):
    """The app: recipes by name. A tap on an ingredient offers to remove it."""

    name = "recipes"
    colour = (196, 78, 82)
    one, table = "recipe", "recipes"
    fields = (Field("name"), Field("minutes"), Field("serves"), Field("star", "switch", default="off"))
    beside = "star"
    more = "create table ingredients (id integer primary key, recipe integer not null, name text not null);"

    def below(self, ctx: Context, i: int, row: dict[str, str]) -> Iterable[Widget]:
        """Returns the ingredients."""
        for k, name in ctx.all("select id, name from ingredients where recipe = ? order by name, id", i):
            out = do(sql("delete from ingredients where id = ?", k), toast("removed"))
            yield item(name, tap=confirm(f"remove {name}", out, "remove"))

    def buttons(self, ctx: Context, i: int, row: dict[str, str]) -> Iterable[Widget]:
        """Returns the button that adds an ingredient."""
        return (button("add", go("add", id=i)),)

    def gone(self, i: int) -> tuple[Effect, ...]:
        """Returns the effect that removes a deleted recipe's ingredients."""
        return (sql("delete from ingredients where recipe = ?", i),)

    def add(self, ctx: Context) -> Screen:
        """Shows the form for a new ingredient."""
        name = ctx.draft("item")
        save = do(
            sql("insert into ingredients (recipe, name) values (?, ?)", ctx.params["id"], name), back(), toast("added")
        )
        return Screen("new item", (form_field("item", name),), (button("save", save),))
