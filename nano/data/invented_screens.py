"""The screens of invented apps: a collection with buttons, a second list and a settings page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from homeostat.envs.phone.apps.collection import Collection, Field
from homeostat.envs.phone.effects import back, do, go, menu, sql, toast
from homeostat.envs.phone.ui import Context, Screen, Widget, button, form_field, item, toggle

__all__ = ["Invented"]


class Invented(Collection):
    """A collection that may also have buttons, a second list and a settings page.

    Attributes:
        one: What one item is called.
        table: The table of the items.
        fields: The fields of an item, the title first.
        presses: Names of buttons. Each sets a hidden field of an item to ``on``.
        boxed: The name of the second list, which shows the items whose hidden field ``inbox`` is ``off``. Empty: there
            is no such list.
        paged: The name of the settings page. Empty: there is no such page.
        singles: The settings.
    """

    one = "invention"
    table = "invented"
    fields: ClassVar[tuple[Field, ...]] = (Field("name"),)
    presses: ClassVar[tuple[str, ...]] = ()
    boxed: ClassVar[str] = ""
    paged: ClassVar[str] = ""
    singles: ClassVar[tuple[Field, ...]] = ()

    def doors(self, ctx: Context) -> Iterable[Widget]:
        """Yields the buttons that lead to the second list and the settings page.

        Args:
            ctx: The state of the app.

        Yields:
            The buttons.
        """
        if self.boxed:
            yield button(self.boxed, go("box"))
        if self.paged:
            yield button(self.paged, go("page"))

    def buttons(self, ctx: Context, i: int, row: dict[str, str]) -> Iterable[Widget]:
        """Yields a button for each name in ``presses``.

        Args:
            ctx: The state of the app.
            i: The item's id.
            row: The item's fields.

        Yields:
            The buttons.
        """
        for name in self.presses:
            yield button(name, do(sql(f"update {self.table} set {name} = 'on' where id = ?", i), toast(name)))

    def box(self, ctx: Context) -> Screen:
        """Builds the second list.

        Args:
            ctx: The state of the app.

        Returns:
            The screen.
        """
        return Screen(self.boxed, self.rows(ctx, "inbox = 'off'"))

    def page(self, ctx: Context) -> Screen:
        """Builds the settings page.

        Args:
            ctx: The state of the app.

        Returns:
            The screen.
        """
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
        """Builds the form of a text setting.

        Args:
            ctx: The state of the app; the parameter ``name`` is the setting.

        Returns:
            The screen.
        """
        name = ctx.params["name"]
        (old,) = ctx.one(f"select {name} from {self.table}_page")
        save = do(sql(f"update {self.table}_page set {name} = ?", ctx.draft(name, old)), back(), toast("saved"))
        return Screen(name, (form_field(name, ctx.draft(name, old)),), (button("save", save),))

    def build(self, ctx: Context, screen: str) -> Screen:
        """Builds a screen.

        Args:
            ctx: The state of the app.
            screen: The screen's name; ``one`` is the form of a text setting.

        Returns:
            The screen.
        """
        return super().build(ctx, "one_value" if screen == "one" else screen)
