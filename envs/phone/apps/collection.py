"""The base class of apps that present the rows of one table, each with a screen and a form. Most apps are collections.

A subclass names its table and its fields. It adds other elements (a player, a route, a total) by overriding ``doors``,
``below`` and ``buttons``, and by defining further screens.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from homeostat.envs.phone.effects import Effect, back, confirm, do, go, menu, sql, toast
from homeostat.envs.phone.ui import App, Context, Screen, Widget, button, form_field, item, line, toggle

__all__ = ["Collection", "Field"]


@dataclass(frozen=True)
class Field:
    """One column of a collection's table.

    Attributes:
        name: The column's name, which is also the label on the screen.
        kind: ``text`` is typed in the form. ``switch`` (on or off) and ``choice`` (one of ``options``) are set on the
            item's screen. ``fact`` is only shown. ``hidden`` is not shown.
        options: The values of a choice.
        default: The value in a new row.
    """

    name: str
    kind: Literal["text", "switch", "choice", "fact", "hidden"] = "text"
    options: tuple[str, ...] = ()
    default: str = ""


class Collection(App):
    """An app with the screens ``list``, ``item`` and ``edit`` over one table.

    Attributes:
        one: The noun for one row.
        table: The table's name.
        fields: The columns; the first is the title.
        beside: The field that the list shows next to the title: a switch by its name while it is on, any other by its
            value. "" for none.
        order: SQL that orders the list; "" for the order by title.
        more: SQL that creates further tables.
        new: Whether the list has a button for a new row.
        shared: Whether another app may have created the table.
        editable: Whether an item has the button ``edit``.
        deletable: Whether an item has the button ``delete``.
        inside: SQL condition of the rows that the list shows; "" for all.
    """

    one: ClassVar[str]
    table: ClassVar[str]
    fields: ClassVar[tuple[Field, ...]]
    beside: ClassVar[str] = ""
    order: ClassVar[str] = ""
    more: ClassVar[str] = ""
    new: ClassVar[bool] = True
    shared: ClassVar[bool] = False
    editable: ClassVar[bool] = True
    deletable: ClassVar[bool] = True
    inside: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        """Derives the schema from the fields."""
        columns = ", ".join(f"{f.name} text not null default '{f.default}'" for f in cls.fields)
        create = "create table if not exists" if cls.shared else "create table"
        cls.schema = f"{create} {cls.table} (id integer primary key, {columns});\n{cls.more}"

    @property
    def title(self) -> str:
        """The name of the first field."""
        return self.fields[0].name

    def field(self, name: str) -> Field:
        """Returns the field of this name."""
        return next(f for f in self.fields if f.name == name)

    # -- hooks for subclasses ------------------------------------------------------------------------------------------

    def doors(self, ctx: Context) -> Iterable[Widget]:
        """Returns further buttons under the list."""
        return ()

    def below(self, ctx: Context, i: int, row: dict[str, str]) -> Iterable[Widget]:
        """Returns further rows on an item's screen."""
        return ()

    def buttons(self, ctx: Context, i: int, row: dict[str, str]) -> Iterable[Widget]:
        """Returns the buttons before an item's own ``edit`` and ``delete``."""
        return ()

    def gone(self, i: int) -> tuple[Effect, ...]:
        """Returns the effects that remove what belongs to a deleted item."""
        return ()

    def removal(self, i: int) -> tuple[Effect, ...]:
        """Returns the effects of the button ``delete``."""
        return (sql(f"delete from {self.table} where id = ?", i), *self.gone(i))

    def told(self, ctx: Context, f: Field, value: str) -> str:
        """Returns a field's value as the item's screen shows it."""
        return value

    # -- screens ------------------------------------------------------------------------------------------------------

    def rows(self, ctx: Context, where: str = "", *params: Any) -> tuple[Widget, ...]:
        """Returns the table's rows as items that can be opened, in the list's order."""
        columns = ", ".join(f.name for f in self.fields)
        where = f" where {where}" if where else ""
        order = self.order or f"{self.title}, id"
        body = []
        for i, *values in ctx.all(f"select id, {columns} from {self.table}{where} order by {order}", *params):
            row = dict(zip((f.name for f in self.fields), values, strict=True))
            body.append(item(row[self.title], self._beside(row), tap=go("item", id=i)))
        return tuple(body)

    def list(self, ctx: Context) -> Screen:
        """Shows every row."""
        add = (button("new", go("edit")),) if self.new else ()
        return Screen(self.name, self.rows(ctx, self.inside), (*add, *self.doors(ctx)))

    def item(self, ctx: Context) -> Screen:
        """Shows one row with its fields and buttons."""
        i = ctx.params["id"]
        row = self._row(ctx, i)
        body = [self._shown(i, f, self.told(ctx, f, row[f.name])) for f in self.fields[1:] if f.kind != "hidden"]
        footer = [*self.buttons(ctx, i, row)]
        if self.editable:
            footer.append(button("edit", go("edit", id=i)))
        if self.deletable:
            out = do(*self.removal(i), back(), toast("deleted"))
            footer.append(button("delete", confirm(f"delete {row[self.title]}", out)))
        return Screen(row[self.title], (*body, *self.below(ctx, i, row)), tuple(footer))

    def edit(self, ctx: Context) -> Screen:
        """Shows the form for a new or an existing row."""
        i = ctx.params.get("id")
        typed = [f for f in self.fields if f.kind == "text"]
        old = {f.name: "" for f in typed} if i is None else self._row(ctx, i)
        values = {f.name: ctx.draft(f.name, old[f.name]) for f in typed}
        if i is None:
            marks = ", ".join("?" for _ in values)
            write = sql(f"insert into {self.table} ({', '.join(values)}) values ({marks})", *values.values())
        else:
            pairs = ", ".join(f"{name} = ?" for name in values)
            write = sql(f"update {self.table} set {pairs} where id = ?", *values.values(), i)
        save = do(write, back(), toast("saved"))
        fields = tuple(form_field(name, value) for name, value in values.items())
        return Screen(f"new {self.one}" if i is None else "edit", fields, (button("save", save),))

    def _row(self, ctx: Context, i: int) -> dict[str, str]:
        names = [f.name for f in self.fields]
        return dict(zip(names, ctx.one(f"select {', '.join(names)} from {self.table} where id = ?", i), strict=True))

    def _beside(self, row: dict[str, str]) -> str:
        if not self.beside:
            return ""
        value = row[self.beside]
        if self.field(self.beside).kind == "switch":
            return self.beside if value == "on" else ""
        return value

    def _shown(self, i: int, f: Field, value: str) -> Widget:
        statement = f"update {self.table} set {f.name} = ? where id = ?"
        if f.kind == "switch":
            return toggle(f.name, value == "on", sql(statement, "off" if value == "on" else "on", i))
        if f.kind == "choice":
            return item(f.name, value, tap=menu(f.name, *((o, sql(statement, o, i)) for o in f.options)))
        return line(f.name, value)
