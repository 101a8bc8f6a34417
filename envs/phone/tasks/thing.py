"""The items of an app, and the expressions by which goals refer to one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from homeostat.envs.phone.apps.collection import Collection
from homeostat.envs.phone.tasks.base import Slots, World

__all__ = ["Thing"]


@dataclass(frozen=True)
class Thing:
    """An app's items, and the expressions by which goals refer to one.

    Attributes:
        app: The app.
        its: Expressions with the title's slot, such as ``the recipe {name}``, the plainest first.
        where: SQL condition of the rows that goals may refer to: those in the app's list.
        way: Moves that lead to the list, for an app that does not start there.
    """

    app: Collection
    its: tuple[str, ...]
    where: str = "1"
    way: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The title's slot in braces."""
        return "{" + self.app.title + "}"

    def ways(self, frames: tuple[str, ...], more: tuple[str, ...] = (), **words: str) -> tuple[str, ...]:
        """Fills frames with the expressions for an item.

        Args:
            frames: Phrasings with ``{it}`` and the names of ``words``. Each uses the next expression in turn.
            more: Further phrasings with ``{it}``. Each uses the first expression.
            words: Values of further names in the frames. They may contain ``{it}``.

        Returns:
            The phrasings, without duplicates.
        """
        filled = []
        for n, frame in enumerate(frames):
            it = self.its[n % len(self.its)]
            inner = {k: v.replace("{it}", it) for k, v in words.items()}
            for name, value in {**inner, "it": it}.items():
                frame = frame.replace("{" + name + "}", value)
            filled.append(frame)
        return tuple(dict.fromkeys((*filled, *(m.replace("{it}", self.its[0]) for m in more))))

    def pick(self, w: World, *columns: str, where: str = "1", params: tuple[str, ...] = ()) -> Slots:
        """Draws a row.

        Args:
            w: The filled phone.
            columns: The columns to return besides the title.
            where: A further SQL condition.
            params: The parameters of the condition.

        Returns:
            The slots: ``_id``, the title, and the columns.
        """
        names = (self.app.title, *columns)
        i, *values = w.pick(
            f"select id, {', '.join(names)} from {self.app.table} where {self.where} and {where}", *params
        )
        return {"_id": str(i), **dict(zip(names, values, strict=True))}

    def taken(self, field: str) -> str:
        """Returns the query of the values that a field has.

        Args:
            field: The field's name.

        Returns:
            The SQL query.
        """
        return f"select {field} from {self.app.table}"

    def at(self, screen: str) -> str:
        """Returns the full name of one of the app's screens.

        Args:
            screen: The screen's name.

        Returns:
            ``app/screen``.
        """
        return f"{self.app.name}/{screen}"
