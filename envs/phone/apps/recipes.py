"""Recipes: minutes, servings, a star, and what goes in."""

from collections.abc import Iterable

from homeostat.envs.phone.apps.collection import Collection, Field
from homeostat.envs.phone.ui import (
    Context,
    Effect,
    Screen,
    Widget,
    back,
    button,
    confirm,
    do,
    form_field,
    go,
    item,
    sql,
    toast,
)

__all__ = ["Recipes"]


class Recipes(Collection):
    """Recipes by name; a tap on an ingredient takes it out."""

    name = "recipes"
    colour = (196, 78, 82)
    one, table = "recipe", "recipes"
    fields = (Field("name"), Field("minutes"), Field("serves"), Field("star", "switch", default="off"))
    beside = "star"
    more = "create table ingredients (id integer primary key, recipe integer not null, name text not null);"

    def below(self, ctx: Context, i: int, row: dict[str, str]) -> Iterable[Widget]:
        """The ingredients."""
        for k, name in ctx.all("select id, name from ingredients where recipe = ? order by name, id", i):
            out = do(sql("delete from ingredients where id = ?", k), toast("removed"))
            yield item(name, tap=confirm(f"remove {name}", out, "remove"))

    def buttons(self, ctx: Context, i: int, row: dict[str, str]) -> Iterable[Widget]:
        """A way to add an ingredient."""
        return (button("add", go("add", id=i)),)

    def gone(self, i: int) -> tuple[Effect, ...]:
        """A recipe's ingredients go with it."""
        return (sql("delete from ingredients where recipe = ?", i),)

    def add(self, ctx: Context) -> Screen:
        """The form for one more ingredient."""
        name = ctx.draft("item")
        save = do(
            sql("insert into ingredients (recipe, name) values (?, ?)", ctx.params["id"], name), back(), toast("added")
        )
        return Screen("new item", (form_field("item", name),), (button("save", save),))
