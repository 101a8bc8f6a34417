"""An invented app's screens: a collection with buttons, a second list and a page of settings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from homeostat.envs.phone.apps.collection import Collection, Field
from homeostat.envs.phone.ui import (
    Context,
    Screen,
    Widget,
    back,
    button,
    do,
    form_field,
    go,
    item,
    menu,
    sql,
    toast,
    toggle,
)

__all__ = ["Invented"]


class Invented(Collection):
    """A collection with ``presses`` (buttons that set a hidden field to on), a second list behind the door ``box``
    (rows whose hidden field ``box`` is on) and a page of ``singles`` behind the door ``page``; each may be missing.
    """

    one = "invention"
    table = "invented"
    fields: ClassVar[tuple[Field, ...]] = (Field("name"),)
    presses: ClassVar[tuple[str, ...]] = ()
    boxed: ClassVar[str] = ""
    paged: ClassVar[str] = ""
    singles: ClassVar[tuple[Field, ...]] = ()

    def doors(self, ctx: Context) -> Iterable[Widget]:
        """Buttons into the second list and the settings page."""
        if self.boxed:
            yield button(self.boxed, go("box"))
        if self.paged:
            yield button(self.paged, go("page"))

    def buttons(self, ctx: Context, i: int, row: dict[str, str]) -> Iterable[Widget]:
        """One for every press."""
        for name in self.presses:
            yield button(name, do(sql(f"update {self.table} set {name} = 'on' where id = ?", i), toast(name)))

    def box(self, ctx: Context) -> Screen:
        """The second list."""
        return Screen(self.boxed, self.rows(ctx, "inbox = 'off'"))

    def page(self, ctx: Context) -> Screen:
        """The settings page."""
        body = []
        for f in self.singles:
            (value,) = ctx.one(f"select {f.name} from {self.table}_page")
            write = f"update {self.table}_page set {f.name} = ?"
            if f.kind == "switch":
                body.append(toggle(f.name, value == "on", sql(write, "off" if value == "on" else "on")))
            elif f.kind == "choice":
                body.append(item(f.name, value, tap=menu(f.name, *((o, sql(write, o)) for o in f.options))))
            else:
                body.append(item(f.name, value, tap=go("one", name=f.name)))
        return Screen(self.paged, tuple(body))

    def one_value(self, ctx: Context) -> Screen:
        """The form of one text of the settings page."""
        name = ctx.params["name"]
        (old,) = ctx.one(f"select {name} from {self.table}_page")
        save = do(sql(f"update {self.table}_page set {name} = ?", ctx.draft(name, old)), back(), toast("saved"))
        return Screen(name, (form_field(name, ctx.draft(name, old)),), (button("save", save),))

    def build(self, ctx: Context, screen: str) -> Screen:
        """``Collection.build``, with the form of a setting as ``one``."""
        return super().build(ctx, "one_value" if screen == "one" else screen)
