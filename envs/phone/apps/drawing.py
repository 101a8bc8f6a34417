"""Drawing: a canvas of cells, a pen, and saved drawings."""

from homeostat.envs.phone.apps.collection import Collection, Field
from homeostat.envs.phone.effects import Effect, confirm, do, go, menu, sql, toast
from homeostat.envs.phone.ui import Context, Screen, button, item, keys

__all__ = ["CELLS", "PENS", "Drawing", "paint"]

PENS = ("red", "blue", "green", "yellow", "blank")
_COLUMNS, _ROWS = "abcd", "123456"
CELLS = tuple(c + r for r in _ROWS for c in _COLUMNS)


def paint(cell: str, colour: str) -> list[tuple[str, tuple[str, ...]]]:
    """Returns the SQL that paints a cell.

    Args:
        cell: The cell.
        colour: The colour; ``blank`` erases the cell.

    Returns:
        The statement and its parameters.
    """
    away = ("delete from canvas where cell = ?", (cell,))
    return [away] if colour == "blank" else [away, ("insert into canvas values (?, ?)", (cell, colour))]


class Drawing(Collection):
    """The app. A tap paints a cell with the pen; a cell shows the first letters of its colour."""

    name = "drawing"
    colour = (222, 130, 40)
    first = "canvas"
    one, table = "drawing", "drawings"
    fields = (Field("name"),)
    new = False
    more = """
        create table canvas (cell text not null, colour text not null);
        create table pen (colour text not null);
        insert into pen values ('red');
    """

    def canvas(self, ctx: Context) -> Screen:
        """Shows the pen and the cells."""
        (pen,) = ctx.one("select colour from pen")
        colours = dict(ctx.all("select cell, colour from canvas"))
        pens = menu("pen", *((p, sql("update pen set colour = ?", p)) for p in PENS))

        def touch(cell: str) -> Effect:
            return do(*(sql(statement, *params) for statement, params in paint(cell, pen)))

        rows = [keys(*((c + r, touch(c + r), colours.get(c + r, "")[:2]) for c in _COLUMNS)) for r in _ROWS]
        clear = confirm("clear all", do(sql("delete from canvas"), toast("cleared")), "clear")
        footer = (button("clear", clear), button("save", go("edit")), button("saved", go("list")))
        return Screen("drawing", (item("pen", pen, tap=pens), *rows), footer)
